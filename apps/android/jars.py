"""Downloads from Maven repositories: by Maven itself, each held against its pinned SHA-256.

`python -m apps.android.jars` pins what is not pinned yet, for the versions in the catalogue.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from apps.android import versions
from apps.android.versions import HERE, Library
from models import data
from models.common import files
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing

PINS = HERE / "gradle" / "sha256.txt"
HEAD = "# SHA-256 of each download; `python -m apps.android.jars` adds what is missing.\n"
TIMEOUT_S = 900
# By the library's alias: what Maven calls the packaging where it is not `jar`.
AARS = ("tensorflow-lite", "tensorflow-lite-api", "onnxruntime-android", "executorch-android", "fbjni")
TYPES = dict.fromkeys(AARS, "aar") | {"gummy-bears": "signature"}
FRAMEWORKS = ("oldest", "newest")  # Android's own code, for the tests, beside the version that most of them run on
# With what they need themselves, but for what only Google's repository has: tests/apps/android/app_tests/java_stubs.py has these.
WHOLE = {
    "robolectric": ("androidx.test:monitor", "androidx.test.espresso:espresso-idling-resource"),
    "unidbg-android": (),
    "unidbg-dynarmic": (),
    "animal-sniffer": (),
    "junit": (),
}


class NotServed(EdgewiseError):
    """A repository does not have a library; the message is Maven's."""


@dataclass(frozen=True, kw_only=True)
class Jar:
    """A downloaded file; `pinned` tells whether gradle/sha256.txt has its SHA-256."""

    path: Path
    sha256: str
    pinned: bool


def fetch(name: str, libraries: tuple[Library, ...]) -> tuple[Jar, ...]:
    """Return the files of libraries, verified; `name` is for messages. Raises NotServed, DataError, EnvironmentMissing."""
    listing = data.cache_folder() / "android" / f"{name}-{_digest(libraries)}.txt"
    paths = tuple(map(Path, listing.read_text().splitlines())) if listing.exists() else ()
    if not paths or not all(path.is_file() for path in paths):
        paths = _resolve(name, libraries)
        files.write_bytes(listing, "".join(f"{path}\n" for path in paths).encode())
    pins = pinned()
    return tuple(_verified(path, pins) for path in paths)


def pinned() -> dict[str, str]:
    """Return the SHA-256 of each pinned file by its name."""
    lines = PINS.read_text().splitlines() if PINS.exists() else []
    return {name: digest for digest, name in (line.split() for line in lines if line and not line.startswith("#"))}


def _verified(path: Path, pins: dict[str, str]) -> Jar:
    digest = files.sha256(path)
    if pins.get(path.name, digest) != digest:
        raise DataError(
            f"{path} is not what is pinned: SHA-256 {digest[:12]}..., expected {pins[path.name][:12]}... Delete it and build "
            f"again; where that does not help, somebody changed it on the way."
        )
    return Jar(path=path, sha256=digest, pinned=path.name in pins)


def _digest(libraries: tuple[Library, ...]) -> str:
    return hashlib.sha256(_pom(libraries).encode()).hexdigest()[:16]


def _resolve(name: str, libraries: tuple[Library, ...]) -> tuple[Path, ...]:
    """Let Maven download libraries; return where they lie in its local repository."""
    mvn = shutil.which("mvn")
    if mvn is None:
        msg = "mvn is not installed; it fetches R8 and the engines. On Debian and Ubuntu: sudo apt-get install maven"
        raise EnvironmentMissing(msg)
    folder = data.cache_folder() / "android" / f"{name}-{_digest(libraries)}"
    files.write_bytes(folder / "pom.xml", _pom(libraries).encode())
    listing = folder / "paths.txt"
    listing.unlink(missing_ok=True)
    command = (mvn, "-B", "-q", "dependency:build-classpath", f"-Dmdep.outputFile={listing}", "-Dmdep.pathSeparator=\n")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, input="")
    except subprocess.TimeoutExpired as error:
        msg = f"Maven took more than {TIMEOUT_S} s for {name}. Is the repository in its settings reachable?"
        raise NotServed(msg) from error
    if done.returncode or not listing.exists():
        raise NotServed(_reason(done.stdout + done.stderr))
    return tuple(Path(line) for line in listing.read_text().splitlines() if line)


def _reason(output: str) -> str:
    """Return Maven's own reason in one sentence, without addresses."""
    errors = [line.partition("[ERROR] ")[2] for line in output.splitlines() if "[ERROR] " in line]
    first = (errors or ["it said nothing"])[0].partition(" -> [Help")[0]
    missing = re.search(r"(?:Could not find artifact )?([\w.-]+:[\w.-]+:[\w.:-]+) (?:in|was not found in) ", first)
    if missing:
        return f"Maven does not find {missing[1].replace(':aar:', ':').replace(':jar:', ':')}."
    return f"Maven says: {re.sub(r'[a-z]+://[^ )]*', 'the repository', first).rstrip('.')[:300]}."


def _pom(libraries: tuple[Library, ...]) -> str:
    dependencies = "".join(_dependency(library) for library in libraries)
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>org.edgewise</groupId>'
        f"<artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>\n"
    )


def _dependency(library: Library) -> str:
    left_out = WHOLE.get(library.alias, ("*:*",))
    exclusions = "".join(
        f"<exclusion><groupId>{group}</groupId><artifactId>{name}</artifactId></exclusion>"
        for group, name in (one.split(":") for one in left_out)
    )
    facts = {"groupId": library.group, "artifactId": library.name, "version": library.version,
             "type": TYPES.get(library.alias, "jar")}  # fmt: skip
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in facts.items())
    return f"<dependency>{inner}<exclusions>{exclusions}</exclusions></dependency>"


def pin() -> None:
    """Write the SHA-256 of every file that the catalogue's bundles come to, as far as they are served here."""
    digests = pinned()
    for name in ("build", "litert", "onnxruntime", "executorch", "tests", *FRAMEWORKS, "emulator"):
        bundle = versions.bundle(name)
        for libraries in ((one,) for one in bundle) if name == "executorch" else (bundle,):
            try:
                digests |= {jar.path.name: jar.sha256 for jar in fetch(name, libraries)}
            except NotServed as error:
                print(f"{name}: {error}", file=sys.stderr)
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    files.write_bytes(PINS, (HEAD + lines).encode())


if __name__ == "__main__":
    pin()
