"""ExecuTorch without PyTorch: its wheel's own libraries behind a small C interface, compiled for the device."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from device_tests.onboard import runtimes
from models.common.errors import EnvironmentMissing

SOURCE = Path(__file__).with_suffix(".cpp")
RUNTIME = Path(runtimes.__file__).with_name("_executorch_native.py")
LIBRARIES = ("executorch", "executorch_kernels_optimized", "executorch_kernels_quantized",
             "executorch_backend_xnnpack", "executorch_threadpool")  # fmt: skip
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", "-DC10_USING_CUSTOM_GENERATED_MACROS")


def require(triplet: str) -> None:
    """Raise EnvironmentMissing where there is no compiler for the device."""
    if not shutil.which(f"{triplet}-g++"):
        package = f"g++-{triplet.replace('_', '-')}"
        msg = f"ExecuTorch needs {triplet}-g++. On Debian and Ubuntu install it with: sudo apt-get install {package}"
        raise EnvironmentMissing(msg)


def compile_interface(wheel: Path, triplet: str) -> None:
    """Compile the interface beside the libraries of ExecuTorch's unpacked wheel, before its headers are trimmed."""
    headers, libraries = (wheel / "executorch" / part for part in ("include", "lib"))
    if not headers.exists():
        return  # another wheel of the same pins
    command = (
        *(f"{triplet}-g++", *FLAGS, "-I", headers, "-I", headers / "executorch/runtime/core/portable_type/c10"),
        *(SOURCE, "-o", libraries / "libedgewise.so", "-L", libraries),
        # kernels and delegates register themselves when they are loaded; no symbol refers to them
        *("-Wl,--no-as-needed", *(f"-l{name}" for name in LIBRARIES)),
    )
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentMissing(f"{triplet}-g++ does not compile {SOURCE.name}: {done.stderr.strip()}")
