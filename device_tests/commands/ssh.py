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
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF device_tests run]...")
def ssh(names: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """Run the artifacts on boards over ssh, with what their own pip installs there once.

    A board that cannot be reached is an error here, not rows that are skipped. --clean removes what was put on the boards.
    """
    boards = [devices.device(name) for name in names if name.startswith(NAMES)]
    if not boards:
        raise UsageError("Say which board: nox -s 'devices(ssh)' -- --device ssh:user@host")
    arguments = (*(part for name in names for part in ("--device", name)), *arguments)
    check_arguments(arguments)
    if not {"--list", "--help", "--clean"} & set(arguments):  # which tell nothing of boards
        validated()
        for remote in boards:
            place, state = remote.board.place, remote.board.state()
            facts = (state.get("model"), state["kernel"], place.machine, f"Python {place.version}", place.home)
            out.print(plain(f"{remote.name}: {', '.join(filter(None, facts))}"), soft_wrap=True)
    run.main(list(arguments), standalone_mode=False)
