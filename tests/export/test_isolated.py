"""Programs in environments of their own: how they end, and where ncnn's int8 finds its two."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export import isolated, keys
from export.formats import FORMATS
from export.formats.ncnn import BIN, PARAM
from export.isolated import Failed, ncnn_tools, with_openvino
from export.recipe import Recipe
from models.common.errors import EnvironmentMissing, Unsupported
from tests import interpreters, programs
from tests.export.conftest import changed


@pytest.fixture
def program(tmp_path, monkeypatch) -> Callable[[str], str]:
    """Return a function that writes a program, in an environment `ncnn` that is this interpreter."""
    interpreters.install(tmp_path / "envs", "ncnn")
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))

    def write(text: str) -> str:
        (tmp_path / "program.py").write_text(text)
        return str(tmp_path / "program.py")

    return write


@pytest.mark.parametrize(
    ("text", "timeout_s", "error", "message"),
    [
        ("import sys; print('pnnx: no Erf', file=sys.stderr); sys.exit(3)", 60, Unsupported, "^pnnx: no Erf$"),
        ("raise ValueError('broken')", 60, Failed, "ValueError: broken"),
        (
            "import os; os.write(2, b'all well'); os.kill(os.getpid(), 11)",
            60,
            Failed,
            "^ncnn's toolchain was killed by SIGSEGV$",
        ),
        ("import time; time.sleep(30)", 0.5, Failed, "ncnn's toolchain did not end in 0.5 s"),
    ],
    ids=["refusing", "broken", "killed", "hanging"],
)
def test_what_a_toolchain_refuses_is_unsupported_in_its_last_words_and_one_that_breaks_or_hangs_fails(
    program, monkeypatch, text, timeout_s, error, message
):
    monkeypatch.setattr(isolated, "TIMEOUT_S", timeout_s)
    with pytest.raises(error, match=message):
        isolated.run("ncnn", program(text))


def test_the_reason_of_openvino_is_what_it_cannot_do_not_where_its_sources_say_so():
    message = """Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
-- Conv-18 with a message:
While validating ONNX node '<Node(Conv): conv3>': Check 'rank().is_static()' failed at src/op/conv.cpp:38:

-- Pad-18 with a message:
Unsupported padding mode: [wrap]
"""
    assert with_openvino.reason(message) == "Unsupported padding mode: [wrap]"
    assert with_openvino.reason("Something else") == "Something else"


def test_the_environment_is_named_where_it_is_missing(program):
    with pytest.raises(EnvironmentMissing, match="nox -s export -- --only '\\*-openvino-\\*'"):
        isolated.run("openvino", program("pass"))


def test_answers_go_as_arrays_to_and_from_a_program_without_the_lanes_instruction_set(program, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")  # what lies beside the program is no library
    checks = "import os, sys, numpy; assert 'ONEDNN_MAX_CPU_ISA' not in os.environ"
    doubling = program(f"{checks}; numpy.save(sys.argv[4], numpy.load(sys.argv[3]) * 2)")
    images = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert (isolated.logits("ncnn", doubling, tmp_path, images) == images * 2).all()


# They stand for ncnn's: one writes down what it is told and the arrays it is given, the other copies.
TABLE = """
echo "$@" > {arguments}
cp $(tail -1 "$3") {arguments}.npy
echo table > "$4"
"""
INT8 = 'cp "$1" "$3"; cat "$2" "$5" > "$4"'


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No programs of the machine that the tests run on."""
    monkeypatch.delenv(ncnn_tools.FOLDER, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")


@pytest.fixture
def tools(tmp_path) -> Callable[..., Path]:
    def put(folder: str = "", table: str = TABLE) -> Path:
        for name, text in zip(ncnn_tools.PROGRAMS, (table, INT8), strict=True):
            programs.script(tmp_path / folder / name, text.format(arguments=tmp_path / "told"))
        return tmp_path / folder

    return put


def test_without_its_tools_it_says_how_they_are_built():
    with pytest.raises(Unsupported, match=f"in no wheel. To build them: .*ncnn2table ncnn2int8.*{ncnn_tools.FOLDER}"):
        FORMATS["ncnn"].convert(None, "int8", Path("any"))


@pytest.mark.parametrize("folder", ncnn_tools.BUILT_IN)
def test_they_are_found_in_ncnns_build_and_in_its_sources_and_missed_there(tools, tmp_path, monkeypatch, folder):
    place = tools(f"ncnn/{folder}")
    monkeypatch.setenv(ncnn_tools.FOLDER, str(tmp_path / "ncnn"))
    assert [program.resolve() for program in ncnn_tools.find()] == [place / name for name in ncnn_tools.PROGRAMS]
    (place / "ncnn2int8").unlink()
    with pytest.raises(Unsupported, match=f"not both are in {tmp_path}/ncnn, which {ncnn_tools.FOLDER} names"):
        ncnn_tools.find()


def test_an_artifact_is_made_anew_where_the_tools_come_change_or_go(tools):
    def of(scheme: str) -> dict[str, str]:
        return keys.artifact_inputs(Recipe(model="torch_cnn", format="ncnn", scheme=scheme), {})

    without, wide = of("int8"), of("float32")
    tools()
    having = of("int8")
    assert changed(without, having) == {"ncnn's tools"}
    assert of("float32") == wide
    tools(table=TABLE + "\n# another version\n")
    assert changed(having, of("int8")) == {"ncnn's tools"}


def test_calibration_images_are_given_as_arrays_whose_last_axis_is_named_first(tools, tmp_path):
    tools()
    wide, images = tmp_path / "wide", np.arange(48, dtype=np.float32).reshape(2, 3, 2, 4)
    wide.mkdir()
    (wide / PARAM).write_text("7767517\n1 1\nInput in0 0 1 in0\n")
    (wide / BIN).write_text("weights")
    FORMATS["ncnn"]._quantize(*ncnn_tools.find(), wide, images, tmp_path / "made")
    arguments = (tmp_path / "told").read_text().split()
    assert arguments[-4:] == ["shape=[4,2,3]", "method=aciq", "type=1", "thread=1"]
    assert (np.load(tmp_path / "told.npy") == images[-1]).all()
    assert (tmp_path / "made" / BIN).read_text() == "weightstable\n"


def test_layers_that_ncnn_stores_otherwise_are_unsupported(tmp_path):
    (tmp_path / PARAM).write_text("7767517\n2 2\nInput in0 0 1 in0\nGemm g 1 1 in0 out0 0=1\n")
    with pytest.raises(Unsupported, match="ncnn stores Gemm in 8 bits in ways of their own"):
        FORMATS["ncnn"]._quantize(tmp_path, tmp_path, tmp_path, np.ones((1, 2)), tmp_path / "made")


def test_a_program_that_fails_is_a_failure_in_its_own_words(tools, tmp_path):
    tools(table="echo 'read_npy failed' >&2; exit 1")
    with pytest.raises(Failed, match="ncnn2table failed: read_npy failed"):
        ncnn_tools.run(ncnn_tools.find()[0])
    (tmp_path / "ncnn2table").write_bytes(b"\x7fELF no program")
    with pytest.raises(Unsupported, match="does not start .* To build it anew"):
        ncnn_tools.run(ncnn_tools.find()[0])
