"""Nothing that ran nothing is a success: what was named must be there, and some cell must have run."""

from functools import partial

import pytest

from device_tests import devices
from device_tests.commands import sweep as sweeps
from device_tests.devices import desktop
from device_tests.results import measurement as measurements
from export import matrix
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, UsageError
from tests.device_tests.conftest import ID, MODEL, type_in


class Board(desktop.Desktop):
    """A device beside the desktop, which offers one of its runtimes only."""

    runtimes = ("first",)
    lost = False

    def require(self, runtime: str) -> None:
        if self.lost:
            raise EnvironmentMissing(f"{self.name} does not answer. Switch it on.")
        if runtime not in self.runtimes:
            raise EnvironmentMissing(f"There is no {runtime} on {self.name}.")
        super().require(runtime)


@pytest.fixture
def board(monkeypatch):
    fake, device = Board("board"), devices.device
    monkeypatch.setattr(devices, "device", lambda name: fake if name == "board" else device(name))
    return fake


def outcomes(folders) -> dict[str, str]:
    return {(m := measurements.read(file)).id: m.outcome for file in folders.bench.results.glob("*.json")}


def test_named_runtimes_run_where_a_device_offers_them_and_one_that_offers_none_is_an_error(folders, command, board):
    folders.runtime("first")
    folders.runtime("second")
    second, both = ("--runtime", "second", "--device", "board"), ("--device", "desktop")
    with pytest.raises(UsageError, match="second runs on none of the devices: board offers first"):
        command("run", *second)
    with pytest.raises(UsageError, match="board offers none of second; it offers first"):
        command("run", *second, *both)
    assert command("run", "--runtime", "first", *second, *both, "--only", ID) == 0
    assert outcomes(folders) == {f"{ID}@{where}": "ok" for where in ("first@desktop", "second@desktop", "first@board")}


def test_a_device_that_is_not_there_fails_the_run_after_the_others_ran_whatever_was_stored(folders, command, board):
    folders.runtime("first")
    assert command("run", "--device", "board", "--only", ID) == 0
    board.lost = True
    with pytest.raises(EnvironmentMissing, match="Nothing ran on board: board does not answer"):
        command("run", "--device", "board", "--device", "desktop", "--only", ID)
    assert outcomes(folders) == {f"{ID}@first@board": "ok", f"{ID}@first@desktop": "ok"}


def test_what_was_never_exported_ran_not_and_a_runtime_that_nobody_named_may_be_missing(folders, command, capsys):
    folders.runtime("first")
    with pytest.raises(DataError, match="Nothing ran at all: not exported: nox -s export"):
        command("run", "--only", f"{MODEL}-torchscript-int8")
    assert command("run") == 0  # the other one ran
    folders.uninstall(folders.runtime("second"))
    capsys.readouterr()
    assert command("run", "--only", ID, "--force") == 0
    assert "1 ok, 1 skipped" in capsys.readouterr().out


def test_a_glob_of_another_runtimes_artifacts_is_no_error(folders, command, monkeypatch, capsys):
    # one glob serves `nox -s device_tests`, which runs each runtime by its name
    folders.runtime("first")
    folders.runtime("second", 'suffixes = (".onnx",)')
    monkeypatch.setattr(matrix, "MATRIX", {"torch": {"torchscript": ("float32",), "onnx": ("float32",)}, "keras": {}})
    assert command("run", "--runtime", "second", "--only", ID) == 0
    assert "no cell is chosen" in capsys.readouterr().out
    assert command("run", "--runtime", "first", "--only", ID) == 0


@pytest.mark.parametrize(
    ("command_name", "message"),
    [
        ("run", r"Nothing ran at all: .*nox -s 'device_tests\(first\)'"),
        ("latency", "Nothing was timed"),
        pytest.param("instructions", "Nothing (ran|was timed)", marks=pytest.mark.needs("cc")),
    ],
)
def test_no_command_succeeds_without_a_runtime(folders, command, command_name, message):
    name = folders.runtime("first")
    folders.uninstall(name)
    with pytest.raises(EnvironmentMissing, match=message):
        command(command_name, "--only", ID)
    with pytest.raises(EnvironmentMissing, match=r"nox -s 'device_tests\(first\)'"):
        command(command_name, "--only", ID, "--runtime", name)


def test_a_missing_core_fails_a_sweep_where_it_was_named_unless_a_failed_cell_weighs_more(
    monkeypatch, tmp_path, capsys
):
    missing, errors = {"max": EnvironmentMissing("qemu emulates no max.")}, []
    monkeypatch.setattr(sweeps, "_ready", lambda cores: (("cortex-a53",), missing))
    monkeypatch.setattr(sweeps, "_measure", lambda *arguments, **options: list(errors))
    monkeypatch.setattr(sweeps, "_show", lambda *arguments: None)

    sweep = partial(type_in, "sweep", "--results", tmp_path)
    assert (sweep(), capsys.readouterr().err) == (0, "")
    assert sweep("--device", "cortex-a53", "--device", "max") == 4
    assert "qemu emulates no max" in capsys.readouterr().err
    missing.clear()
    errors += [EdgewiseError("a cell failed"), EnvironmentMissing("none")]
    assert sweep() == 1
