"""Every option of every command has a range, and what makes no sense is refused in a sentence before anything is read."""

from collections.abc import Iterator

import click
import pytest

from device_tests.__main__ import group
from models.common.environments import ROOT
from models.common.errors import DataError, UsageError
from models.options import Finite, Place, Word
from tests.device_tests.conftest import type_in

PASSED_ON = ("arguments",)  # to `run`, which checks them


def parameters(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Parameter]]:
    """Yield every parameter of a command and its subcommands, with how it is typed."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from parameters(inner, f"{path} {name}".strip())
    for parameter in command.params:
        yield f"{path} {parameter.opts[0]}", parameter


EVERY = dict(parameters(group))
NAMED = (Place, Word, click.Choice)
NAMES = [
    name for name, p in EVERY.items() if isinstance(p, click.Option) and isinstance(p.type, NAMED) and not p.is_flag
]


@pytest.mark.parametrize("name", EVERY)
def test_every_parameter_refuses_what_makes_no_sense_and_every_option_has_a_sentence(name):
    parameter, kind = EVERY[name], EVERY[name].type
    if not getattr(parameter, "is_flag", False) and parameter.name not in PASSED_ON:
        in_range = isinstance(kind, click.IntRange) and None not in (kind.min, kind.max)
        assert in_range or isinstance(kind, (Finite, *NAMED)), f"{kind} takes anything: see models/options.py"
    if isinstance(parameter, click.Option):
        assert parameter.help.rstrip().endswith((".", "]"))


SECONDS = ("nan", "inf", "-inf", "1e300", "-1", "86401", "0", "")
REFUSED = {
    "run --timeout": SECONDS,
    "instructions --timeout": SECONDS,
    "latency --limit": SECONDS,
    "report --margin": ("nan", "inf", "-0.1", "100.1"),
    "latency --seed": ("-1",),
    "android start --port": ("65536",),
    "run --jobs": ("0",),
    "bundle --abi arm64 --runtime": ("",),
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option in REFUSED for value in REFUSED[option]])
def test_figures_and_names_outside_their_range_are_refused(option, value):
    with pytest.raises(click.BadParameter):
        type_in(*option.split(), value)


@pytest.mark.parametrize("empty", ["", "  ", "a\0b"])
@pytest.mark.parametrize("option", NAMES)
def test_names_that_are_none_are_refused(option, empty):
    with pytest.raises(click.BadParameter, match=r"is empty|NUL|control characters|is not one of"):
        type_in(*option.split(), empty)


def test_a_file_is_never_called_like_an_option_or_by_too_long_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file, message in (("-", "begins with a dash"), ("--summary", "begins with a dash"), ("a" * 300, "too long")):
        with pytest.raises(click.BadParameter, match=message):
            type_in("check", "--junit", file)
    assert not list(tmp_path.iterdir())


TYPOS = {
    "run": ("--only nothing*", "--runtime nothing", "--device nothing", "--budgets nowhere.toml"),
    "latency": ("--runtime nothing", "--only nothing"),
    "instructions": ("--device nothing", "--device ssh:a@b"),
    "compatibility": ("--only nothing",),
    "sweep": ("--device desktop", "--only nothing"),
    "android": ("vm --only nothing", "phone --quick --full"),
    "ssh": ("--device desktop", "--device ssh:a@b --only nothing"),
}


@pytest.mark.parametrize("line", [f"{name} {more}" for name in TYPOS for more in TYPOS[name]])
def test_typos_are_refused_where_only_the_arguments_are_checked(line, monkeypatch):
    monkeypatch.setenv("EDGEWISE_ONLY_PARSE", "1")
    with pytest.raises((click.UsageError, UsageError, DataError)):
        type_in(*line.split())


MEASURING = ("run", "latency", "instructions", "compatibility", "sweep", "android vm", "android phone")


@pytest.mark.parametrize(
    "arguments",
    [
        *((*name.split(), "--artifacts", "nowhere", "--results", "nowhere") for name in MEASURING),
        ("run", "--device", "ssh:a@b", "--results", "nowhere"),
        ("shipping", "--artifacts", "nowhere", "--out", "nowhere/file"),
        ("android", "start"),
        ("ssh", "--device", "ssh:a@b", "--artifacts", "nowhere"),
        ("bundle", "--abi", "arm64"),
        ("add", "nowhere.json"),
    ],
    ids=" ".join,
)
def test_good_arguments_end_there_where_only_they_are_checked(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEWISE_ONLY_PARSE", "1")
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    before = sorted(ROOT.iterdir())
    assert type_in(*arguments) == 0
    assert sorted(ROOT.iterdir()) == before
    assert not (tmp_path / "cache").exists()
