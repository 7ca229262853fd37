"""The runtimes' published wheels for another machine, each unpacked into a folder of its own and trimmed."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from device_tests.transport.bundle.debian import remove
from models.common.errors import EnvironmentMissing

# the C libraries that a wheel may need: Debian 12 has 2.36
PLATFORMS = (
    *("manylinux_2_35", "manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_27"),
    *("manylinux_2_17", "manylinux2014"),
)
# files that no inference loads
LEFT_OUT = (
    *("**/tests", "**/*.pyi", "**/*.pxd", "**/*.h", "**/*.a", "**/*.lib", "**/_simd.*.so"),
    *("numpy/f2py", "numpy/distutils", "numpy/typing", "numpy/random/lib", "numpy/random/_examples"),
    *("ai_edge_litert/libLiteRtWebGpuAccelerator.so", "ai_edge_litert/aot"),
    *("onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools", "onnxruntime/datasets"),
    "onnxruntime/capi/libonnxruntime.so*",  # for C programs; Python's module has its own copy
    *("executorch/[!l]*", "executorch/lib/cmake", "executorch/lib/*openvino*", "executorch/lib/*etdump*"),
    # artifacts are in its own format or ONNX, on the CPU; its Python modules stay, for `import openvino` imports all
    *(f"openvino/libs/libopenvino_{name}_frontend.*" for name in ("gguf", "jax", "paddle", "pytorch", "tensorflow*")),
    *(f"openvino/libs/libopenvino_{name}_plugin.*" for name in ("auto", "auto_batch", "hetero", "intel_[gn]pu")),
    *("openvino/include", "openvino/cmake", "openvino/tools", "openvino/libs/*intel_npu*", "openvino/libs/cache.json"),
    *("openvino/libs/libopenvino_c.*", "openvino/libs/libtbbmalloc_proxy.*", "ncnn/model_zoo", "ncnn/utils"),
)
CONVERTERS = ("pnnx",)  # pinned together with a runtime, but only for conversions


def install(
    folder: Path, constraints: Path, *, machine: str, unpacked: Callable[[Path], None] | None = None
) -> tuple[str, ...]:
    """Unpack the pinned wheels into `folder`/NAME-VERSION, where they are missing; return these names.

    `unpacked` is called with each new folder before it is trimmed. Raises EnvironmentMissing where a wheel is not
    available.
    """
    lines = (line for line in constraints.read_text().splitlines() if line and not line.startswith("#"))
    pins = [pin for pin in lines if pin.partition("==")[0] not in CONVERTERS]
    platforms = (part for name in PLATFORMS for part in ("--platform", f"{name}_{machine}"))
    with tempfile.TemporaryDirectory() as temporary:
        command = (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"),
            *("--python-version", "3.11", *platforms, "--dest", temporary, *pins),
        )
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["it says nothing"]
            msg = f"pip cannot download what {constraints.name} pins for {machine}: {errors[-1]} A bundle needs the network."
            raise EnvironmentMissing(msg)
        return tuple(unpack(wheel, folder, unpacked) for wheel in sorted(Path(temporary).glob("*.whl")))


def unpack(wheel: Path, folder: Path, unpacked: Callable[[Path], None] | None = None) -> str:
    """Unpack a wheel into `folder`/NAME-VERSION and trim it, if it is missing; return that name."""
    name = "-".join(wheel.name.split("-")[:2])
    if not (folder / name).exists():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / name)
        if unpacked:
            unpacked(folder / name)
        remove(folder / name, LEFT_OUT)
    return name
