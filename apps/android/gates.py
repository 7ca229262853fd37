"""What must hold of a finished APK before it is called good; each gate raises EdgewiseError with what is wrong."""

import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from apps.android import tools, versions
from models.common.errors import EdgewiseError

PERMISSIONS: tuple[str, ...] = ()  # that the app may ask for: none, INTERNET least of all
CODE_BYTES = 400_000  # of the app's own code and resources, compressed
# of everything by ABI, without artifacts; three official engines take 22 MB for arm64
ABI_BYTES = {"arm64-v8a": 30_000_000, "armeabi-v7a": 24_000_000, "x86_64": 34_000_000}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Compressed bytes of an APK's parts."""

    code: int
    assets: int
    whole: int


def check(apk: Path, abi: str, *, engine_code: int) -> Sizes:
    """Hold an APK against every gate; `engine_code` is what the engines' own classes take of its code."""
    _signatures(apk)
    _instructions(apk)
    _permissions(apk)
    tools.run("zipalign", "-c", "4", apk)
    return _sizes(apk, abi, engine_code)


def _signatures(apk: Path) -> None:
    output = tools.run("apksigner", "verify", "--verbose", "--min-sdk-version", versions.version("min-sdk"), apk)
    for scheme in ("v2", "v3"):
        if not re.search(rf"Verified using {scheme} scheme .*: true", output):
            raise EdgewiseError(f"{apk.name} has no valid signature of scheme {scheme}: {output.strip()[:300]}")


def _instructions(apk: Path) -> None:
    """Refuse instructions that old Androids do not have and that R8 should have replaced."""
    with zipfile.ZipFile(apk) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if name.endswith(".dex"):
                output = tools.run("dexdump", "-d", archive.extract(name, folder))
                matches = re.findall(r"invoke-(?:custom|polymorphic)\S*", output)
                if matches:
                    what = f"{len(matches)} times {matches[0]} in {name}"
                    raise EdgewiseError(f"{apk.name} holds {what}, which R8 should have replaced.")
                if "invoke-virtual" not in output:
                    raise EdgewiseError(f"dexdump shows no code of {name} in {apk.name}.")


def _permissions(apk: Path) -> None:
    output = tools.run("aapt2", "dump", "permissions", apk)
    matches = re.findall(r"uses-permission[^:]*: name='([^']+)'", output)
    extra = sorted(set(matches) - set(PERMISSIONS))
    if extra or "package: org.edgewise.app" not in output:
        msg = f"{apk.name} asks for {', '.join(extra) or 'what aapt2 does not tell'}; no permission is allowed."
        raise EdgewiseError(msg)


def _sizes(apk: Path, abi: str, engine_code: int) -> Sizes:
    with zipfile.ZipFile(apk) as archive:
        infos = archive.infolist()
    libraries = sum(i.compress_size for i in infos if i.filename.startswith("lib/"))
    assets = sum(i.compress_size for i in infos if i.filename.startswith("assets/"))
    code = sum(i.compress_size for i in infos) - libraries - assets
    sizes = Sizes(code=code, assets=assets, whole=apk.stat().st_size)
    if code - engine_code > CODE_BYTES:
        msg = f"{apk.name} has {code - engine_code:,} bytes of code and resources of its own, more than {CODE_BYTES:,}."
        raise EdgewiseError(msg)
    if sizes.whole - assets > ABI_BYTES[abi]:
        most = f"more than {ABI_BYTES[abi]:,} for {abi}"
        raise EdgewiseError(f"{apk.name} has {sizes.whole - assets:,} bytes without artifacts, {most}.")
    return sizes
