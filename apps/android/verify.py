"""The arm64 library that ships answers the golden vectors of the .tflite files, under an emulator of Android's C library.

What an engine gets wrong in silence on arm processors is caught here, before anybody holds the app. It says nothing of times.
"""

import base64
import hashlib
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.android import assets, engines, jars, tools, versions
from apps.android.build import Request
from apps.android.engines import Resolved
from apps.android.versions import HERE
from device_tests.onboard import pixels
from device_tests.results import compatibility
from device_tests.results.compatibility import Grid, Trial
from export import artifact as artifacts
from export.artifact import Artifact
from models.common import files
from models.common.console import out, plain
from models.common.errors import EdgewiseError, UsageError

ABI, LIBRARY = "arm64-v8a", "libtensorflowlite_jni.so"
TOLERANCE = 0.01  # of the golden logits' span, as the app's own check has it
LIMIT_S = 180  # for one artifact: the emulator waits for a person where the library crashes


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of an artifact: its state, the largest difference of a logit, and why where it was not answered."""

    artifact: Artifact
    state: str
    difference: float = float("nan")
    reason: str = ""

    @property
    def good(self) -> bool:
        return self.state in ("equal", "within tolerance")


def run(request: Request) -> None:
    """Judge every .tflite file that the app packs; raises EdgewiseError for a wrong one that assets.WRONG does not list."""
    if "litert" not in request.engines:
        out.print("Nothing to verify: the app has no litert.")
        return
    engine = engines.resolve("litert", request.archives.get("litert", ()), request.scratch / "engines")
    chosen = [a for a in assets.choose(request.artifacts, request.patterns, ("litert",)) if a.format == "tflite"]
    if not chosen:
        raise UsageError("--verify judges .tflite files that the app packs, and there are none. Name some: --only GLOB")
    verdicts = []
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / LIBRARY
        library.write_bytes(engine.libraries[ABI][LIBRARY])
        for artifact in chosen:
            verdict = judge(library, request.artifacts, artifact, Path(scratch))
            verdicts.append(verdict)
            detail = verdict.reason or f"largest difference {verdict.difference:.2g}"
            out.print(plain(f"{verdict.state}: {artifact.id} by {LIBRARY} of {ABI}: {detail}"), soft_wrap=True)
            keep(verdict, engine, request.results)
    expected = assets.WRONG.get((engine.id, engine.version), ())  # of which the build has warned
    wrong = [v for v in verdicts if not v.good and not (v.state == "different" and v.artifact.scheme in expected)]
    if wrong:
        which = "; ".join(f"{v.artifact.id} ({v.reason or v.state})" for v in wrong)
        msg = f"{len(wrong)} of {len(verdicts)} artifacts are answered wrongly by the library that ships: {which}"
        raise EdgewiseError(msg)


def keep(verdict: Verdict, engine: Resolved, results: Path) -> None:
    """Write an artifact's row of the compatibility grid, beside those of other versions of the engine."""
    outcome = "ok" if verdict.good else "mismatch" if verdict.state == "different" else "run_failed"
    library = hashlib.sha256(engine.libraries[ABI][LIBRARY]).hexdigest()
    key = hashlib.sha256(f"{library} {verdict.artifact.sha256}".encode()).hexdigest()
    trial = Trial(version=engine.version, outcome=outcome, reason=verdict.reason, key=key)
    runtime = compatibility.in_the_app(engine.id)
    before = compatibility.read(results, f"{verdict.artifact.id}@{runtime}")
    same = before is not None and before.artifact_sha256 == verdict.artifact.sha256
    others = tuple(t for t in before.trials if t.version != trial.version) if same else ()
    compatibility.save(Grid(artifact=verdict.artifact.id, runtime=runtime, artifact_sha256=verdict.artifact.sha256,
                            trials=(*others, trial)), results)  # fmt: skip


def judge(library: Path, folder: Path, artifact: Artifact, scratch: Path) -> Verdict:
    """Return the verdict on an artifact, which a process of its own answers within a time limit."""
    file = artifacts.check(artifact, folder)
    sidecar = json.loads(artifacts.sidecar_path(folder, artifact.id).read_text())
    source, target = sidecar["inputs"][0], sidecar["outputs"][0]
    images = [pixels.native(pixels.golden_image(g, sidecar), source, sidecar["layout"]) for g in sidecar["golden"]]
    inputs = scratch / "inputs"
    files.write_bytes(inputs, b"".join(np.ascontiguousarray(image).tobytes() for image in images))
    try:
        output = answered(library, file, inputs, len(images), "xnnpack")
        if re.search("^failed", output, re.MULTILINE):  # as the app's engine does where XNNPACK takes a file not
            output = answered(library, file, inputs, len(images), "none")
    except subprocess.TimeoutExpired:
        return Verdict(artifact=artifact, state="not answered", reason=f"no answer in {LIMIT_S} s: it crashed or hangs")
    outputs = [base64.b64decode(line.split()[1]) for line in output.splitlines() if line.startswith("answer ")]
    if len(outputs) != len(images):
        failures = [line for line in output.splitlines() if line.startswith("failed ")]
        return Verdict(artifact=artifact, state="not answered", reason=(failures or ["failed without a word"])[0])
    logits = [_logits(answer, target) for answer in outputs]
    return compared(artifact, logits, [np.array(g["logits"], np.float32) for g in sidecar["golden"]])


def answered(library: Path, model: Path, inputs: Path, count: int, delegate: str) -> str:
    """Return what the emulated library prints; raises TimeoutExpired where it does not come to an end."""
    classpath = ":".join(str(jar.path) for jar in jars.fetch("emulator", versions.bundle("emulator")))
    command = [tools.find("java"), "-cp", classpath, str(HERE / "programs" / "Emulated.java"), str(library), str(model), str(inputs),
               str(count), delegate]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, input="").stdout


def _logits(answer: bytes, tensor: dict) -> np.ndarray:
    """Return the logits of the first image, [K]."""
    return pixels.dequantized(np.frombuffer(answer, tensor["dtype"]).reshape(pixels.single(tensor)), tensor)[0]


def compared(artifact: Artifact, ours: list[np.ndarray], golden: list[np.ndarray]) -> Verdict:
    """Return the verdict on an artifact's logits [K] of each golden vector."""
    pairs = list(zip(ours, golden, strict=True))
    off = [float(np.abs(a - b).max()) if np.isfinite(a).all() else float("inf") for a, b in pairs]
    other = sum(int(a.argmax() != b.argmax()) for a, b in pairs)
    far = sum(distance > TOLERANCE * float(np.ptp(b)) for distance, b in zip(off, golden, strict=True))
    difference = max(off, default=0.0)
    if other or far:
        reason = f"{max(other, far)} of {len(golden)} golden vectors differ, a logit by {difference:.3g}"
        return Verdict(artifact=artifact, state="different", difference=difference, reason=reason)
    return Verdict(artifact=artifact, state="within tolerance" if difference else "equal", difference=difference)
