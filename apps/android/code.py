"""Java sources to class files to DEX: javac, R8, and the check that nothing newer than the oldest Android is called."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from apps.android import jars, tools, versions
from apps.android.engines import ENGINES, Resolved
from apps.android.versions import HERE
from models import files
from models.errors import EdgewiseError

MAIN = HERE / "app" / "src" / "main"
PACKAGE = Path("org") / "edgewise" / "app" / "engine"
CHECKER = HERE / "programs" / "CheckCalls.java"
JAVA = "17"  # of the sources; R8 makes of it what the oldest Android runs


def jar(alias: str) -> Path:
    """Return a downloaded jar of the bundle `build`."""
    library = versions.library(alias)
    found = jars.fetch("build", versions.bundle("build"))
    return next(one.path for one in found if one.path.name.startswith(f"{library.name}-{library.version}."))


def sources(included: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the app's own sources, without the adapters of engines that are not included."""
    out = {f"{engine.source}.java" for name, engine in ENGINES.items() if name not in included}
    if "onnxruntime" not in included:
        out.add("Profile.java")
    return tuple(path for path in sorted((MAIN / "java").rglob("*.java")) if path.name not in out)


def write_built(folder: Path, adapters: tuple[str, ...]) -> None:
    """Write the class that lists the engines of this build; `adapters` are their constructors' calls."""
    made = ", ".join(f"new {adapter}" for adapter in adapters)
    content = (
        "package org.edgewise.app.engine;\n\nimport java.util.List;\n\n/** The engines of this build; written by it. */\n"
        f"final class Built {{\n    private Built() {{}}\n\n    static List<Engine> engines() {{\n        return List.of({made});\n    }}\n}}\n"
    )
    files.write_bytes(folder / PACKAGE / "Built.java", content.encode())


def javac(java: tuple[Path, ...], classpath: tuple[Path, ...], target: Path) -> None:
    """Compile sources; raises EdgewiseError with the compiler's words."""
    files.remove(target)
    target.mkdir(parents=True)
    path = ":".join(map(str, classpath))
    tools.run("javac", "--release", JAVA, "-nowarn", "-Xlint:none", "-cp", path, "-d", target, *java)


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
    known = [str(one) for engine in resolved for one in engine.classes]
    try:
        tools.run("java", "-cp", path, CHECKER, signature, classes, *known)
    except EdgewiseError as error:
        told = str(error).partition("\n")[2]
        msg = f"The app calls what Android API {versions.version('min-sdk')} does not have:\n{told}"
        raise EdgewiseError(msg) from error


def r8(app: Path, resolved: tuple[Resolved, ...], rules: Path, target: Path) -> None:
    """Write classes.dex, shrunk; `rules` are aapt2's. Raises EdgewiseError with R8's words."""
    kept = "".join(f"-keep class {name} {{ *; }}\n" for engine in resolved for name in engine.engine.keep)
    # annotations and optional parts of the engines that an app does without
    more = "-dontwarn **\n-keepattributes Signature,InnerClasses,EnclosingMethod,*Annotation*\n-dontobfuscate\n"
    own = target.parent / "rules.pro"
    files.write_bytes(own, (kept + more).encode())
    files.remove(target)
    target.mkdir(parents=True)
    inputs = [str(path) for engine in resolved for path in engine.classes]
    tools.run("java", "-Xmx2g", "-cp", jar("r8"), "com.android.tools.r8.R8", "--release", "--min-api", versions.version("min-sdk"),
              "--lib", _java_home(), "--lib", jar("android-all"), "--pg-conf", own, "--pg-conf", rules, "--output", target,
              app, *inputs)  # fmt: skip


def dex_bytes(engine: Resolved, scratch: Path) -> int:
    """Return how many compressed bytes an engine's own classes take as DEX, kept between builds."""
    if not engine.classes:
        return 0
    folder = scratch / f"dex-{files.sha256(engine.classes[0])[:16]}"
    if not (folder / "classes.dex").exists():
        files.remove(folder)
        folder.mkdir(parents=True)
        tools.run("java", "-cp", jar("r8"), "com.android.tools.r8.D8", "--release", "--min-api", versions.version("min-sdk"),
                  "--lib", _java_home(), "--lib", jar("android-all"), "--output", folder, *engine.classes)  # fmt: skip
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("*.dex")):
            archive.write(path)
        return sum(info.compress_size for info in archive.infolist())


def _java_home() -> Path:
    return Path(tools.find("javac")).resolve().parents[1]
