"""`python -m device_tests bundle`: build the bundle of an ABI."""

import time

import click

from device_tests.transport import bundle as bundles
from models.common import console, files

NAMES = click.Choice(bundles.RUNTIMES)


@click.command()
@click.option("--abi", required=True, type=click.Choice(tuple(bundles.ABIS)), help="The device's.")
@click.option("--runtime", "only", multiple=True, type=NAMES, metavar="NAME", help="Only this; may be repeated.")
def bundle(abi: str, only: tuple[str, ...]) -> None:
    """Build the self-contained folder that runs the worker on a device, where it is not there yet; print its path."""
    console.validated()
    began = time.perf_counter()
    built = bundles.build(abi, only=only)
    figures = f"{files.size_bytes(built.path) / 1e6:.0f} MB, {time.perf_counter() - began:.0f} s, {built.digest[:16]}"
    console.err.print(f"{', '.join(built.runtimes)} for {built.abi}: {figures}")
    click.echo(built.path)
