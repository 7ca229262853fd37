"""How nox' sessions install environments and run modules in them; noxfile.py lists the sessions.

nox has a Python without numpy, and the other environments have no nox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import nox

from device_tests.onboard.runtimes import FURTHER, here
from device_tests.pipeline import options
from export.isolated import ENVIRONMENTS as CONVERTERS
from models.common import installation
from models.common.environments import ROOT
from models.common.errors import EdgewiseError

CONSTRAINTS = ROOT / "constraints"
HERE = here()
RUN, COMPATIBILITY = ("device_tests", "run"), ("device_tests", "compatibility")
# commands end once their arguments are checked (models/common/console.py)
ONLY_PARSE = {"EDGEWISE_ONLY_PARSE": "quiet"}


def environment(session: nox.Session, name: str) -> str:
    """Return the interpreter of an environment, which is installed first if it is missing or its constraints changed."""
    try:
        return str(installation.ready(name, CONSTRAINTS / f"{name}.txt", logs=ROOT / "logs"))
    except EdgewiseError as error:
        session.warn(str(error))
        raise nox.command.CommandFailed(reason=str(error)) from error


def only_asks(arguments: Iterable[str]) -> bool:
    """Tell whether the arguments only ask for a list or for help, for which the smallest environment is enough."""
    return bool({"--list", "--help"} & set(arguments))


def check_arguments(session: nox.Session, module: tuple[str, ...], *arguments: str) -> None:
    """Let a module check its arguments and end: a wrong one fails before anything is installed or exported."""
    session.run(environment(session, "core"), "-m", *module, *arguments, env=ONLY_PARSE, log=False)


def run_module(
    session: nox.Session,
    module: tuple[str, ...],
    *arguments: str,
    python: str = "core",
    first: Callable[[], object] = lambda: None,
) -> None:
    """Run a module in the environment `python`, after it has checked its arguments and `first` has been called.

    For a list or for help the smallest environment is taken, and `first` is not called.
    """
    if only_asks(arguments):
        session.run(environment(session, "core"), "-m", *module, *arguments)
        return
    check_arguments(session, module, *arguments)
    first()
    session.run(environment(session, python), "-m", *module, *arguments)


def export_artifacts(session: nox.Session, *arguments: str) -> None:
    """Export what is missing; install the toolchains of the formats that are asked for."""

    def install() -> None:
        environment(session, "export")
        listed = (environment(session, "core"), "-m", "export", *arguments, "--list")
        ids = session.run(*listed, silent=True, log=False).split()
        for name in dict.fromkeys(CONVERTERS.get(part) for id in ids for part in id.split("-")[1:2]):
            if name:
                environment(session, name)

    run_module(session, ("export",), *arguments, first=install)


def runtimes_to_run(session: nox.Session, *arguments: str) -> tuple[str, ...]:
    """Return the runtimes that have anything to run for these arguments, which are valid."""
    cells = session.run(environment(session, "core"), "-m", *RUN, *arguments, "--list", silent=True, log=False).split()
    # other lines are warnings
    return tuple(dict.fromkeys(cell.split("@")[1] for cell in cells if cell.count("@") == 2))


def run_runtime(session: nox.Session, runtime: str, *arguments: str) -> None:
    """Run the artifacts on one desktop runtime."""
    own = () if options(arguments, "--runtime") else (f"--runtime={runtime}",)  # else a quick run leaves some out
    # of the networks first: one of Keras gives nothing for PyTorch, where the runtime's name would be an error
    of_networks = options(arguments, "--models", "--device")
    if any(runtime not in runtimes_to_run(session, *chosen) for chosen in (of_networks, (*own, *arguments))):
        session.log(f"Nothing that was asked for runs on {runtime}")
        return
    named = options(arguments, "--device")
    if not named or not all(name.startswith("--device=app:") for name in named):  # the app has its own engines
        environment(session, runtime)
    session.run(environment(session, "core"), "-m", *RUN, "--runtime", runtime, *arguments)


def run_runtimes(session: nox.Session, *arguments: str) -> None:
    """Run the artifacts on all desktop runtimes at once: a slow artifact of one leaves a core to the others."""
    ready, failed = [], []
    for runtime in runtimes_to_run(session, *arguments):
        try:
            environment(session, runtime)
            ready.append(runtime)
        except nox.command.CommandFailed:  # which must not keep the others from being run
            failed.append(runtime)
    runtimes = () if options(arguments, "--runtime") else (f"--runtime={runtime}" for runtime in ready)
    if ready:
        session.run(environment(session, "core"), "-m", *RUN, *runtimes, *arguments)
    if failed:
        raise nox.command.CommandFailed(reason=f"not installed: {', '.join(failed)}")


def install_runtimes(session: nox.Session) -> None:
    """Install every runtime; where the arguments choose some cells, of the further engines only those that they name."""
    some = options(tuple(session.posargs), "--only", "--runtime")
    for runtime in HERE:
        if runtime not in FURTHER or not some or any(runtime in argument for argument in some):
            environment(session, runtime)


def with_everything(session: nox.Session, module: tuple[str, ...], *others: Callable[[], object]) -> None:
    """Export the artifacts into the folder that the arguments name, install every runtime, and run a module."""

    def first() -> None:
        export_artifacts(session, *options(session.posargs, "--artifacts", "--models"))
        for other in others or (partial(install_runtimes, session),):
            other()

    run_module(session, module, *session.posargs, first=first)


def install_versions(session: nox.Session) -> None:
    """Install the older and newer versions of runtimes that are available for this machine."""
    listed = (environment(session, "core"), "-m", *COMPATIBILITY, "--list", *options(session.posargs, "--models"))
    for name in session.run(*listed, silent=True, log=False).split():
        try:
            environment(session, name)
        except nox.command.CommandFailed:  # no longer available for this Python or system
            session.warn(f"{name} cannot be installed here; its column will say that it was not tried")


def run_tests(session: nox.Session, name: str, marks: str) -> None:
    """Run the tests with these marks in an environment, on each core a file at a time."""
    session.run(
        *(environment(session, name), "-m", "pytest", "--numprocesses=auto", "--dist=loadfile", "-m", marks),
        *session.posargs,
        env={"OMP_NUM_THREADS": "1"},  # frameworks would take all cores for each of these processes
    )
