"""What the library that ships answers under the emulator is held against the golden vectors."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from apps.android import verify
from device_tests.results import compatibility
from models.common.errors import EdgewiseError, UsageError
from tests.apps.android.test_build import request, resolved
from tests.device_tests.conftest import artifact

GOLDEN = [np.array([0, 10, 5], np.float32), np.array([8, 0, 1], np.float32)]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda logits: logits, "equal"),
        (lambda logits: logits + np.float32(0.01), "within tolerance"),
        (lambda logits: logits + np.float32(0.5), "different"),
        (lambda logits: logits[::-1], "different"),
        (lambda logits: logits * np.float32("nan"), "different"),
    ],
)
def test_answers_are_equal_near_or_different(change, state):
    verdict = verify.compared(artifact("a-tflite-int8"), [change(logits) for logits in GOLDEN], GOLDEN)
    assert (verdict.state, verdict.good) == (state, state != "different")


def test_of_several_images_at_once_the_first_is_judged():
    tensor = {"shape": [4, 2], "dtype": "int8", "scale": 0.5, "zero_point": 1}
    answer = np.array([[3, 1], [3, 1], [3, 1], [3, 1]], np.int8).tobytes()
    assert verify._logits(answer, tensor).tolist() == [1.0, 0.0]


WRONGLY = "1 of 1 artifacts are answered wrongly by the library that ships: a-tflite-"


@pytest.mark.parametrize(
    ("scheme", "state", "reason", "failure"),
    [
        ("int8", "different", "4 of 4 golden vectors differ", pytest.raises(EdgewiseError, match=f"{WRONGLY}int8")),
        ("dynamic_int8", "different", "4 of 4 golden vectors differ", nullcontext()),
        # a crash is not the garbage that is known
        ("dynamic_int8", "not answered", "it crashed", pytest.raises(EdgewiseError, match="it crashed")),
    ],
)
def test_only_what_is_not_known_to_be_wrong_fails_the_build(scheme, state, reason, failure, monkeypatch, tmp_path):
    verdict = verify.Verdict(artifact=artifact(f"a-tflite-{scheme}"), state=state, reason=reason)
    engine = resolved(version="2.16.1", libraries={verify.ABI: {verify.LIBRARY: b""}})
    monkeypatch.setattr(verify.engines, "resolve", lambda *_: engine)
    monkeypatch.setattr(verify.assets, "choose", lambda *_: (verdict.artifact,))
    monkeypatch.setattr(verify, "judge", lambda *_: verdict)
    rows = []
    monkeypatch.setattr(verify, "keep", lambda verdict, engine, results: rows.append(verdict))
    with failure:
        verify.run(request(tmp_path, "*"))
    assert rows == [verdict]


def test_what_was_found_is_a_row_of_the_compatibility_grid(tmp_path):
    one = artifact("a-tflite-int8")
    engine = resolved(libraries={verify.ABI: {verify.LIBRARY: b"library"}})
    for version, state in (("2.16.1", "different"), ("1.4.0", "equal")):
        verify.keep(verify.Verdict(artifact=one, state=state), replace(engine, version=version), tmp_path)
    grid = compatibility.read(tmp_path, f"{one.id}@litert_android")
    assert [(trial.version, trial.outcome) for trial in grid.trials] == [("2.16.1", "mismatch"), ("1.4.0", "ok")]


def test_nothing_to_verify_is_no_success(monkeypatch, tmp_path):
    monkeypatch.setattr(verify.engines, "resolve", lambda *_: None)
    with pytest.raises(UsageError, match="--only GLOB"):
        verify.run(request(tmp_path))
