"""`python -m device_tests`: every command of this floor; heavy modules are imported by the command that needs them."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("device_tests.__main__:group")

import click

from models.common.registry import Registry

COMMANDS = Registry("device_tests.commands", "command")


@click.group()
def group() -> None:
    """Run artifacts on runtimes, report what came of it, and hold budgets against it."""


for name in COMMANDS.names():  # a command has the name of its file; the other files are what commands share
    if command := getattr(COMMANDS[name], name, None):
        group.add_command(command)
