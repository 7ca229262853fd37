"""`python -m models`: train what is missing or out of date."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("models.__main__:command")

import sys
from fnmatch import fnmatchcase
from pathlib import Path

import click

from models import cards, options
from models.common import console
from models.common.console import out
from models.common.errors import DataError, UsageError, did_you_mean
from models.zoo import ZOO


@click.command()
@click.option(
    "--only", "patterns", multiple=True, metavar="GLOB", help="Only models whose name matches; may be repeated."
)
@click.option(
    "--list", "listing", is_flag=True, help="List the models and whether their checkpoints are current, and end."
)
@click.option("--force", is_flag=True, help="Train again what is already current.")
@click.option(
    "--logs", default="logs/tensorboard", show_default=True, type=options.FOLDER, help="Where TensorBoard logs go."
)
def command(patterns: tuple[str, ...], listing: bool, force: bool, logs: Path) -> None:
    """Train the zoo on MNIST. A checkpoint that its training settings, network and data still match is left alone."""
    names = ZOO.names()
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"--only {pattern!r} matches no model. {did_you_mean(pattern, names)}")
    console.validated()
    for name in (n for n in names if not patterns or any(fnmatchcase(n, p) for p in patterns)):
        if listing or (not force and cards.is_current(name)):
            out.print(f"{name}: {_state(name)}", markup=False)
            continue
        if not force:
            out.print(f"{name}: {_state(name)}. Training it.", markup=False)

        from models.training import train  # only here: a run that finds all current imports no framework

        card = train(name, logs)
        low, high = card.test_accuracy_95
        out.print(
            f"{name}: test accuracy {card.test_accuracy:.2%} (95 % interval {low:.2%} to {high:.2%}), {card.cpu_minutes} "
            f"CPU minutes. Compare the runs with: {Path(sys.executable).parent / 'tensorboard'} --logdir {logs}",
            markup=False,
        )


def _state(name: str) -> str:
    """Return the state of a model's checkpoint, in words."""
    try:
        stored = cards.checkpoint(name)
    except DataError as error:
        return f"damaged: {error}"
    if stored.state == "current":
        return f"current, test accuracy {stored.card.test_accuracy:.2%}"
    start = "damaged" if stored.state == "damaged" else "to be trained"
    return f"{start}: {cards.REASONS[stored.state]}" if stored.state in cards.REASONS else start
