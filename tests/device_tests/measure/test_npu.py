"""What vela says, read from its words: its crashes, its zero percent that it calls a success, its estimates."""

import pytest
from msgspec.structs import replace

from device_tests import current_results, join
from device_tests.commands import npu as npu_command
from device_tests.measure import npu
from device_tests.results import npu as records
from device_tests.results.npu import Compiled, Npu
from export.recipe import Recipe
from models.common.errors import EdgewiseError, UsageError
from tests import programs
from tests.device_tests.conftest import MODEL, measured

WARNING = "Warning (supported operators) operator: {}, ofm: 'x'\nReason: Unsupported opType\n"
COUNTS = "CPU operators = {} (1.0%)\nNPU operators = {} (1.0%)\n"
SUMMARY = {"sram_memory_used": "11.25", "dram_memory_used": "0.0", "on_chip_flash_memory_used": "0.0",
           "off_chip_flash_memory_used": "24.0", "inferences_per_second": "10024.25"}  # fmt: skip


def test_crashes_and_ends_with_0_that_tell_nothing_are_no_success_and_estimates_are_bytes():
    one = npu.parsed("ethos-u55-128", -8, "", None)
    assert (one.outcome, one.reason, one.share) == ("failed", "vela killed by SIGFPE", 0)
    for text, summary in (("", SUMMARY), (COUNTS.format(0, 9), None)):
        assert npu.parsed("ethos-u55-128", 0, text, summary).outcome == "failed"
    one = npu.parsed("ethos-u55-128", 0, WARNING.format("CONV_2D") + COUNTS.format(9, 0), SUMMARY)
    assert (one.outcome, one.share, one.left) == ("unsupported", 0, ("CONV_2D",))
    assert one.reason == "vela ended with 0 and left all 9 operators on the CPU"

    text = WARNING.format("QUANTIZE") + WARNING.format("DEQUANTIZE") + COUNTS.format(2, 6)
    one = npu.parsed("ethos-u55-128", 0, text, SUMMARY)
    assert (one.outcome, one.share, one.left) == ("ok", 0.75, ("DEQUANTIZE", "QUANTIZE"))
    assert (one.sram_bytes, one.flash_bytes, one.inferences_per_s) == (11_520, 24_576, 10_024.25)


def record(scheme: str, **facts) -> Npu:
    defaults = {"accelerator": "ethos-u55-128", "outcome": "ok", "npu_operators": 9, "cpu_operators": 1}
    return Npu(artifact=f"{MODEL}-tflite-{scheme}", key="k", version="5", compiled=(Compiled(**defaults | facts),))


def test_integer_schemes_must_get_to_the_npu_and_others_need_not_and_only_tflite_files_are_compiled(monkeypatch):
    assert {recipe.format for recipe in npu_command.select(("*-int8",))} == {"tflite"}
    with pytest.raises(UsageError, match="takes no others"):
        npu_command.select(("*-onnx-*",))
    nothing = {"outcome": "unsupported", "npu_operators": 0, "reason": "all on the CPU"}
    crash = {"outcome": "failed", "reason": "vela killed by SIGFPE"}
    fine = [record("int8"), record("float32", **nothing), record("int4", **crash)]
    assert npu_command.broken(fine) == []
    bad = npu_command.broken([*fine, record("int8_io", **nothing), record("qat_int8", **crash)])
    assert len(bad) == 2
    with pytest.raises(EdgewiseError, match="2 integer files do not get to the NPU"):
        npu_command.fail(bad)
    monkeypatch.setenv("EDGEWISE_MODELS", "/mine")
    npu_command.fail(bad)  # of one's own networks it is told


@pytest.fixture
def vela(folders):
    """Return a function that makes the interpreter of the environment `vela` say what it is given."""
    python = folders.environments / "vela" / "bin" / "python"
    return lambda text, code=0: programs.script(python, f"cat <<'END'\n{text}\nEND\nexit {code}")


def test_a_crash_and_a_refusal_of_the_real_command_are_records_that_are_kept(vela, folders, command, monkeypatch):
    recipe = Recipe(model=MODEL, format="torchscript", scheme="float32")
    monkeypatch.setattr(npu_command, "select", lambda patterns: (recipe,))
    vela(COUNTS.format(3, 0))
    command("npu")
    artifact = folders.artifact
    stored = current_results.npu(folders.bench.results, artifact)
    assert [one.outcome for one in stored.compiled] == ["unsupported"] * len(npu.ACCELERATORS)
    vela("", code=1)  # is not asked: the record is current
    command("npu")
    assert current_results.npu(folders.bench.results, artifact) == stored
    command("npu", "--force")
    assert current_results.npu(folders.bench.results, artifact).compiled[0].reason == "vela ended with exit code 1"
    assert current_results.npu(folders.bench.results, replace(artifact, sha256="0" * 64)) is None


def test_a_row_of_tflite_micro_gets_the_least_share_and_others_none(folders):
    artifact = folders.artifact
    one = Compiled(accelerator="a", outcome="ok", npu_operators=3)
    two = (one, replace(one, accelerator="b", cpu_operators=1))
    key = current_results.npu_key(artifact)
    records.save(Npu(artifact=artifact.id, key=key, version="5", compiled=two), folders.bench.results)
    added = join.Added(folders.bench.results, ())
    assert added._npu(measured(runtime="tflite_micro"), artifact) == {"npu_share": 0.75}
    assert added._npu(measured(runtime="litert"), artifact) == {}


def test_an_integer_file_that_was_not_made_is_no_success(monkeypatch, command, vela):
    vela("")
    monkeypatch.delenv("EDGEWISE_MODELS", raising=False)
    compiled = [record("int8", sram_bytes=1, flash_bytes=1, inferences_per_s=1.0)]
    missing = [f"{MODEL}-tflite-int8_io: missing"]
    monkeypatch.setattr(npu_command, "_compile_all", lambda *_, **__: (compiled, missing))
    recipes = tuple(Recipe(model=MODEL, format="tflite", scheme=scheme) for scheme in ("int8", "int8_io"))
    monkeypatch.setattr(npu_command, "select", lambda patterns: recipes)
    with pytest.raises(EdgewiseError, match=f"{MODEL}-tflite-int8_io: not compiled"):
        command("npu", *(f"--only={recipe.id}" for recipe in recipes))
