"""The measurements that `nox -s pipeline` makes beside the cells, and those that it leaves out; imports no numpy."""

import json
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from device_tests.onboard.runtimes import FURTHER, here
from models import zoo

# The runtimes on which latencies are compared, whole and with --quick (others take seconds to start), and
# for how many seconds per dozen artifacts.
TIMED, TIMED_QUICK, ROUNDS_S = ("litert", "onnxruntime"), ("litert",), 1


@dataclass(frozen=True)
class Step:
    """A command of `python -m device_tests`, its verb first, and the environment that it runs in."""

    command: tuple[str, ...]
    python: str = "core"
    needs: tuple[str, ...] = ()  # other environments

    @property
    def verb(self) -> str:
        return self.command[0]


def options(arguments: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """Return the arguments that are one of these options, each with its value as `--name=value`."""
    matching = []
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        name, equals, value = argument.partition("=")
        if name in names:
            matching.append(f"{name}={value if equals else following}")
    return tuple(matching)


def steps(arguments: tuple[str, ...]) -> tuple[list[Step], list[str]]:
    """Return the steps for these arguments of `pipeline`, and a note on each thing that is left out."""
    if options(arguments, "--only", "--runtime", "--device"):
        commands = "nox -s explain -- --all, nox -s shipping, nox -s latency, nox -s instructions"
        return [], [f"Only some cells were asked for, so these were left out: {commands}"]
    quick = "--quick" in arguments
    places = options(arguments, "--models", "--artifacts", "--results")
    named = options(arguments, "--results")
    folder = Path(named[-1].partition("=")[2]) if named else beside_networks(arguments, "results") or Path("results")
    chosen = [Step(("explain", "--all", *places), python="export")]
    notes = ["The error of each layer was left out: nox -s explain -- --all --layers"]
    if quick:
        some = " ".join(f"--runtime {name}" for name in here() if name in FURTHER)
        notes.append(f"Further engines were left out: nox -s pipeline, or nox -s pipeline -- --quick {some}")
    else:
        chosen.append(Step(("npu", *places), needs=("vela",)))
    if shutil.which("strip"):
        target = f"--out={folder / 'shipping.json'}"
        chosen.append(Step(("shipping", *options(arguments, "--models", "--artifacts"), target)))
    else:
        notes.append("No runtime was weighed, for want of strip: apt-get install binutils, then nox -s shipping")
    timed = [name for name in (TIMED_QUICK if quick else TIMED) if not was_timed_longer(folder, name, ROUNDS_S)]
    if timed:
        runtimes = (f"--runtime={name}" for name in timed)
        chosen.append(Step(("latency", f"--limit={ROUNDS_S}", *runtimes, *places)))
        names = ", ".join(timed)
        notes.append(f"Latencies were compared for {ROUNDS_S} s per dozen artifacts on {names} only: nox -s latency")
    if platform.machine() == "x86_64" and shutil.which("qemu-x86_64") and shutil.which("cc"):
        network = "*" if beside_networks(arguments) else zoo.COUNTED
        counted = f"{network}-tflite-{'int8' if quick else '*'}@litert@*"
        chosen.append(Step(("instructions", "--jobs=2", f"--only={counted}", *places)))
        notes.append(f"Instructions were counted for {counted} only; all take an hour: nox -s instructions")
    else:
        package = "apt-get install qemu-user gcc libc6-dev"
        notes.append(f"No instructions were counted, for want of qemu or cc: {package}, then nox -s instructions")
    return chosen, notes


def beside_networks(arguments: tuple[str, ...], name: str = "") -> Path | None:
    """Return the folder of a user's own networks, or a file or folder in it; None for the zoo's networks."""
    named = options(arguments, "--models")
    folder = named[-1].partition("=")[2] if named else os.environ.get("EDGEWISE_MODELS")
    return Path(folder) / name if folder else None


def was_timed_longer(results: Path, runtime: str, limit_s: float) -> bool:
    """Tell whether latencies on a runtime were measured for longer, so that a short run must not replace them."""
    try:
        return json.loads((results / "latency" / f"{runtime}@desktop.json").read_text())["limit_s"] > limit_s
    except (OSError, ValueError, KeyError, TypeError):
        return False
