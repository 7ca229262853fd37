"""`python -m tests.apps.android.app_tests.run`: the app's tests on this machine. Robolectric runs Android's own framework code on the JVM and draws real pixels.

ONNX Runtime answers inside the app; .tflite and .pte files are answered by the project's own runtimes, beside it.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import click

from apps.android import compile, jars, package, tools, versions
from apps.android.engines import ENGINES
from apps.android.versions import HERE
from apps.web.options import Folder
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.transport.android import evaluation
from export import artifact as artifact_files
from models import options, reference
from models.common import console, environments, files
from models.common.console import out, plain, validated
from models.common.errors import EdgewiseError, UsageError
from tests.apps.android.app_tests import exported_results, java_stubs, synthetic_networks

TESTS = HERE / "app" / "src" / "test" / "java"
ANSWERED = ("litert", "executorch")  # beside the app, by the runtimes of these names
MODEL = "torch_cnn_small"
PACKED = ("tflite-float32", "tflite-int8", "tflite-int8_io", "onnx-float32", "onnx-int8", "executorch-float32")
OPENED = "onnx-dynamic_int8"  # which tests open from files
IMAGES = 60  # of the evaluation set, so that a test takes seconds
TIMEOUT_S = 900


@click.command()
@options.beside("--artifacts", name="artifacts", kind=Folder(), text="Where they are.")
@click.option("--out", "target", default=HERE / "build", type=Folder(), help="Where screenshots go.")
def command(artifacts: Path, target: Path) -> None:
    """Run the app's tests, or those that EDGEWISE_APP_TESTS names; screenshots go to the build's folder."""
    started = time.perf_counter()
    validated()
    for program in ("aapt2", "java", "javac"):
        tools.find(program)
    folder = target / "test"
    _lay_out(folder, artifacts)
    linked = package.link(_fresh(folder / "parts"), "test", assets=folder / "assets")
    classpath = _compile(folder, linked.sources)
    for returned in ("int", "void"):  # of its older versions and its newer ones
        _compile_executorch(_fresh(folder / "executorch"), returned, classpath)
    _prove_gate(_fresh(folder / "probe"))
    _configure(folder, linked.base)
    shots = _fresh(target / "screenshots")
    fetched_s = time.perf_counter() - started
    names = sorted(path.stem for path in TESTS.rglob("*Test.java"))
    selection = os.environ.get("EDGEWISE_APP_TESTS", "").split()
    chosen = [name for name in names if not selection or name in selection]
    if not chosen or set(selection) - set(names):
        raise UsageError(f"EDGEWISE_APP_TESTS names no test of {' '.join(names)}.")
    exported = {folder / "exported.json": None, folder / "synthetic.json": folder / "synthetic"}
    for file in exported:
        file.unlink(missing_ok=True)
    _junit(folder, classpath, tuple(f"org.edgewise.app.{name}" for name in chosen), shots)
    for file, networks in exported.items():
        if not selection or file.exists():  # which not all tests write
            sentence = exported_results.compare(file, networks / "artifacts" if networks else artifacts, networks)
            out.print(plain(sentence), soft_wrap=True)
    took = f"{time.perf_counter() - started:.0f} s, {fetched_s:.0f} s of it before the first test"
    count = len(list(shots.glob("*.png")))
    out.print(plain(f"Every test passed; {count} screenshots in {shots}; {took}"), soft_wrap=True)


def _fresh(folder: Path) -> Path:
    files.remove(folder)
    folder.mkdir(parents=True)
    return folder


def _lay_out(folder: Path, source: Path) -> None:
    """Put artifacts and evaluation images where the app looks for its assets, and others where tests open files."""
    packed, opened = _fresh(folder / "assets" / "artifacts"), _fresh(folder / "opened")
    for recipe in (*PACKED, OPENED):
        artifact = artifact_files.read(artifact_files.sidecar_path(source, f"{MODEL}-{recipe}"))
        target = opened if recipe == OPENED else packed
        for path in (artifact_files.check(artifact, source), artifact_files.sidecar_path(source, artifact.id)):
            shutil.copy(path, target)
    synthetic, exporter = _fresh(folder / "synthetic"), environments.python("export", install="nox -s export")
    subprocess.run([exporter, "-m", synthetic_networks.__name__, synthetic], cwd=environments.ROOT, check=True)
    others = synthetic / "artifacts"
    for network, target in ((synthetic_networks.FRUIT, packed), (synthetic_networks.RIPENESS, opened)):
        for suffix in ("onnx", "json"):
            shutil.copy(others / f"{network.id}.{suffix}", target)
    for place, model in ((source, MODEL), (others, synthetic_networks.FRUIT.model)):
        facts, content = evaluation.described(reference.load(reference.path(place, model)), IMAGES)
        files.write_bytes(folder / "assets" / "evaluation" / f"{model}.json", json.dumps(facts).encode())
        files.write_bytes(folder / "assets" / "evaluation" / f"{model}.bin", content)
    versions_of = {"litert": "1", "executorch": "engine.aar, SHA-256 0123456789ab", "onnxruntime": "1"}
    described = {name: {"coordinates": f"tests:{name}", "version": version, "bytes": 1_400_000,
                        "small_pages": ["liblitert.so"] if name == "litert" else []}
                 for name, version in versions_of.items()}  # fmt: skip
    files.write_json(folder / "assets" / "build.json", {"build": "tests", "engines": described, "left_out": {}})


def _compile(folder: Path, generated: Path) -> tuple[Path, ...]:
    """Compile the app with the engines of the tests, and the tests; return the class path to run them with."""
    workers = tuple(f'WorkerEngine("{name}")' for name in ANSWERED)
    compile.write_built(generated, ("OnnxRuntime()", *workers))
    java_stubs.write(generated)
    fetched = tuple(jar.path for jar in jars.fetch("tests", versions.bundle("tests")))
    java = (*compile.sources(("onnxruntime",)), *sorted(generated.rglob("*.java")), *sorted(TESTS.rglob("*.java")))
    without = tuple(path for path in fetched if not path.name.startswith("android-all-instrumented"))
    compile.javac(java, (compile.jar("android-all"), *without), folder / "classes")
    return (folder / "classes", folder, *without, compile.jar("android-all"))


def _compile_executorch(folder: Path, returned: str, classpath: tuple[Path, ...]) -> None:
    """Compile the adapter whose archive no test needs, so that the app's own changes cannot break it unseen."""
    (adapter,) = (path for path in compile.sources(("executorch",)) if path.stem == ENGINES["executorch"].source)
    compile.javac((adapter, *java_stubs.write_executorch(folder, returned)), classpath, folder / "classes")


def _prove_gate(folder: Path) -> None:
    """Raise EdgewiseError where the gate on calls lets one pass that the oldest Android does not have."""
    source = folder / "Probe.java"
    newer = "byte[] read(java.io.InputStream s) throws Exception { return s.readAllBytes(); }"
    source.write_text(f"class Probe {{ {newer} }}")
    compile.javac((source,), (), folder / "classes")
    try:
        compile.check_calls(folder / "classes", ())
    except EdgewiseError as error:
        if "readAllBytes" in str(error):
            return
        raise
    msg = "The gate on calls of newer Androids lets InputStream.readAllBytes() pass, which came with API 33."
    raise EdgewiseError(msg)


def _configure(folder: Path, resources: Path) -> None:
    """Write how Robolectric finds resources and assets without Gradle."""
    properties = {
        "android_resource_apk": resources,
        "android_merged_manifest": compile.MAIN / "AndroidManifest.xml",
        "android_merged_assets": folder / "assets",
        "android_custom_package": "org.edgewise.app",
    }
    lines = "".join(f"{name}={value}\n" for name, value in properties.items())
    files.write_bytes(folder / "com" / "android" / "tools" / "test_config.properties", lines.encode())


def _frameworks(folder: Path) -> Path:
    """Put the Androids that tests run on into one folder, where Robolectric looks for them."""
    for name in ("tests", *jars.FRAMEWORKS):
        for jar in jars.fetch(name, versions.bundle(name)):
            if jar.path.name.startswith("android-all-instrumented"):
                (folder / jar.path.name).symlink_to(jar.path)
    return folder


def _junit(folder: Path, classpath: tuple[Path, ...], names: tuple[str, ...], shots: Path) -> None:
    properties = {
        "robolectric.offline": "true",
        "robolectric.dependency.dir": _frameworks(_fresh(folder / "frameworks")),
        "robolectric.packagesToNotAcquire": "ai.onnxruntime",
        "edgewise.inference_server": Path(__file__).with_name("inference_server.py"),
        "edgewise.screenshots": shots,
        "edgewise.opened": folder / "opened",
        "edgewise.exported": folder,
    }
    for name in ANSWERED:
        properties[f"edgewise.python.{name}"] = environments.python(name, install=f"nox -s 'device_tests({name})'")
        properties[f"edgewise.runtime.{name}"] = RUNTIMES.path(name)
    argv = [tools.find("java"), "-Xmx3g", "--add-opens=java.base/java.io=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
               *(f"-D{name}={value}" for name, value in properties.items()), "-cp", ":".join(map(str, classpath)),
               "org.junit.runner.JUnitCore", *names]  # fmt: skip
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise EdgewiseError(f"The tests of the Android app did not end in {TIMEOUT_S} s.") from error
    if done.returncode:
        raise EdgewiseError(f"Tests of the Android app failed, as is said above (exit code {done.returncode}).")


if __name__ == "__main__":
    console.main(command)
