"""`python -m device_tests ssh`: run artifacts on boards that ssh reaches, or remove what was put there."""

import click

from device_tests import devices
from device_tests.commands import options
from device_tests.commands.run import check_arguments, run
from device_tests.devices.ssh import NAMES
from models.common.console import out, plain, validated
from models.common.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True})
@options.devices("ssh:user@host[:port]; others run beside it.", "names")
@click.option("--clean", is_flag=True, help="Remove everything that was put on the boards, and end.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF device_tests run]...")
def ssh(names: tuple[str, ...], clean: bool, arguments: tuple[str, ...]) -> None:
    """Run the artifacts on boards over ssh, with what their own pip installs there once.

    A board that cannot be reached is an error here, not rows that are skipped.
    """
    boards = [devices.device(name) for name in names if name.startswith(NAMES)]
    if not boards:
        raise UsageError("Say which board: nox -s 'devices(ssh)' -- --device ssh:user@host")
    arguments = (*(part for name in names for part in ("--device", name)), *arguments)
    if not clean:
        check_arguments(arguments)
        if {"--list", "--help"} & set(arguments):  # which need no board
            run.main(list(arguments), standalone_mode=False)
            return
    validated()
    for remote in boards:
        place = remote.board.place
        if clean:
            remote.board.clean()
            out.print(plain(f"Removed {place.home} from {remote.name}"), soft_wrap=True)
            continue
        state = remote.board.state()
        facts = (state.get("model"), state["kernel"], place.machine, f"Python {place.version}", place.home)
        out.print(plain(f"{remote.name}: {', '.join(filter(None, facts))}"), soft_wrap=True)
    if not clean:
        run.main(list(arguments), standalone_mode=False)
