"""The build: engines, resources, code and artifacts become an APK for each ABI, which every gate then looks at."""

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.android import assets, compile, engines, gates, jars, package, tools, versions
from apps.android.engines import Resolved
from apps.android.gates import Sizes
from apps.android.package import Key
from export.artifact import Artifact
from models.common import files
from models.common.errors import EdgewiseError


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

    whole: int
    small_pages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Apk:
    """An APK of an ABI, with the cost of each engine in it; `own` are the bytes of the app's own code and resources."""

    abi: str
    path: Path
    sizes: Sizes
    costs: dict[str, Cost]
    own: int


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the APKs of all ABIs share: engines, why others are left out, artifacts, resources, code, and a digest of them.

    `classes` are the bytes that each engine's own classes take.
    """

    resolved: tuple[Resolved, ...]
    left_out: dict[str, str]
    packed: dict[str, bytes]
    linked: package.Linked
    dex: Path
    classes: dict[str, int]
    digest: str


def resolve(request: Request, report: Callable[[str], None]) -> tuple[tuple[Resolved, ...], dict[str, str]]:
    """Return the engines that can be had, and why each other one is left out, which is also reported."""
    resolved, left_out = [], {}
    for name in engines.ENGINES:
        if name not in request.engines:
            left_out[name] = "It was not asked for (--engines)."
            continue
        try:
            engine = engines.resolve(name, request.archives.get(name, ()), request.scratch / "engines")
        except jars.NotServed as error:
            left_out[name] = f"It could not be downloaded: {error}"
            report(f"{name} is left out: {error} From a file: --aar {name}=FILE.aar")
            continue
        for file in engine.unpinned:
            report(f"{file} is not pinned in gradle/sha256.txt: nobody has compared it with anything yet")
        resolved.append(engine)
    if not resolved:
        msg = f"None of {', '.join(request.engines)} could be had, and an app without an engine runs nothing."
        raise EdgewiseError(msg)
    return tuple(resolved), left_out


def build(request: Request, report: Callable[[str], None]) -> tuple[Apk, ...]:
    """Build an APK for each ABI; raises EdgewiseError where a gate is not passed."""
    tools.require()
    request.scratch.mkdir(parents=True, exist_ok=True)
    parts = _parts(request, report)
    key = request.key or package.debug_key()
    apks = []
    for abi in request.abis:
        if any(abi in engine.abis for engine in parts.resolved):
            apks.append(_apk(abi, request.target, parts, key, report))
        else:
            report(f"no APK for {abi}: no engine of this build has a library for it")
    if not apks:
        msg = f"No engine of this build has a library for {', '.join(request.abis)}, and an app without an engine runs nothing."
        raise EdgewiseError(msg)
    return tuple(apks)


def _parts(request: Request, report: Callable[[str], None]) -> Parts:
    resolved, left_out = resolve(request, report)
    packed = assets.pack(request.artifacts, _choose(request, resolved, left_out, report))
    digest = _digest(resolved)
    linked = package.link(request.scratch, f"{versions.version('app')}+{digest}")
    app = _compile(request.scratch, resolved, linked.sources)
    dex = request.scratch / "dex"
    for line in compile.r8(app, resolved, linked.rules, dex):
        report(line)
    classes = {engine.id: compile.dex_bytes(engine, request.scratch) for engine in resolved}
    return Parts(resolved=resolved, left_out=left_out, packed=packed, linked=linked, dex=dex, classes=classes, digest=digest)  # fmt: skip


def _apk(abi: str, target: Path, parts: Parts, key: Key, report: Callable[[str], None]) -> Apk:
    """Write the APK of an ABI, and hold it against the gates."""
    included = tuple(engine for engine in parts.resolved if abi in engine.abis)
    absent = {engine.id: f"It has no library for {abi}." for engine in parts.resolved if engine not in included}
    for name in absent:
        report(f"{name} is left out for {abi}: its archive has no library for it")
    inside, costs = {f"assets/{name}": content for name, content in parts.packed.items()}, {}
    for engine in included:
        libraries = engine.libraries.get(abi, {})
        inside |= {f"lib/{abi}/{name}": content for name, content in libraries.items()}
        whole = parts.classes[engine.id] + sum(len(zlib.compress(content, 9)) for content in libraries.values())
        costs[engine.id] = Cost(whole=whole, small_pages=engine.small_pages(abi))
    inside["assets/build.json"] = _described(parts.digest, included, costs, parts.left_out | absent)
    path = target / f"edgewise-{abi}.apk"
    package.write(path, parts.linked, parts.dex, inside, key)
    engine_code = sum(parts.classes.values())  # every ABI's: the code is the same in each
    sizes = gates.check(path, abi, engine_code=engine_code)
    return Apk(abi=abi, path=path, sizes=sizes, costs=costs, own=sizes.code - engine_code)


def _choose(
    request: Request, resolved: tuple[Resolved, ...], left_out: dict[str, str], report: Callable[[str], None]
) -> tuple[Artifact, ...]:
    """Return the artifacts to pack; reports those that have no engine here, and those that theirs answers wrongly."""
    matching = assets.choose(request.artifacts, request.patterns, request.engines)
    for name in left_out:
        lost = [artifact.id for artifact in matching if assets.ENGINES[artifact.format] == name]
        if lost:
            report(f"{len(lost)} artifacts are not packed, for {name} is left out: {', '.join(lost)}")
    chosen = assets.choose(request.artifacts, request.patterns, tuple(engine.id for engine in resolved))
    for line in assets.warnings(chosen, {engine.id: engine.version for engine in resolved}):
        report(line)
    return chosen


def _compile(scratch: Path, resolved: tuple[Resolved, ...], generated: Path) -> Path:
    """Return the jar of the app's own classes, which call nothing newer than the oldest Android."""
    compile.write_built(generated, tuple(f"{one.engine.source}()" for one in resolved))
    classpath = (compile.jar("android-all"), *(path for one in resolved for path in one.classes))
    java = (*compile.sources(tuple(one.id for one in resolved)), *sorted(generated.rglob("*.java")))
    compile.javac(java, classpath, scratch / "classes", resolved)
    compile.check_calls(scratch / "classes", resolved)
    compile.pack(scratch / "classes", scratch / "app.jar")
    return scratch / "app.jar"


def _digest(resolved: tuple[Resolved, ...]) -> str:
    """Return a digest of everything that the app's answers and times depend on but the artifacts."""
    digest = hashlib.sha256(versions.FILE.read_bytes())
    for path in (*files.members(compile.MAIN), *(path for one in resolved for path in one.classes)):
        digest.update(files.sha256(path).encode())
    for one in resolved:
        for abi, content in sorted(one.libraries.items()):
            for name, library in sorted(content.items()):
                digest.update(f"{abi}/{name}".encode() + hashlib.sha256(library).digest())
    return digest.hexdigest()[:12]


def _described(digest: str, included: tuple[Resolved, ...], costs: dict[str, Cost], left_out: dict[str, str]) -> bytes:
    """Return what the app says of its build, as JSON."""
    facts = {
        engine.id: {
            "coordinates": engine.coordinates,
            "version": engine.version,
            "bytes": costs[engine.id].whole,
            "small_pages": costs[engine.id].small_pages,
        }
        for engine in included
    }
    return json.dumps({"build": digest, "engines": facts, "left_out": left_out}, indent=1).encode()
