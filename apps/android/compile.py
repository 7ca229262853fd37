"""Java sources to class files to DEX: javac, R8, and the check that nothing newer than the oldest Android is called."""

import hashlib
import io
import re
import zipfile
import zlib
from pathlib import Path

from apps.android import jars, tools, versions
from apps.android.engines import ENGINES, Resolved
from apps.android.tools import ToolFailed
from apps.android.versions import HERE
from models.common import files
from models.common.errors import DataError, EdgewiseError

MAIN, STUDIO = (HERE / "app" / "src" / name for name in ("main", "studio"))
PACKAGE = Path("org") / "edgewise" / "app" / "engine"
CHECKER = HERE / "programs" / "CheckCalls.java"
JAVA = "17"  # of the sources; R8 makes of it what the oldest Android runs
# What archives name and an app does without: annotations. Whatever else is missing is printed, and the DEX is made all the same.
ANNOTATIONS = ("androidx.annotation", "javax.annotation", "org.jetbrains.annotations", "org.checkerframework")
RULES = (
    "".join(f"-dontwarn {package}.**\n" for package in ANNOTATIONS)
    + "-ignorewarnings\n-dontobfuscate\n-keepattributes Signature,InnerClasses,EnclosingMethod,*Annotation*\n"
)


def jar(alias: str) -> Path:
    """Return a downloaded jar of the bundle `build`."""
    library = versions.library(alias)
    fetched = jars.fetch("build", versions.bundle("build"))
    return next(one.path for one in fetched if one.path.name.startswith(f"{library.name}-{library.version}."))


def sources(included: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the app's own sources, without the adapters of engines that are not included."""
    out = {f"{engine.source}.java" for name, engine in ENGINES.items() if name not in included}
    return tuple(path for path in sorted((MAIN / "java").rglob("*.java")) if path.name not in out)


def write_built(folder: Path, adapters: tuple[str, ...]) -> None:
    """Write the class that lists the engines of this build, in place of Android Studio's; `adapters` are constructors' calls."""
    calls = ", ".join(f"new {adapter}" for adapter in adapters)
    content = re.sub(r"List\.of\(.*\)", f"List.of({calls})", (STUDIO / "java" / PACKAGE / "Built.java").read_text())
    files.write_bytes(folder / PACKAGE / "Built.java", content.encode())


def javac(
    java: tuple[Path, ...], classpath: tuple[Path, ...], target: Path, resolved: tuple[Resolved, ...] = ()
) -> None:
    """Compile sources, with the engines' classes in the class path.

    Raises DataError for an archive without what its adapter calls, EdgewiseError with the compiler's words for all else.
    """
    files.remove(target)
    target.mkdir(parents=True)
    path = ":".join(map(str, classpath))
    try:
        tools.run("javac", "--release", JAVA, "-nowarn", "-Xlint:none", "-cp", path, "-d", target, *java)
    except ToolFailed as error:
        for engine in resolved:
            if lacks := _lacks(engine, error.output):
                raise DataError(
                    f"The archive of {engine.id} ({engine.version}) does not fit this app's {engine.engine.source}.java: {lacks}. "
                    f"Take {engine.coordinates}:{versions.bundle(engine.id)[0].version} (--aar {engine.id}=FILE), or leave "
                    f"{engine.id} out (--engines)."
                ) from error
        raise


def _lacks(engine: Resolved, output: str) -> str:
    """Return what the compiler does not find for an engine's adapter, the first of it in its words; "" for nothing."""
    pattern = rf"(?m)^.*/{engine.engine.source}\.java:\d+: error: (.+)((?:\n(?!\S*/\S+\.java:\d).*)*)"
    errors = re.findall(pattern, output)
    if not errors:
        return ""
    what, details = errors[0]
    symbol = re.search(r"symbol: +(.+)", details)
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{what}{' ' + ' '.join(symbol[1].split()) if symbol else ''}{more}"


def pack(classes: Path, target: Path) -> None:
    """Write class files as a jar that is the same each time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in files.members(classes):
            archive.writestr(zipfile.ZipInfo(path.relative_to(classes).as_posix()), path.read_bytes())
    files.write_bytes(target, content.getvalue())


def check_calls(classes: Path, resolved: tuple[Resolved, ...]) -> None:
    """Raise EdgewiseError for a call of the app's own classes that the oldest Android does not have."""
    checker, signature = jars.fetch("build", versions.bundle("build")), jar("gummy-bears")
    path = ":".join(str(one.path) for one in checker if one.path.name.startswith(("animal-sniffer", "asm")))
    class_path = [str(one) for engine in resolved for one in engine.classes]
    try:
        tools.run("java", "-cp", path, CHECKER, signature, classes, *class_path)
    except ToolFailed as error:
        msg = f"The app calls what Android API {versions.version('min-sdk')} does not have:\n{error.output.strip()}"
        raise EdgewiseError(msg) from error


def r8(app: Path, resolved: tuple[Resolved, ...], rules: Path, target: Path) -> tuple[str, ...]:
    """Write classes.dex, shrunk; `rules` are aapt2's. Raises EdgewiseError with R8's words.

    Returns a sentence for each class that the engines need and that none of their archives has: a call of it would end the app.
    """
    output = _shrunk((app, *(path for engine in resolved for path in engine.classes)), resolved, target, rules)
    pattern = r"(?m)Missing class (\S+) \(referenced from: (.+?)(?: and \d+ other contexts?)?\)$"
    missing = re.findall(pattern, output)
    return tuple(f"the class {name} is in none of the archives, though it is needed by {by}" for name, by in missing)


def dex_bytes(engine: Resolved, scratch: Path) -> int:
    """Return how many compressed bytes an engine's own classes take as DEX, kept between builds."""
    if not engine.classes:
        return 0
    digest = hashlib.sha256("".join(map(files.sha256, engine.classes)).encode()).hexdigest()
    folder = scratch / f"dex-{digest[:16]}"
    if not (folder / "classes.dex").exists():
        _shrunk(engine.classes, (engine,), folder)
    return sum(len(zlib.compress(path.read_bytes(), 9)) for path in folder.glob("*.dex"))  # as an APK holds them


def _shrunk(inputs: tuple[Path, ...], engines: tuple[Resolved, ...], target: Path, *rules: Path) -> str:
    """Let R8 make DEX of jars, without what nothing uses but what engines reach by name; return what it printed."""
    files.remove(target)
    target.mkdir(parents=True)
    own = target.parent / f"{target.name}.pro"
    keep = "".join(f"-keep class {name} {{ *; }}\n" for engine in engines for name in engine.engine.keep)
    files.write_bytes(own, (keep + RULES).encode())
    java_home = Path(tools.find("javac")).resolve().parents[1]
    given = (part for path in (own, *rules) for part in ("--pg-conf", path))
    return tools.run("java", "-Xmx2g", "-cp", jar("r8"), "com.android.tools.r8.R8", "--release", "--min-api",
                     versions.version("min-sdk"), "--lib", java_home, "--lib", jar("android-all"), *given, "--output", target,
                     *inputs)  # fmt: skip
