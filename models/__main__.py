"""`python -m models`: train what is missing or out of date."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path

import click

from models import checkpoints, console
from models.console import out
from models.errors import UsageError, did_you_mean
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
    "--logs", default="logs/tensorboard", show_default=True, type=click.Path(path_type=Path), help="TensorBoard logs."
)
def command(patterns: tuple[str, ...], listing: bool, force: bool, logs: Path) -> None:
    """Train the zoo on MNIST. A checkpoint that its recipe, network and data still match is left alone."""
    names = ZOO.names()
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            msg = f"--only {pattern!r} matches no model. {did_you_mean(pattern, names)}"
            raise UsageError(msg)
    console.validated()
    for name in (n for n in names if not patterns or any(fnmatchcase(n, p) for p in patterns)):
        current = checkpoints.is_current(name)
        if listing or (current and not force):
            accuracy = checkpoints.card(name).get("test_accuracy", float("nan"))
            out.print(f"{name}: {'current' if current else 'to be trained'}, test accuracy {accuracy:.2%}")
            continue

        from models.training import train  # only here: a run that finds all current imports no framework

        card = train(name, logs)
        low, high = card["test_accuracy_95"]
        out.print(
            f"{name}: test accuracy {card['test_accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}), "
            f"{card['cpu_minutes']} CPU minutes. Compare the runs with: {Path(sys.executable).parent / 'tensorboard'} --logdir {logs}"
        )


if __name__ == "__main__":
    console.main(command)
