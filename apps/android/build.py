"""The build: engines, resources, code and artifacts become an APK for each ABI, which every gate then looks at."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.android import assets, code, engines, gates, jars, package, tools, versions
from apps.android.engines import Resolved
from apps.android.gates import Sizes
from apps.android.package import Key
from export.artifact import Artifact
from models import files
from models.errors import EdgewiseError

LIBRARIES = "lib"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be built: engines with archives on disk, ABIs, artifacts, the key and the folder that it goes to."""

    engines: tuple[str, ...]
    archives: dict[str, tuple[Path, ...]]
    abis: tuple[str, ...]
    artifacts: Path
    patterns: tuple[str, ...]
    key: Key | None
    target: Path
    results: Path = Path("results")

    @property
    def scratch(self) -> Path:
        return self.target / "parts"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an engine adds to an APK, compressed, and its libraries that do not load where pages have 16 kB."""

    libraries: int
    classes: int
    small_pages: tuple[str, ...]

    @property
    def whole(self) -> int:
        return self.libraries + self.classes


@dataclass(frozen=True, kw_only=True)
class Made:
    """An APK of an ABI, with the cost of each engine in it; `own` are the bytes of the app's own code and resources."""

    abi: str
    apk: Path
    sizes: Sizes
    costs: dict[str, Cost]
    own: int


def resolve(request: Request, says: Callable[[str], None]) -> tuple[tuple[Resolved, ...], dict[str, str]]:
    """Return the engines that are to be had, and of each other one why it is left out, which is also said."""
    found, left_out = [], {}
    for name in engines.ENGINES:
        if name not in request.engines:
            left_out[name] = "It was not asked for (--engines)."
            continue
        try:
            resolved = engines.resolve(name, request.archives.get(name, ()), request.scratch / "engines")
        except jars.NotServed as error:
            left_out[name] = f"It could not be downloaded: {error}"
            says(f"{name} is left out: {error} From a file: --aar {name}=FILE.aar")
            continue
        for file in resolved.unpinned:
            says(f"{file} is not pinned in gradle/sha256.txt: nobody has compared it with anything yet")
        found.append(resolved)
    if not found:
        msg = f"None of {', '.join(request.engines)} could be had, and an app without an engine runs nothing."
        raise EdgewiseError(msg)
    return tuple(found), left_out


def build(request: Request, says: Callable[[str], None]) -> tuple[Made, ...]:
    """Build an APK for each ABI and return what became of each; raises EdgewiseError where a gate is not passed."""
    tools.require()
    request.scratch.mkdir(parents=True, exist_ok=True)
    resolved, left_out = resolve(request, says)
    packed = assets.pack(request.artifacts, _choose(request, resolved, left_out, says))
    digest = _digest(resolved)
    linked = package.link(request.scratch, f"{versions.version('app')}+{digest}", code=1)
    app = _compile(request.scratch, resolved, linked.sources)
    dex = request.scratch / "dex"
    for line in code.r8(app, resolved, linked.rules, dex):
        says(line)
    classes = {one.id: code.dex_bytes(one, request.scratch) for one in resolved}
    key = request.key or package.debug_key()
    made = []
    for abi in request.abis:
        here = tuple(one for one in resolved if abi in one.abis)
        absent = {one.id: f"It has no library for {abi}." for one in resolved if one not in here}
        for name in absent:
            says(f"{name} is left out for {abi}: its archive has no library for it")
        costs = {one.id: _cost(one, abi, classes[one.id]) for one in here}
        inside = {f"assets/{name}": content for name, content in packed.files.items()}
        inside["assets/build.json"] = _described(digest, here, costs, left_out | absent)
        for one in here:
            inside |= {f"{LIBRARIES}/{abi}/{name}": content for name, content in one.libraries.get(abi, {}).items()}
        apk = request.target / f"edgewise-{abi}.apk"
        package.write(apk, linked, dex, inside, key)
        sizes = gates.check(apk, abi, engine_code=sum(classes.values()))
        made.append(Made(abi=abi, apk=apk, sizes=sizes, costs=costs, own=sizes.code - sum(classes.values())))
    return tuple(made)


def _choose(
    request: Request, resolved: tuple[Resolved, ...], left_out: dict[str, str], says: Callable[[str], None]
) -> tuple[Artifact, ...]:
    """Return the artifacts to pack; those that are not for want of their engine, and those that it gets wrong, are said."""
    asked = assets.choose(request.artifacts, request.patterns, request.engines)
    for name in left_out:
        lost = [artifact.id for artifact in asked if assets.ENGINES[artifact.format] == name]
        if lost:
            says(f"{len(lost)} artifacts are not packed, for {name} is left out: {', '.join(lost)}")
    chosen = assets.choose(request.artifacts, request.patterns, tuple(one.id for one in resolved))
    for line in assets.warnings(chosen, {one.id: one.version for one in resolved}):
        says(line)
    return chosen


def _compile(scratch: Path, resolved: tuple[Resolved, ...], generated: Path) -> Path:
    """Return the jar of the app's own classes, which call nothing newer than the oldest Android."""
    code.write_built(generated, tuple(f"{one.engine.source}()" for one in resolved))
    classpath = (code.jar("android-all"), *(path for one in resolved for path in one.classes))
    java = (*code.sources(tuple(one.id for one in resolved)), *sorted(generated.rglob("*.java")))
    code.javac(java, classpath, scratch / "classes", resolved)
    code.check_calls(scratch / "classes", resolved)
    code.pack(scratch / "classes", scratch / "app.jar")
    return scratch / "app.jar"


def _digest(resolved: tuple[Resolved, ...]) -> str:
    """Return a digest of everything that the app's answers and times depend on but the artifacts."""
    digest = hashlib.sha256(versions.FILE.read_bytes())
    for path in (*files.members(code.MAIN), *(path for one in resolved for path in one.classes)):
        digest.update(files.sha256(path).encode())
    for one in resolved:
        for abi, content in sorted(one.libraries.items()):
            for name, library in sorted(content.items()):
                digest.update(f"{abi}/{name}".encode() + hashlib.sha256(library).digest())
    return digest.hexdigest()[:12]


def _cost(one: Resolved, abi: str, classes: int) -> Cost:
    found = one.libraries.get(abi, {})
    libraries = sum(len(zlib.compress(content, 9)) for content in found.values())
    return Cost(libraries=libraries, classes=classes, small_pages=one.small_pages(abi))


def _described(digest: str, resolved: tuple[Resolved, ...], costs: dict[str, Cost], left_out: dict[str, str]) -> bytes:
    """Return what the app is told of itself."""
    told = {
        one.id: {
            "coordinates": one.coordinates,
            "version": one.version,
            "bytes": costs[one.id].whole,
            "small_pages": costs[one.id].small_pages,
        }
        for one in resolved
    }
    return json.dumps({"build": digest, "engines": told, "left_out": left_out}, indent=1).encode()
