"""A small real project: artifacts of a linear network, a fake runtime that ran them, and every record that commands read."""

import base64
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import device_tests.onboard.runtimes
from device_tests import current_results, machine_lock, onboard
from device_tests.measure import runner
from device_tests.onboard import worker
from device_tests.results import compatibility, instructions, judging, layers, placements
from device_tests.results import shipping as footprints
from device_tests.results.row import Row
from export import artifact as artifacts
from export import matrix
from models import reference
from models.common import files, records
from models.images import network_input
from models.reference import EvaluationSet
from tests import interpreters
from tests.device_tests.conftest import MODEL, RUNTIME, footprint, joined, placement, save_artifact, save_reference

SCHEMES = ("float32", "int8", "dynamic_int8")  # exact, a little off, and garbage
ENGINE, PAGE, BROWSER = "onnxruntime", "onnxruntime_web", "browser:firefox"
IMAGES, DIGITS = 60, 20


def artifact_id(scheme: str) -> str:
    return f"{MODEL}-onnx-{scheme}"


def cell_id(scheme: str, runtime: str = ENGINE, device: str = "desktop") -> str:
    return f"{artifact_id(scheme)}@{runtime}@{device}"


@dataclass(frozen=True, kw_only=True)
class World:
    """The untouched project, which each example copies, and what is true in it."""

    folder: Path
    truth: MappingProxyType[str, Row]

    @property
    def records(self) -> tuple[str, ...]:
        """Every file of the project that a command reads as a record, by its path there."""
        return tuple(sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*.json")))

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """Yield a copy for one example."""
        project = self.folder.with_name("project")
        shutil.copytree(self.folder, project)
        try:
            yield project
        finally:
            shutil.rmtree(project)


def patch(patches: pytest.MonkeyPatch, home: Path) -> None:
    """Make the commands of this process see the small matrix, the fake runtime and a machine of their own."""
    every = matrix.recipes
    patches.setattr(machine_lock, "folder", lambda: home / "machine")
    patches.setenv("EDGEWISE_ENVS", str(home / "envs"))
    patches.setenv("HOME", str(home / "home"))
    patches.delenv("GITHUB_ACTIONS", raising=False)
    patches.setattr(device_tests.onboard.runtimes, "__path__", [str(home / "runtimes")])
    patches.setattr(matrix, "MATRIX", {"torch": {"onnx": SCHEMES}, "keras": {}})
    patches.setattr(matrix, "recipes", lambda: tuple(r for r in every() if r.model == MODEL))
    patches.setattr(sys, "dont_write_bytecode", True)
    patches.setattr(runner, "LATENCY_S", 0.05)
    forget()


def forget() -> None:
    """Forget what this process keeps of installed runtimes: other tests have others."""
    for name in [name for name in sys.modules if name.startswith("device_tests.onboard.runtimes.")]:
        del sys.modules[name]
    current_results.packages.cache_clear()
    current_results.pinned.cache_clear()


def install(home: Path) -> None:
    """Write the fake runtime and its environment."""
    for name in ("machine", "home", "runtimes"):
        (home / name).mkdir(parents=True)
    (home / "runtimes" / f"{ENGINE}.py").write_text(RUNTIME.replace(".pt", ".onnx"))
    interpreters.install(home / "envs", ENGINE)


def export(project: Path) -> None:
    """Write the reference and the artifacts."""
    rng = np.random.default_rng(0)
    folder = project / "artifacts"
    weights = rng.normal(size=(784, 10)).astype(np.float32)
    sets = []
    for count in (IMAGES, DIGITS):
        images = np.kron(rng.integers(0, 256, (count, 4, 4), np.uint8), np.ones((7, 7), np.uint8))  # which compresses
        logits = network_input(images, "hw").reshape(-1, 784) @ weights
        labels = logits.argmax(1).astype(np.uint8)
        labels[:6] = (labels[:6] + 1) % 10  # the float source is wrong on six
        sets.append({"images": images, "labels": labels, "logits": logits})
    evaluation = save_reference(folder, **sets[0], others={"digits": EvaluationSet(**sets[1])})
    image = base64.b64encode(evaluation.images[0].tobytes()).decode()
    golden = ({"label": int(evaluation.labels[0]), "logits": evaluation.logits[0].tolist(), "image_u8": image},)
    data = {"name": "mnist", "split": "test", "sha256": evaluation.dataset_sha256, "images": IMAGES}
    for scheme, off in zip(SCHEMES, (0.0, 0.06, -2.0), strict=True):
        noise = rng.normal(size=weights.shape) if off > 0 else weights
        other = (weights + off * noise).astype(np.float32)
        save_artifact(
            folder, other, f"{artifact_id(scheme)}.onnx", compressed_bytes=1_000, macs=7840, golden=golden, dataset=data
        )


def page(project: Path) -> None:
    """Write what the web demo would save: two artifacts, one of which answers a little otherwise than the desktop."""
    evaluation = reference.load(reference.path(project / "artifacts", MODEL))
    saved = []
    for scheme in SCHEMES[:2]:
        artifact = artifacts.read(artifacts.sidecar_path(project / "artifacts", artifact_id(scheme)))
        logits = np.load(project / "results" / "logits" / f"{cell_id(scheme)}.npy")
        if scheme != "float32":
            logits = logits + np.float32(0.25) * (np.arange(len(logits)) % 2)[:, None].astype(np.float32)
        judged = judging.judge(logits, evaluation)
        saved.append({
            **{"artifact": artifact.id, "runtime": PAGE, "device": BROWSER, "outcome": "ok", "reason": ""},
            **{"notes": [], "environment": {"cpu": "a phone"}, "artifact_sha256": artifact.sha256},
            **{"total": judged.total, "correct": judged.correct, "agree": judged.agree},
            **{"load_ns": 10**6, "first_ns": 10**6, "latencies_ns": [10**5] * 20},
            "answers": worker.packed(logits),
        })  # fmt: skip
    files.write_json(project / "page.json", saved)


def extras(project: Path) -> None:
    """Write the records that other commands leave beside the results."""
    results = project / "results"
    exported = [artifacts.read(artifacts.sidecar_path(project / "artifacts", artifact_id(s))) for s in SCHEMES[:2]]
    for artifact in exported:
        inputs = current_results.of_load(ENGINE, artifact, current_results.packages(ENGINE, "desktop"), onboard.PROBE)
        instructions.save(
            instructions.InstructionCount(
                artifact=artifact.id, runtime=ENGINE, device="desktop", artifact_sha256=artifact.sha256,
                samples=(7_000, 7_001), cpu="qemu-x86_64 max", inputs={k: v for k, v in inputs.items() if v}),
            results)  # fmt: skip
        operators = (placements.Operator(name="conv", macs=3, taken=True, weights="int8", parameters=3, layer="one"),
                     placements.Operator(name="dense", macs=1))  # fmt: skip
        placed = placement(
            artifact.id, key=current_results.explanation(artifact, ENGINE), runtime=ENGINE, versions={"numpy": "2"},
            instruction_sets=("avx2",), delegate="a delegate", operators=operators, notes=("a note",),
            parts=(placements.Part(name="weights", section="tensors", size_bytes=100),),
            defects=(placements.Defect(kind=placements.DELEGATED, share=0.75, text="little is delegated"),))  # fmt: skip
        placements.save(placed, results)
        errors = (layers.LayerError(layer="one", sqnr_db=40.0, max_abs=0.1, cosine=1.0, own_sqnr_db=5.0),)
        layers.save(layers.Layers(artifact=artifact.id, key=current_results.explanation(artifact, current_results.EXPORT), images=10,
                                  tool="a tool", errors=errors), results)  # fmt: skip
        trial = compatibility.Trial(version="1.0", outcome="ok", reason="", key="k")
        compatibility.save(compatibility.Grid(artifact=artifact.id, runtime=ENGINE, artifact_sha256=artifact.sha256,
                                              trials=(trial,)), results)  # fmt: skip
    interval = {"value": 1_000.0, "low": 990.0, "high": 1_010.0}
    roof = {"roof": "float32", "roof_share": 0.1}
    summary = {"p50_ns": interval, "p90_ns": interval, "p99_ns": None, **roof, "rounds": 20, "samples": 40}
    ratio = {"ratio": {"value": 1.1, "low": 1.0, "high": 1.2}}
    files.write_json(results / "latency" / f"{ENGINE}@desktop.json", {
        **{"seed": 0, "date": "2026-01-02", "roofs": [{"dtype": "float32", "macs_per_s": 1e9}]},
        "series": [{"id": cell_id(a.scheme), "artifact_sha256": a.sha256, "environment": {"cpu": "a CPU"}} for a in exported],
        "summary": [{"id": cell_id(a.scheme), **summary, **(ratio if a.scheme != "float32" else {})} for a in exported],
    })  # fmt: skip
    weighed = footprint(ENGINE, artifact=exported[0].id, elsewhere="less", versions={"numpy": "2"})
    records.write(results / footprints.FILE, (weighed,))


def truth(project: Path) -> MappingProxyType[str, Row]:
    """Return what is true of each cell."""
    return MappingProxyType({row.id: row for row in joined(project / "artifacts", project / "results")})


# for each figure that the logits and the artifact bear out, which cell's is held and on which side it can be broken
HELD = {
    **{name: (cell_id("int8"), "min") for name in ("top1", "agreement")},
    **{name: (cell_id("int8"), "max") for name in
       ("size_bytes", "compressed_bytes", "flip_rate", "top1_loss", "top1_loss_bound", "max_abs_error", "ece", "recall_loss")},
    "same_as_desktop": (cell_id("int8", PAGE, BROWSER), "min"),
    "difference": (cell_id("int8", PAGE, BROWSER), "max"),
}  # fmt: skip


def budget(id: str, metric: str, limit: str) -> str:
    """Return a row of budgets.toml."""
    return f'[[budget]]\nids = ["{id}"]\nmetric = "{metric}"\n{limit}\nwhy = "measured"\n'


def budgets(true: MappingProxyType[str, Row], broken: str = "", outcome: str = "mismatch") -> str:
    """Return budgets that the truth keeps, but for one metric; `outcome` is what the garbage must give."""
    text = budget("*", "outcome", 'is = "ok"') + budget(cell_id("dynamic_int8"), "outcome", f'is = "{outcome}"')
    for metric, (id, side) in HELD.items():
        value = getattr(true[id], metric)
        away = (1 if isinstance(value, int) else 0.02 * abs(value)) * (1 if side == "max" else -1)
        text += budget(id, metric, f"{side} = {json.dumps(value - away if metric == broken else value + away)}")
    for metric in ("instructions", "delegated_share", "latency_ratio", "peak_over_runtime_bytes"):
        text += budget(cell_id("int8"), metric, "min = 0")
    return text + budget(cell_id("int8"), "agreement", 'set = "digits"\nmin = 0')
