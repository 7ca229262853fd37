"""What a placement concludes from its operators, which of that is a defect, and how a runtime is asked which ones it gave away."""

import json
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

from device_tests.measure.explain import placement as placements
from device_tests.measure.explain import tflite
from device_tests.measure.explain.placement import Layer
from device_tests.results import placements as placement_files
from device_tests.results.placements import Operator, Placement
from models.common.errors import DataError, EdgewiseError
from tests import interpreters, programs
from tests.device_tests import conftest

LAYERS = (Layer(name="conv1", macs=900, parameters=90), Layer(name="dense1", macs=100, parameters=910))


def operators(**changes) -> tuple[Operator, ...]:
    weighted = {"weights": "int8", "activations": "int8", "integer": True, "taken": True} | changes
    each = (Operator(name="POOL", taken=True), Operator(name="CONV", **weighted), Operator(name="DENSE", **weighted))
    return placements.with_layers(each, LAYERS)


def placement(scheme: str = "int8", **changes) -> Placement:
    facts = {"runtime": "litert", "delegate": "XNNPACK", "operators": operators(), **changes}
    whole = conftest.placement(f"torch_cnn-tflite-{scheme}", **facts)
    return replace(whole, defects=placements.defects(whole, scheme))


def test_layers_are_given_to_operators_in_their_order_or_by_their_parameters_and_never_by_a_guess():
    assert [(o.layer, o.macs) for o in operators()] == [("", 0), ("conv1", 900), ("dense1", 100)]
    dense, conv = (Operator(name=name, weights="int8", parameters=n) for name, n in (("DENSE", 910), ("CONV", 90)))
    paired = placements.with_layers((dense, conv), LAYERS)  # as where branches come in another order
    assert [(o.layer, o.macs) for o in paired] == [("dense1", 100), ("conv1", 900)]
    with pytest.raises(DataError, match="computes 1 layers with weights .CONV., the network has 2"):
        placements.with_layers((replace(conv, parameters=0),), LAYERS)
    with pytest.raises(DataError, match="do not fit each other"):
        placements.with_layers((replace(conv, parameters=91), dense), LAYERS)


def test_shares_are_of_a_delegate_if_there_is_one_and_integers_in_float_and_an_idle_delegate_are_defects():
    pool, conv, dense = operators()
    example = placement(operators=(pool, replace(conv, taken=False), dense))
    assert (example.delegated_nodes, example.delegated_macs, example.integer_macs) == (2 / 3, 0.1, 1.0)
    example = placement(delegate="", operators=operators(taken=False))
    assert (example.delegated_nodes, example.delegated_macs, example.defects) == (None, None, ())

    assert placement().defects == ()
    assert placement("float32", operators=operators(weights="float32", integer=False)).defects == ()
    (defect,) = placement(operators=operators(integer=False)).defects
    assert (defect.kind, defect.share) == (placement_files.INTEGERS, 0.0)
    assert str(defect) == "int8 computes only 0% of the weights in integers; in float: conv1, dense1"
    idle = placement(operators=operators(taken=False))
    assert [str(d) for d in idle.unexpected] == ["XNNPACK took 0% of the MACs (1 of 3 operators)"]


def test_a_known_defect_is_told_with_its_reason_and_expected_by_its_kind_and_not_its_words():
    example = placement("int16x8", operators=operators(taken=False))
    (defect,) = example.defects
    assert example.unexpected == ()
    why = "XNNPACK has no kernels for 16-bit activations"
    assert placement_files.as_json(example)["expected_defects"] == {str(defect): why}
    assert placement_files.why_expected(example.id, replace(defect, text="the delegate ran hardly anything")) == why
    assert not placement_files.why_expected(example.id, replace(defect, kind=placement_files.INTEGERS))
    other = placement("int16x8", operators=operators(integer=False))
    assert [d.kind for d in other.unexpected] == [placement_files.INTEGERS]


def test_a_placement_is_read_as_it_was_written_and_one_that_is_none_is_said(tmp_path):
    broken = placement(operators=operators(taken=False, integer=False))
    file = placement_files.path(tmp_path, broken.id)
    assert placement_files.read(tmp_path, broken.id) is None
    placement_files.save(broken, tmp_path)
    assert placement_files.read(tmp_path, broken.id) == broken
    assert len(broken.defects) == 2
    placement_files.save(placement(), tmp_path)
    assert json.loads(file.read_text())["delegated_macs"] == 1.0
    file.write_text('{"artifact": "a"}')
    with pytest.raises(DataError, match="is no placement report .Object missing required field"):
        placement_files.read(tmp_path, broken.id)


ANSWERING = """
import sys
for line in sys.stdin: print('{"taken": [0, 2], "amx": null, "accelerated": null}', flush=True)
"""
HANG = """
import os, subprocess, sys, time
with open(os.environ["PIDS"], "a") as file: print(subprocess.Popen(["sleep", "600"]).pid, file=file)
sys.stdin.read()
time.sleep(600)
"""
FILE = Path("net.tflite")


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """Return a function that lets a runtime's Python run a program of the test's; each start appends its process id."""
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path))
    monkeypatch.setattr(tflite, "TIMEOUT_S", 60.0)

    def install(program: str) -> Path:
        code, pids = tmp_path / "program.py", tmp_path / "pids"
        code.write_text(program)
        noting = f'export PIDS="{pids}"; echo $$ >> "$PIDS"'
        interpreters.install(tmp_path, "litert", arguments=f'"{code}"', before=noting)
        return pids

    tflite._process.cache_clear()
    yield install
    tflite._process.cache_clear()


def test_a_runtime_that_hangs_is_killed_with_all_that_it_started_and_is_an_error(runtime, monkeypatch):
    pids = runtime(HANG)
    monkeypatch.setattr(tflite, "TIMEOUT_S", 1.0)
    with pytest.raises(EdgewiseError, match="litert does not load net.tflite: no answer in 1 s"):
        tflite._placement(FILE, "litert")
    own, child = pids.read_text().split()
    assert programs.ends(int(own))
    assert programs.ends(int(child))


@pytest.mark.parametrize(
    "line",
    [
        "'garbage'",
        "'[]'",
        "'{}'",
        """'{"taken": "all", "amx": null, "accelerated": null}'""",
        """'{"taken": [0.5], "amx": null, "accelerated": null}'""",
        """'{"taken": [0], "amx": "yes", "accelerated": null}'""",
        """'{"error": 7}'""",
        "'[' * 100_000",
        "'x' * 3_000_000",
    ],
)
def test_what_is_no_answer_is_an_error_and_the_next_file_gets_a_new_process(runtime, line):
    pids = runtime(f"import sys\nsys.stdin.readline()\nprint({line}, flush=True)\nsys.stdin.read()")
    with pytest.raises(EdgewiseError, match="litert does not load net.tflite: its process wrote something that is no"):
        tflite._placement(FILE, "litert")
    runtime(ANSWERING)
    assert tflite._placement(FILE, "litert") == tflite._placement(FILE, "litert")
    assert tflite._placement(FILE, "litert")["taken"] == [0, 2]
    first, second = pids.read_text().split()  # which answers for several files
    assert first != second


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (f"sys.stdin.readline()\nos.kill(os.getpid(), {int(signal.SIGSEGV)})", "killed by SIGSEGV"),
        ("sys.stdin.readline()\nsys.exit(3)", "ended with exit code 3"),
        ("sys.exit(4)", "ended with exit code 4"),
    ],
)
def test_a_runtime_that_dies_says_how(runtime, end, message):
    runtime(f"import os, sys\n{end}")
    if "readline" not in end:  # it does not wait until it is asked
        tflite._process("litert").wait()
    with pytest.raises(EdgewiseError, match=f"litert does not load net.tflite: {message}"):
        tflite._placement(FILE, "litert")
