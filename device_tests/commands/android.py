"""`python -m device_tests android`: run artifacts on an Android that is started for it, and always stopped."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from device_tests import devices
from device_tests.commands import options
from device_tests.commands.run import check_arguments, run
from device_tests.devices.adb import Phone
from device_tests.transport.android import client, emulator, machine
from models.common.console import out, validated
from models.common.errors import UsageError

RUNTIMES = ("litert", "onnxruntime")  # where none is named
EMULATOR = "android:emulator-5554"  # the first that the SDK starts
PORTS = click.IntRange(1, 65_535)
_passed = {"ignore_unknown_options": True}
_ALL_OPTIONS = "It takes all options of `python -m device_tests run`, too."
_arguments = click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF device_tests run]...")


@click.group()
def android() -> None:
    """Run artifacts over adb on an Android that is started for it, and always stopped."""


@android.command(context_settings=_passed, epilog=_ALL_OPTIONS)
@_arguments
@click.pass_context
def vm(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Run the artifacts on the Android-shaped machine; the exit code is 4 where something is missing to start it."""
    if _only_asks(device := f"android:{machine.SERIAL}", arguments):
        context.exit(_run(device, arguments))
    with _interruptible():
        machine.build()
        with machine.running() as started:
            out.print(f"The Android-shaped machine answers adb as {started.serial} after {started.boot_s:.1f} s")
            context.exit(_run(f"android:{started.serial}", arguments))


@android.command(context_settings=_passed, epilog=_ALL_OPTIONS)
@click.option(
    "--device",
    type=options.NAME,
    metavar="NAME",
    help="Of these already running: android:SERIAL. Without it the SDK's emulator is started.",
)
@_arguments
@click.pass_context
def phone(context: click.Context, device: str | None, arguments: tuple[str, ...]) -> None:
    """Run the artifacts on a phone, or on the headless emulator of the SDK in ANDROID_HOME.

    The exit code is 4 where there is neither. --clean removes all that was ever pushed there.
    """
    if device and not isinstance(devices.device(device), Phone):
        raise UsageError(f"{device} is not reached over adb. Name one that is: --device android:SERIAL")
    cleans = "--clean" in arguments
    named = device or ("android:" if cleans else EMULATOR)
    asks = _only_asks(named, arguments)
    with _interruptible():
        if device or asks or cleans:
            context.exit(_run(named, arguments))
        image = emulator.image()
        with emulator.running(image) as serial:
            context.exit(_run(f"android:{serial}", arguments))


@android.command()
@click.option("--port", default=machine.PORT, show_default=True, type=PORTS, help="Of its adb daemon on loopback.")
def start(port: int) -> None:
    """Start the Android-shaped machine and keep it until Ctrl-C, to look around in it with adb."""
    validated()
    with _interruptible(), machine.running(port=port) as started:
        server = os.environ[client.SERVER_PORT]
        shell = f"{client.SERVER_PORT}={server} adb -s {started.serial} shell"
        out.print(f"Up after {started.boot_s:.1f} s: {shell}", soft_wrap=True)
        out.print("Ctrl-C ends it.")
        started.process.wait()


def _only_asks(device: str, arguments: tuple[str, ...]) -> bool:
    """Check the arguments before anything is started; tell whether they only ask for a list, which needs no device."""
    check_arguments(_options(device, arguments))
    if "--list" in arguments:
        return True
    validated()
    return False


def _options(device: str, arguments: tuple[str, ...]) -> list[str]:
    chosen = any(argument.partition("=")[0] == "--runtime" for argument in arguments)
    named = () if chosen else tuple(part for name in RUNTIMES for part in ("--runtime", name))
    return ["--device", device, *named, *arguments]


def _run(device: str, arguments: tuple[str, ...]) -> int:
    return run.main(_options(device, arguments), standalone_mode=False) or 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what it started is stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
