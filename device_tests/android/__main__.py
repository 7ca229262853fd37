"""`python -m device_tests.android`: run artifacts on an Android that is started for it, and always stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from device_tests import devices
from device_tests.__main__ import run
from device_tests.android import client, emulator, machine
from device_tests.devices.adb import Phone
from models import console
from models.console import out
from models.errors import UsageError

RUNTIMES = ("litert", "onnxruntime")  # where none is named
_passed = {"ignore_unknown_options": True, "help_option_names": []}
_arguments = click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF device_tests run]...")


@click.group()
def group() -> None:
    """Run artifacts over adb on an Android that is started for it, and always stopped."""


@group.command(context_settings=_passed)
@_arguments
@click.pass_context
def vm(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Run the artifacts on the Android-shaped machine; what is missing to start it is an error."""
    if {"--list", "--help"} & set(arguments) or console.only_parses():
        context.exit(_run(f"android:{machine.SERIAL}", arguments))
    with _interruptible():
        machine.build()
        with machine.running() as started:
            out.print(f"The Android-shaped machine answers adb as {started.serial} after {started.boot_s:.1f} s")
            context.exit(_run(f"android:{started.serial}", arguments))


@group.command(context_settings=_passed)
@click.option("--device", help="Of these already running: android:SERIAL. Without it the SDK's emulator is started.")
@click.option("--clean", "cleans", is_flag=True, help="Only remove all that was ever pushed there.")
@_arguments
@click.pass_context
def phone(context: click.Context, device: str | None, cleans: bool, arguments: tuple[str, ...]) -> None:
    """Run the artifacts on a phone, or on the headless emulator of the SDK in ANDROID_HOME."""
    if cleans:
        chosen = devices.device(device or "android:")
        if not isinstance(chosen, Phone):
            msg = f"{device} is not reached over adb. Name one that is: --device android:SERIAL"
            raise UsageError(msg)
        console.validated()
        chosen.clean()
        out.print(f"Removed all of Edgewise from {chosen.name}")
        return
    with _interruptible():
        if device or {"--list", "--help"} & set(arguments) or console.only_parses():
            context.exit(_run(device or "android:emulator-5554", arguments))
        image = emulator.image()
        with emulator.running(image) as serial:
            context.exit(_run(f"android:{serial}", arguments))


@group.command()
@click.option("--port", default=machine.PORT, show_default=True, help="Of its adb daemon on loopback.")
def start(port: int) -> None:
    """Start the Android-shaped machine and keep it until Ctrl-C, to look around in it with adb."""
    with _interruptible(), machine.running(port=port) as started:
        server = os.environ[client.SERVER_PORT]
        out.print(
            f"Up after {started.boot_s:.1f} s: {client.SERVER_PORT}={server} adb -s {started.serial} shell",
            soft_wrap=True,
        )
        out.print("Ctrl-C ends it.")
        started.process.wait()


def _run(device: str, arguments: tuple[str, ...]) -> int:
    """Run the artifacts on a device; return the exit code."""
    chosen = any(argument.partition("=")[0] == "--runtime" for argument in arguments)
    named = () if chosen else tuple(part for name in RUNTIMES for part in ("--runtime", name))
    return run.main(["--device", device, *named, *arguments], standalone_mode=False) or 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what it started is stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    console.main(group)
