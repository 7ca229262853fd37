"""An APK: resources linked, everything zipped in a fixed order, aligned and signed, the same bytes each time."""

import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.android import tools, versions
from apps.android.compile import MAIN
from models import data
from models.common import files
from models.common.errors import UsageError

PASSWORD = "EDGEWISE_KEYSTORE_PASSWORD"
DEBUG_PASSWORD, DEBUG_ALIAS = "android", "androiddebugkey"
STORED = (".arsc", ".png")  # what Android maps, or what is compressed already
WHEN = (1981, 1, 1, 1, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Linked:
    """The linked resources: the unfinished APK, the folder of R.java, and the rules that keep what resources name."""

    base: Path
    sources: Path
    rules: Path


@dataclass(frozen=True, kw_only=True)
class Key:
    """What an APK is signed with; `alias` is "" where the keystore holds one key."""

    keystore: Path
    password: str
    alias: str = ""


def link(scratch: Path, name: str, *, assets: Path | None = None) -> Linked:
    """Compile and link the resources, and a folder of assets; `name` is the app's version."""
    linked = Linked(base=scratch / "base.apk", sources=scratch / "generated", rules=scratch / "aapt2.pro")
    files.remove(linked.sources)
    tools.run("aapt2", "compile", "--dir", MAIN / "res", "-o", scratch / "res.zip")
    tools.run("aapt2", "link", "-o", linked.base, "-I", tools.framework(), "--manifest", MAIN / "AndroidManifest.xml",
              "--min-sdk-version", versions.version("min-sdk"), "--target-sdk-version", versions.version("target-sdk"),
              "--version-name", name, "--version-code", "1", "--java", linked.sources, "--proguard", linked.rules,
              *(("-A", assets) if assets else ()), scratch / "res.zip")  # fmt: skip
    return linked


def write(target: Path, linked: Linked, dex: Path, inside: Mapping[str, bytes], key: Key) -> None:
    """Write the finished APK of `inside` (name: content) beside the code and resources; whole or not at all."""
    with files.whole(target) as temporary, tempfile.TemporaryDirectory() as folder:
        plain, aligned = Path(folder) / "plain.apk", Path(folder) / "aligned.apk"
        _zip(plain, linked, dex, inside)
        tools.run("zipalign", "-f", "4", plain, aligned)
        alias = ("--ks-key-alias", key.alias) if key.alias else ()
        # one scheme that every Android since 7 reads; no source stamp and no time, so that the bytes stay the same
        tools.run("apksigner", "sign", "--ks", key.keystore, "--ks-pass", f"env:{PASSWORD}", *alias,
                  "--min-sdk-version", versions.version("min-sdk"), "--v1-signing-enabled", "false", "--v2-signing-enabled", "true",
                  "--v3-signing-enabled", "true", "--v4-signing-enabled", "false", "--out", temporary, aligned,
                  env={PASSWORD: key.password})  # fmt: skip


def _zip(target: Path, linked: Linked, dex: Path, inside: Mapping[str, bytes]) -> None:
    content = dict(inside)
    with zipfile.ZipFile(linked.base) as base:
        content |= {name: base.read(name) for name in base.namelist()}
    content |= {path.name: path.read_bytes() for path in dex.glob("*.dex")}
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(content, key=lambda name: (name != "AndroidManifest.xml", name)):
            info = zipfile.ZipInfo(name, WHEN)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(STORED) else zipfile.ZIP_DEFLATED
            archive.writestr(info, content[name], compresslevel=9)


def own_key(keystore: Path, alias: str) -> Key:
    """Return the user's key; raises UsageError where its password is not given."""
    if PASSWORD not in os.environ:
        raise UsageError(f"The password of {keystore} is not given. Put it into the environment: export {PASSWORD}=...")
    return Key(keystore=keystore, password=os.environ[PASSWORD], alias=alias)


def debug_key() -> Key:
    """Return this user's debug key, made once: an update needs the key of the app that it replaces."""
    keystore = data.cache_folder() / "android" / "debug.keystore"
    if not keystore.exists():
        with files.whole(keystore) as temporary:
            tools.run("keytool", "-genkeypair", "-keystore", temporary, "-storetype", "PKCS12", "-storepass", DEBUG_PASSWORD,
                      "-alias", DEBUG_ALIAS, "-keyalg", "RSA", "-keysize", "2048", "-validity", "10950",
                      "-dname", "CN=Android Debug")  # fmt: skip
    return Key(keystore=keystore, password=DEBUG_PASSWORD, alias=DEBUG_ALIAS)
