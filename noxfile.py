"""Every task of Edgewise; the front door. `nox -l` lists them, `nox -s NAME -- --help` explains one.

Each task runs in pinned environments of its own under .nox/envs, shared between the sessions that need them and
installed again only when their constraints change.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # the registries list folders without importing any framework

from device_tests.nox_sessions import (  # noqa: E402
    COMPATIBILITY,
    CONSTRAINTS,
    HERE,
    RUN,
    check_arguments,
    environment,
    export_artifacts,
    install_runtimes,
    install_versions,
    only_asks,
    run_module,
    run_runtime,
    run_runtimes,
    run_tests,
    with_everything,
)
from device_tests.onboard.runtimes import FURTHER, RUNTIMES  # noqa: E402
from device_tests.pipeline import Step, options  # noqa: E402
from device_tests.pipeline import steps as steps_beside_cells  # noqa: E402
from export.isolated import ENVIRONMENTS as CONVERTERS  # noqa: E402
from models.common import installation  # noqa: E402
from models.common.entry import keep_bytecode  # noqa: E402

REPORT, CHECK = ("device_tests", "report"), ("device_tests", "check")
# What runs the artifacts on each kind of device; all take the options of `device_tests`, and some of their own.
DEVICES = {
    "arm64": ("device_tests", "sweep"),
    "ssh": ("device_tests", "ssh"),
    "android-vm": ("device_tests", "android", "vm"),
    "android": ("device_tests", "android", "phone"),
}

# The environment of each app's build.
APPS = {"web": "web", "android": "core"}

keep_bytecode()
nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]

GROUPS = ("core", "export", "web", "browser", "lint", *RUNTIMES.names(), "executorch_native", "vela")
WITHOUT_RUNTIME: list[str] = []  # the session that has done what needs no runtime


@nox.session
def export(session: nox.Session) -> None:
    """Make every artifact that is missing: --only GLOB, --list, --force, --jobs N, --data mnist|digits."""
    export_artifacts(session, *session.posargs)


@nox.session
@nox.parametrize("runtime", [nox.param(name, id=name) for name in HERE])
def device_tests(session: nox.Session, runtime: str) -> None:
    """Run the artifacts on every desktop runtime, or on one: -s "device_tests(litert)" -- --only GLOB --quick.

    On a phone, in the Android app: -- --device app:SERIAL. What it or the web demo saved is added with -- --import FILE.
    """
    if options(session.posargs, "--import", "--clean"):
        if not WITHOUT_RUNTIME:  # once, not for each runtime
            WITHOUT_RUNTIME.append(runtime)
            session.run(environment(session, "core"), "-m", *RUN, *session.posargs)
        return
    if only_asks(session.posargs):
        session.run(environment(session, "core"), "-m", *RUN, "--runtime", runtime, *session.posargs)
        return
    check_arguments(session, RUN, *session.posargs)
    run_runtime(session, runtime, *session.posargs)


@nox.session
@nox.parametrize("device", [nox.param(name, id=name) for name in DEVICES])
def devices(session: nox.Session, device: str) -> None:
    """Run the artifacts on other devices: -s "devices(arm64)", or -s "devices(ssh)" -- --device ssh:user@host, --clean."""
    if device == "arm64":  # it compares with the desktop, so the same runtimes are installed here
        with_everything(session, DEVICES[device])
    else:
        run_module(session, DEVICES[device], *session.posargs)


@nox.session
@nox.parametrize("app", [nox.param(name, id=name) for name in APPS])
def apps(session: nox.Session, app: str) -> None:
    """Build what a person holds: -s "apps(web)" -- --serve, -s "apps(android)" -- --test, --only GLOB, --list, --help."""
    if app == "android" and "--test" in session.posargs:
        # the first makes the tests' own networks; the others stand in for the app's engines, or beside them
        for name in ("export", "litert", "onnxruntime", "executorch"):
            environment(session, name)
        others = [argument for argument in session.posargs if argument != "--test"]
        session.run(environment(session, "core"), "-m", "tests.apps.android.app_tests.run", *others)
    else:
        session.run(environment(session, APPS[app]), "-m", f"apps.{app}", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Print the table of all measurements and write report/, index.html first of all."""
    session.run(environment(session, "core"), "-m", *REPORT, *session.posargs)


@nox.session
def check(session: nox.Session) -> None:
    """Hold budgets.toml against the measurements: --baseline FILE|REV, --update-baseline, --junit FILE, --summary FILE."""
    session.run(environment(session, "core"), "-m", *CHECK, *session.posargs)


@nox.session
def latency(session: nox.Session) -> None:
    """Compare latencies in interleaved rounds, with intervals: --runtime NAME, --only GLOB, --self-check, --force."""
    with_everything(session, ("device_tests", "latency"))


@nox.session
def instructions(session: nox.Session) -> None:
    """Count the instructions that an inference executes, under qemu: --runtime NAME, --only GLOB, --device NAME."""
    with_everything(session, ("device_tests", "instructions"))


@nox.session
@nox.parametrize("what", [nox.param(name, id=name) for name in ("timing", "releases", "rewrites")])
def benchmarks(session: nox.Session, what: str) -> None:
    """Compare our timing with the bare loop's and other tools', this checkout with an earlier one, files with and without rewrites.

    -s "benchmarks(releases)" -- --against REVISION --rounds N --only GLOB --run --count
    """

    def install() -> None:
        for name in ("export", *dict.fromkeys(CONVERTERS.values())):
            environment(session, name)
        if {"--run", "--count"} & set(session.posargs):
            install_runtimes(session)

    if what == "timing":
        with_everything(session, ("tests.device_tests.benchmarks.overhead",))
    elif what == "rewrites":
        with_everything(session, ("device_tests", "rewrites"), partial(environment, session, "litert"))
    else:
        run_module(session, ("tests.device_tests.benchmarks.releases",), *session.posargs, first=install)


@nox.session
def explain(session: nox.Session) -> None:
    """Say what ran where, in which numbers, and why a file is that large: -- ID[@RUNTIME], or -- --all; with --layers."""
    run_module(session, ("device_tests", "explain"), *session.posargs, python="export")


@nox.session
def compatibility(session: nox.Session) -> None:
    """Load the artifacts with older and newer versions of their runtimes: --only GLOB, --list."""
    with_everything(session, COMPATIBILITY, partial(install_versions, session))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run damaged artifacts on their real runtimes and print the tally: --count N, --only FORMAT, --seed N."""
    with_everything(session, ("tests.device_tests.fuzz.fuzz",))


@nox.session
def npu(session: nox.Session) -> None:
    """Compile .tflite files with vela for Arm's Ethos-U: share on the NPU, and its estimates: --only GLOB, --list."""

    def first() -> None:
        export_artifacts(session, *options(session.posargs, "--artifacts", "--models"), "--only=*-tflite-*")
        environment(session, "vela")

    run_module(session, ("device_tests", "npu"), *session.posargs, first=first)


@nox.session
def shipping(session: nox.Session) -> None:
    """Weigh what ships beside a model: each runtime's libraries, its cold start and its memory."""
    with_everything(session, ("device_tests", "shipping"))


def measure(session: nox.Session, step: Step) -> None:
    """Do a step of `pipeline`."""
    for name in step.needs:
        environment(session, name)
    session.run(environment(session, step.python), "-m", "device_tests", *step.command)


@nox.session
def pipeline(session: nox.Session) -> None:
    """Export, run on every desktop runtime, measure what the report shows, report and check: --quick, --models FOLDER.

    It takes the options of `device_tests`; the folders and budgets that they name are those of every step.
    """
    arguments = tuple(session.posargs)
    if options(arguments, "--import", "--clean"):
        session.error("--import and --clean are done alone: nox -s device_tests -- --import FILE")
    if only_asks(arguments):
        session.run(environment(session, "core"), "-m", *RUN, *arguments)
        return
    check_arguments(session, RUN, *arguments)
    networks, budgets = options(arguments, "--models"), options(arguments, "--budgets")
    artifacts, results = options(arguments, "--artifacts"), options(arguments, "--results")
    only = options(arguments, "--only")
    exported = dict.fromkeys(pattern.partition("@")[0] for pattern in only)  # of ARTIFACT@RUNTIME@DEVICE
    further = any(name in named for named in options(arguments, "--runtime") for name in FURTHER)
    quick = ("--quick",) if "--quick" in arguments and not further else ()  # else its artifacts would be missing
    steps: dict[str, Callable[[], object]] = {
        "export": partial(export_artifacts, session, *networks, *artifacts, *exported, *quick),
        "device_tests": partial(run_runtimes, session, *arguments),
    }
    more, left_out = steps_beside_cells(arguments)
    for step in more:
        steps[step.verb] = partial(measure, session, step)
    core = environment(session, "core")
    places = (*networks, *artifacts, *results, *only)
    steps["report"] = partial(session.run, core, "-m", *REPORT, *places)
    steps["check"] = partial(session.run, core, "-m", *CHECK, *places, *budgets)
    failed = []
    for name, step in steps.items():
        try:
            step()
        except nox.command.CommandFailed:  # which must not keep the others, the report and the budgets from being seen
            failed.append(name)
    for note in left_out:
        session.warn(note)
    if failed:
        session.error(f"Failed, as is said above: {', '.join(failed)}. All other steps were done.")


@nox.session
def train(session: nox.Session) -> None:
    """Train the models whose checkpoint does not match its recipe: --only GLOB, --list, --force."""
    run_module(session, ("models",), *session.posargs, python="export")


@nox.session
def new(session: nox.Session) -> None:
    """Write a folder for a network of your own, with an example that runs: -- NAME --from torch|keras."""
    run_module(session, ("models.new",), *session.posargs, first=partial(environment, session, "export"))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests, which need no framework."""
    run_tests(session, "core", "not slow and not browser")


@nox.session
def slow_tests(session: nox.Session) -> None:
    """Run the slow tests: real conversions, real runtimes, a real browser; installs every environment."""
    install_runtimes(session)
    run_tests(session, "export", "slow")
    run_tests(session, "browser", "browser")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and names with ruff."""
    python = environment(session, "lint")
    session.run(python, "-m", "ruff", "check", ".")
    session.run(python, "-m", "ruff", "format", "--check", ".")


@nox.session
def lock(session: nox.Session) -> None:
    """Renew constraints/*.txt from the dependency groups of pyproject.toml: -- NAME for some of them."""
    for name in session.posargs or GROUPS:
        home = Path(session.create_tmp()) / name
        shutil.rmtree(home, ignore_errors=True)
        session.run(*installation.virtualenv(home))
        report_file = home / "report.json"
        session.run(
            *(str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
            *("--report", str(report_file), "--group", f"{ROOT / 'pyproject.toml'}:{name}"),
        )
        bare = nox.project.load_toml("pyproject.toml")["tool"]["edgewise"]["bare"].get(name, [])
        content = installation.constraints(json.loads(report_file.read_text()), bare)
        (CONSTRAINTS / f"{name}.txt").write_text(content)
