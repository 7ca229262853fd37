"""`python -m models.new NAME --from torch|keras`: write a folder with an example network that runs as it is."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("models.new:command")

import os
import subprocess
from pathlib import Path

import click

from models import data, networks, options
from models.common import console, environments, files
from models.common.console import out
from models.common.errors import DataError, UsageError

TEMPLATES = Path(__file__).parent / "templates"
WHOLE = {"torch": ".pt2", "keras": ".keras"}


@click.command()
@click.argument("name")
@click.option(
    "--from", "framework", type=click.Choice(tuple(WHOLE)), required=True, help="What the network is made with."
)
@click.option("--folder", type=options.FOLDER, help="Where it is written.  [default: NAME]")
def command(name: str, framework: str, folder: Path | None) -> None:
    """Write a folder with a script and run it: it trains a small network and saves it with its images, as an example."""
    if not networks.NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be part of an artifact's id: letters, digits and underscores only.")
    folder = folder or Path(name)
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise UsageError(f"{folder} is there already, and nothing in it is replaced. Name another with --folder.")
    console.validated()
    script = folder / f"make_{name}.py"
    python = environments.python("export", install="nox -s export")
    for path, template in ((script, f"{framework}.txt"), (folder / "edgewise.toml", "edgewise.toml")):
        files.write_bytes(path, (TEMPLATES / template).read_text().replace("@NAME@", name).encode())
    out.print(f"Training the example with {script} ...", markup=False)
    home = data.keras_home() | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [python, script.resolve()], env={**os.environ, **home}, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise DataError(f"{script} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    out.print(f"{done.stdout.strip().splitlines()[-1]}. Written: {name}{WHOLE[framework]} and {name}.npz. "
              f"Run it with: nox -s pipeline -- --models {folder}", markup=False)  # fmt: skip
