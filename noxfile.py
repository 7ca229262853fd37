"""Every task of Edgewise; the front door. `nox -l` lists them, `nox -s NAME -- --help` explains one.

Each task runs in pinned environments of its own under .nox/envs, shared between the sessions that need them and
installed again only when their constraints change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from functools import partial
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # the registries list folders without importing any framework

from device_tests.onboard.runtimes import RUNTIMES  # noqa: E402
from models import environments  # noqa: E402

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]

PYTHON = "3.11"
CONSTRAINTS = ROOT / "constraints"
GROUPS = ("core", "export", "web", "browser", "lint", *RUNTIMES.names(), "executorch_native")


def environment(session: nox.Session, name: str) -> str:
    """Return the interpreter of an environment, installed first where it is missing or its constraints changed."""
    constraints = CONSTRAINTS / f"{name}.txt"
    home = environments.folder() / name
    stamp = home / "constraints.sha256"
    wanted = hashlib.sha256(constraints.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return str(environments.python(name, install="nox"))
    count = len(constraints.read_text().splitlines()) - 1
    session.log(f"Installing {count} packages into {home} (once, and again when {constraints.name} changes)")
    shutil.rmtree(home, ignore_errors=True)
    session.run(sys.executable, "-m", "virtualenv", "--quiet", "--python", PYTHON, str(home))
    python = str(environments.python(name, install="nox"))
    # the constraints name every package, so nothing is resolved; modules are compiled when first imported
    install = (python, "-m", "pip", "install", "--no-deps", "--no-compile")
    if torch := environments.torch_pin(constraints):
        install_torch(session, install, torch)
    session.run(*install, "-r", str(constraints))
    stamp.write_text(wanted)
    return python


def install_torch(session: nox.Session, install: tuple[str, ...], pin: str) -> None:
    """Install PyTorch's CPU build from the index in use, else from its own; say what to do where neither has it."""
    index = environments.TORCH_CPU_INDEX
    for options in ((), ("--index-url", index)):
        try:
            session.run(*install, *options, pin, silent=not options)
        except nox.command.CommandFailed:
            continue
        return
    msg = (
        f"No CPU build of PyTorch was found: pip as it is set up here has none, and {index} did not give one (pip's "
        f"words are above). Where it cannot be reached, put the wheel of {pin.split(' ;')[0]} into a folder, set "
        "PIP_FIND_LINKS to that folder, and run this again."
    )
    session.warn(msg)
    raise nox.command.CommandFailed(reason=msg)


def only_asks(session: nox.Session) -> bool:
    """Tell whether the arguments only ask for a list or for help, which the smallest environment answers."""
    return bool({"--list", "--help"} & set(session.posargs))


def export_artifacts(session: nox.Session, *arguments: str) -> None:
    """Export what is missing; a mistyped argument fails before gigabytes are installed."""
    core = environment(session, "core")
    command = (core, "-m", "export", *arguments)
    if only_asks(session):
        session.run(*command)
        return
    if arguments:
        session.run(*command, "--list", silent=True)
    environment(session, "export")
    session.run(*command)


def test_runtime(session: nox.Session, runtime: str, *arguments: str) -> None:
    """Run the artifacts on one desktop runtime."""
    core = environment(session, "core")
    command = (core, "-m", "device_tests", "run", "--runtime", runtime, *arguments)
    if only_asks(session):
        session.run(*command)
        return
    if arguments and not session.run(*command, "--list", silent=True).strip():
        session.log(f"Nothing that was asked for runs on {runtime}")
        return
    environment(session, runtime)
    session.run(*command)


def with_everything(session: nox.Session, *module: str) -> None:
    """Run a module that needs the artifacts and every runtime."""
    core = environment(session, "core")
    if not only_asks(session):
        environment(session, "export")
        session.run(core, "-m", "export")
        for runtime in RUNTIMES.names():
            environment(session, runtime)
    session.run(core, "-m", *module, *session.posargs)


@nox.session
def export(session: nox.Session) -> None:
    """Make every artifact that is missing: --only GLOB, --list, --force, --jobs N, --data mnist|digits."""
    export_artifacts(session, *session.posargs)


@nox.session
@nox.parametrize("runtime", [nox.param(name, id=name) for name in RUNTIMES.names()])
def device_tests(session: nox.Session, runtime: str) -> None:
    """Run the artifacts on every desktop runtime, or on one: -s "device_tests(litert)" -- --only GLOB --quick."""
    test_runtime(session, runtime, *session.posargs)


# What runs the artifacts on each kind of device; all take the options of `device_tests`, and some of their own.
DEVICES = {
    "arm64": ("device_tests", "sweep"),
    "ssh": ("device_tests", "ssh"),
    "android-vm": ("device_tests", "android", "vm"),
    "android": ("device_tests", "android", "phone"),
}


@nox.session
@nox.parametrize("device", [nox.param(name, id=name) for name in DEVICES])
def devices(session: nox.Session, device: str) -> None:
    """Run the artifacts on other devices: -s "devices(arm64)", or -s "devices(ssh)" -- --device ssh:user@host, --clean."""
    if device == "arm64":  # where the desktop's answers on the same runtimes are half of what is told
        with_everything(session, *DEVICES[device])
    else:
        session.run(environment(session, "core"), "-m", *DEVICES[device], *session.posargs)


@nox.session
@nox.parametrize("app", [nox.param("web", id="web")])
def apps(session: nox.Session, app: str) -> None:
    """Build what a person holds: -s "apps(web)" -- --serve, --only GLOB, --list, --help."""
    session.run(environment(session, app), "-m", f"apps.{app}", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Print the table of all measurements and write report/, index.html first of all."""
    session.run(environment(session, "core"), "-m", "device_tests", "report", *session.posargs)


@nox.session
def check(session: nox.Session) -> None:
    """Hold budgets.toml against the measurements: --baseline FILE|REV, --update-baseline, --junit FILE, --summary FILE."""
    session.run(environment(session, "core"), "-m", "device_tests", "check", *session.posargs)


@nox.session
def latency(session: nox.Session) -> None:
    """Compare latencies in interleaved rounds, with intervals: --runtime NAME, --only GLOB, --self-check, --force."""
    with_everything(session, "device_tests", "latency")


@nox.session
def instructions(session: nox.Session) -> None:
    """Count the instructions that an inference executes, under qemu: --runtime NAME, --only GLOB, --device NAME."""
    with_everything(session, "device_tests", "instructions")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Compare our timing with the bare loop's and with the runtimes' own tools."""
    with_everything(session, "tests.device_tests.benchmarks.overhead")


@nox.session
def explain(session: nox.Session) -> None:
    """Say what ran where, in which numbers, and why a file is that large: -- ID[@RUNTIME], or -- --all; with --layers."""
    name = "core" if only_asks(session) else "export"
    session.run(environment(session, name), "-m", "device_tests", "explain", *session.posargs)


@nox.session
def compatibility(session: nox.Session) -> None:
    """Load the artifacts with older and newer versions of their runtimes: --only GLOB, --list."""
    core = environment(session, "core")
    command = (core, "-m", "device_tests", "compatibility")
    if not only_asks(session):
        environment(session, "export")
        session.run(core, "-m", "export")
        for name in session.run(*command, "--list", silent=True).split():
            try:
                environment(session, name)
            except nox.command.CommandFailed:  # some PyTorch or system that has no such version any more
                session.warn(f"{name} cannot be installed here; its column will say that it was not tried")
                shutil.rmtree(environments.folder() / name, ignore_errors=True)
    session.run(*command, *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run damaged artifacts on their real runtimes and print the tally: --count N, --only FORMAT, --seed N."""
    with_everything(session, "tests.device_tests.fuzz.fuzz")


@nox.session
def shipping(session: nox.Session) -> None:
    """Weigh what ships beside a model: each runtime's libraries, its cold start and its memory."""
    with_everything(session, "device_tests", "shipping")


@nox.session
def pipeline(session: nox.Session) -> None:
    """Export, run on every desktop runtime, report and check: -- --quick for 1,000 images."""
    core = environment(session, "core")
    command = (core, "-m", "device_tests", "run", *session.posargs)
    if only_asks(session):
        session.run(*command)
        return
    session.run(*command, "--list", silent=True)  # a mistyped argument fails before hours of work
    steps = {"export": lambda: export_artifacts(session)}
    for runtime in RUNTIMES.names():
        steps[runtime] = partial(test_runtime, session, runtime, *session.posargs)
    for step in ("report", "check"):
        steps[step] = partial(session.run, core, "-m", "device_tests", step)
    failed = []
    for name, step in steps.items():
        try:
            step()
        except nox.command.CommandFailed:  # which must not keep the others, the report and the budgets from being seen
            failed.append(name)
    if failed:
        session.error(f"Failed, as is said above: {', '.join(failed)}. All other steps were done.")


@nox.session
def train(session: nox.Session) -> None:
    """Train the models whose checkpoint does not match its recipe: --only GLOB, --list, --force."""
    name = "core" if only_asks(session) else "export"
    session.run(environment(session, name), "-m", "models", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests, which need no framework."""
    session.run(environment(session, "core"), "-m", "pytest", "-m", "not slow and not browser", *session.posargs)


@nox.session
def slow_tests(session: nox.Session) -> None:
    """Run the slow tests: real conversions, real runtimes, a real browser; installs every environment."""
    for runtime in RUNTIMES.names():
        environment(session, runtime)
    session.run(environment(session, "export"), "-m", "pytest", "-m", "slow", *session.posargs)
    session.run(environment(session, "browser"), "-m", "pytest", "-m", "browser", *session.posargs)


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
        session.run(sys.executable, "-m", "virtualenv", "--quiet", "--python", PYTHON, str(home))
        report_file = home / "report.json"
        session.run(
            *(str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
            *("--report", str(report_file), "--group", f"{ROOT / 'pyproject.toml'}:{name}"),
        )
        found = (item["metadata"] for item in json.loads(report_file.read_text())["install"])
        bare = nox.project.load_toml("pyproject.toml")["tool"]["edgewise"]["bare"].get(name, [])
        pins = sorted({*bare, *(f"{m['name'].lower().replace('_', '-')}=={m['version']}" for m in found)})
        lines = [line for pin in pins for line in pin_lines(pin)]
        (CONSTRAINTS / f"{name}.txt").write_text("\n".join(["# written by: nox -s lock", *lines, ""]))


def pin_lines(pin: str) -> list[str]:
    """Return the constraint of one pin; PyTorch's CPU build has a version label of its own on Linux only."""
    if not pin.startswith("torch=="):
        return [pin]
    version = pin.split("==")[1].split("+")[0]
    return [f'torch=={version}+cpu ; sys_platform == "linux"', f'torch=={version} ; sys_platform != "linux"']
