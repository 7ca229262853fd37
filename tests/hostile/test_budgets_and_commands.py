"""Whatever stands in budgets.toml or on a command line: a sentence and a documented exit code."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_tests.__main__ import group
from export.__main__ import command as export
from models.__main__ import command as models
from models.common import console
from tests.hostile import values, world
from tests.hostile.cli import typed
from tests.hostile.conftest import examples

# what runs to its end here; of all others only the arguments are checked, which starts nothing
TO_THE_END = {("check",): (), ("report",): (), ("add",): (), ("run",): ("--list",),
              ("latency",): ("--artifacts", "nowhere"), ("instructions",): ("--artifacts", "nowhere")}  # fmt: skip


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Return every command below a group, by the words that name it."""
    if isinstance(command, click.Group):
        return {k: v for name, own in command.commands.items() for k, v in leaves(own, (*path, name)).items()}
    return {path: command}


TREE = leaves(group)
OTHERS = {("export",): export, ("models",): models}  # which stand beside the group


@examples("budgets")
@given(data=st.data())
def test_hostile_budgets_are_a_sentence(untouched, data):
    new = data.draw(values.budgets(sorted(untouched.truth)), label="budgets.toml")
    commands = (["check"], ["check", "--allow-missing", "--junit", "junit.xml"], ["run", "--only", "*-int8"])
    command = data.draw(st.sampled_from(commands))
    with untouched.copy() as folder:
        (folder / "budgets.toml").write_bytes(new)
        typed(group, command, folder, of="hostile budgets")


@pytest.mark.parametrize("device", ["browser:firefox", "android:emulator-5554", "ssh:me@board"])
def test_a_budget_of_a_device_without_a_result_is_a_budget_for_every_command(untouched, device):
    runtime = world.PAGE if device.startswith("browser") else world.ENGINE
    with untouched.copy() as folder:
        row = world.budget(world.cell_id("int8", runtime, device), "top1", "min = 0")
        (folder / "budgets.toml").write_text(row)
        for result in (folder / "results").glob("*browser*"):
            result.unlink()
        ended = typed(group, ["run", "--only", world.cell_id("int8")], folder, of="setting up")
        assert ended.code == 0, ended.output
        ended = typed(group, ["check"], folder, of="setting up")
        assert (ended.code, ended.err) == (11, "")


@st.composite
def lines(draw: st.DrawFn, command: click.Command) -> list[str]:
    """Options and arguments of a command in any number, with good and absurd values."""
    typed = []
    for parameter in draw(st.lists(st.sampled_from([p for p in command.params if p.name != "help"]), max_size=4)):
        if isinstance(parameter, click.Argument):
            typed.append(draw(values.words))
            continue
        name = draw(st.sampled_from(parameter.opts))
        if parameter.is_flag:
            typed.append(name)
        elif draw(st.booleans()):
            typed += [name, draw(values.words)]
        else:
            typed.append(f"{name}={draw(values.words)}")
    return typed + draw(st.sampled_from(([], [], [], ["--no-such-option"], ["word"], [""])))


@examples("command lines")
@given(data=st.data())
def test_a_hostile_command_line_is_a_sentence(untouched, data):
    path = data.draw(st.sampled_from([*TO_THE_END] * 3 + [*TREE, *OTHERS]), label="command")
    words = data.draw(lines((TREE | OTHERS)[path]), label="words")
    with untouched.copy() as folder, pytest.MonkeyPatch.context() as patches:
        if path in OTHERS:
            typed(OTHERS[path], [*words, "--list"], folder, of="command lines")
        else:
            if path not in TO_THE_END:
                patches.setenv(console.ONLY_PARSE, "1")
            typed(group, [*path, *words, *TO_THE_END.get(path, ())], folder, of="command lines")


def test_a_folder_whose_name_is_markup_is_named_as_it_is(untouched):
    with untouched.copy() as folder:
        ended = typed(group, ["report", "--report", "[/red] [b]"], folder, of="setting up")
        assert ended.code == 0, ended.output
        assert "Written: [/red] [b]/report.md" in ended.out
