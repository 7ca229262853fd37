"""`python -m device_tests`: every command of this floor; heavy modules are imported by the command that needs them."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("device_tests.__main__:group")

import click

from device_tests.commands.add import add
from device_tests.commands.android import android
from device_tests.commands.bundle import bundle
from device_tests.commands.check import check
from device_tests.commands.compatibility import compatibility
from device_tests.commands.explain import explain
from device_tests.commands.instructions import instructions
from device_tests.commands.latency import latency
from device_tests.commands.npu import npu
from device_tests.commands.report import report
from device_tests.commands.rewrites import rewrites
from device_tests.commands.run import run
from device_tests.commands.shipping import shipping
from device_tests.commands.ssh import ssh
from device_tests.commands.sweep import sweep


@click.group()
def group() -> None:
    """Run artifacts on runtimes, report what came of it, and hold budgets against it."""


measuring = (run, explain, latency, instructions, rewrites, shipping, npu, compatibility, sweep)
for command in (*measuring, report, check, android, ssh, bundle, add):
    group.add_command(command)
