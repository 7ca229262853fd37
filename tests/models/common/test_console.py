"""How programs start, and how they end: with a sentence and an exit code, whatever happens."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from models.common import console, processes
from models.common.environments import ROOT

PROGRAM = """
import click
from models.common import console
from models.common.errors import DataError

@click.command()
def command():
    {body}

console.main(command)
"""


needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def typed(body: str, **options) -> subprocess.CompletedProcess:
    argv = [sys.executable, "-c", PROGRAM.format(body=body)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(argv, cwd=ROOT, text=True, timeout=60, **options)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold]", "plain [bold]"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://a.invalid\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;never closed", ""),
        ("\x9b2Jgone", "gone"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1bcreset", "reset"),
        ("over\rwritten\bx\x00\x7f", "over writtenx"),
        ("abc\u202efed\u2066x\u200f", "abcfedx"),
        ("two\nlines\r\nhere", "two lines here"),
        ("half \ud800 a pair", "half  a pair"),
        ("naïve × 日本 🙂", "naïve × 日本 🙂"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_printed(text, shown):
    assert console.printable(text) == shown


def test_line_feeds_stay_where_lines_are_wanted_and_plain_text_is_no_markup():
    assert console.printable("a\r\nb\nc\td", lines=True) == "a\nb\nc d"
    assert Text.from_markup(console.plain("[red]\x1b[31m[/] \\[x]")).plain == "[red][/] \\[x]"


def test_an_error_that_can_be_mended_is_said_without_control_characters():
    done = typed("raise DataError('bad \\x1b]0;title\\x07[red]thing\\n  second line')")
    assert (done.returncode, done.stderr) == (3, "error: bad [red]thing\n  second line\n")
    done = typed("raise PermissionError(13, 'Permission denied', '/somewhere/file')")
    assert done.returncode == 6
    assert done.stderr == "error: /somewhere/file cannot be used: Permission denied. Mend that, or name another.\n"


def test_what_nobody_foresaw_is_a_sentence_and_its_traceback_is_in_a_file(tmp_path):
    done = typed("{}['\\x1b[31mkey']", env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == console.DEFECT
    (log,) = tmp_path.glob("edgewise-*.log")
    assert (
        done.stderr == f"error: KeyError: '\\x1b[31mkey'. This is a defect of Edgewise: report it with the log {log}\n"
    )
    assert "Traceback" in log.read_text()
    assert "KeyError" in log.read_text()


def test_too_little_memory_is_no_defect():
    done = typed("raise MemoryError")
    assert (done.returncode, done.stderr.split(".")[0]) == (1, "error: There is not enough memory")


@needs_dev_full
@pytest.mark.parametrize("body", ["click.echo('x')", "console.out.print('x' * 100_000)", "print('x')"])
def test_an_output_that_is_full_is_a_sentence(body):
    with open("/dev/full", "w") as full:
        done = typed(body, stdout=full)
    message = "error: Standard output cannot be written: No space left on device. What is finished is kept.\n"
    assert (done.returncode, done.stderr) == (6, message)


@needs_dev_full
@pytest.mark.parametrize(
    ("body", "code"),
    [("DataError('x')", 3), ("KeyError('x')", 70), ("KeyboardInterrupt", 130), ("click.UsageError('x')", 2)],
)
def test_the_exit_code_is_told_even_where_nothing_can_be(body, code):
    with open("/dev/full", "w") as full:
        done = typed(f"raise {body}", stdout=full, stderr=full, env={**os.environ, "PYTHONUNBUFFERED": ""})
    assert done.returncode == code


@pytest.mark.parametrize("body", ["click.echo('x')", "console.out.print('x' * 100_000)"])
def test_an_output_that_nobody_reads_any_more_ends_the_program_in_silence(body):
    reads, writes = os.pipe()
    os.close(reads)
    done = typed(body, stdout=writes)
    os.close(writes)
    assert (done.returncode, done.stderr) == (console.PIPE_CLOSED, "")


def test_an_output_that_cannot_show_a_letter_shows_another():
    done = typed("console.out.print('3 × 4')", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 ? 4\n", "")


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_without_columns_shows_all(columns):
    done = typed("console.out.print('three words here')", env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": columns})
    assert "".join(done.stdout.split()) == "threewordshere"


@pytest.mark.parametrize("program", ["device_tests", "export", "models", "apps.web"])
def test_an_interrupt_while_a_program_imports_is_no_traceback(program):
    """The first import of click, or a later one, interrupts, as Ctrl-C in the first moment would."""
    spy = f"""
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            os.kill(os.getpid(), signal.SIGINT)

for name in sys.argv[1:]:
    assert name not in sys.modules
sys.meta_path.insert(0, Interrupts())
runpy.run_module({program!r}, run_name="__main__", alter_sys=True)
"""
    for early in ("click", "numpy"):
        done = subprocess.run([sys.executable, "-c", spy, early], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 128 + signal.SIGINT, (early, done.stderr)
        assert done.stderr == "Interrupted. What is finished is kept; the same command does the rest.\n"


@pytest.mark.parametrize("program", ["device_tests", "export", "models", "apps.web", "apps.android"])
def test_another_environment_than_the_right_one_is_named(program):
    """The first import of click fails, as with a Python that only has nox, or a later one of a library."""
    for library in ("click", "msgspec"):
        code = f"import runpy, sys; sys.modules[{library!r}] = None; runpy.run_module({program!r}, run_name='__main__', alter_sys=True)"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
        message = f"error: {library} is not installed in the environment in use, {sys.prefix}. The tasks that `nox -l`"
        assert (done.returncode, done.stderr[: len(message)]) == (4, message)
    done = typed("import models.nothing")
    assert (done.returncode, "This is a defect of Edgewise" in done.stderr) == (console.DEFECT, True)


def test_only_checking_the_arguments_ends_there():
    note = "Only the arguments were checked, for EDGEWISE_ONLY_PARSE is set.\n"
    for value, words in (("1", note), (console.QUIET, "")):
        done = typed("console.validated(); print('began')", env={**os.environ, console.ONLY_PARSE: value})
        assert (done.returncode, done.stdout, done.stderr) == (0, "", words)
    assert typed("console.validated(); print('began')").stdout == "began\n"


def test_a_shells_exit_code_is_said():
    deaths = [processes.death(processes.from_shell(code)) for code in (3, 128 + 11, 128 + 40)]
    assert deaths == ["ended with exit code 3", "killed by SIGSEGV", "ended with exit code 168"], "not all have names"


def test_a_program_keeps_bytecode_where_a_container_forbids_it(tmp_path):
    """Each process would compile every framework anew."""
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\n"
        "import imported\n"
        "subprocess.run([sys.executable, '-c', 'import other'], check=True)\n"
        "def command(**options): pass\n"
        "command.main = lambda standalone_mode: 0\n"
    )
    for name in ("imported", "other"):
        (tmp_path / f"{name}.py").write_text("")
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    env.pop("PYTHONPYCACHEPREFIX", None)
    code = "from models.common import entry; entry.main('program:command')"
    subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=True)
    compiled = {file.name.split(".")[0] for file in (tmp_path / "__pycache__").iterdir()}
    assert compiled == {"program", "imported", "other"}
