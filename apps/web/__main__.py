"""`python -m apps.web`: build the site, and serve it to this machine or to its whole network."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("apps.web.__main__:web")

import importlib.util
import time
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from apps.web import addresses, catalogue, packages, serve
from apps.web import build as builder
from apps.web.options import Folder, typed
from models import options
from models.common.console import out
from models.common.errors import DataError, EnvironmentMissing, UsageError


@click.command()
@click.option("--only", "patterns", multiple=True, metavar="GLOB", type=options.Word("glob"),
              help="Only artifacts that match; may be repeated.")  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the artifacts that a browser can run and end.")
@click.option("--serve", "serving", is_flag=True, help="Serve the site once it is built.")
@click.option("--no-build", is_flag=True, help="Serve what was built before.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default=addresses.LOOPBACK, show_default=True, type=options.Word("host"),
              help=f"Where to serve: {addresses.ALL} lets a phone in the same network reach it.")  # fmt: skip
@options.models
@options.beside("--artifacts", name="artifacts", kind=Folder(), text="Where they are.")
@options.beside("--results", name="results", kind=Folder(), text="The desktop's figures.")
@click.option("--dist", default=Path(__file__).parent / "dist", type=Folder(), help="Where the site goes.")
@click.pass_context
def web(
    ctx: click.Context,
    patterns: tuple[str, ...],
    listing: bool,
    serving: bool,
    no_build: bool,
    port: int,
    host: str,
    artifacts: Path,
    results: Path,
    dist: Path,
) -> None:
    """Build the web demo as static files, of every artifact that a browser can run or of those that match.

    It is served to this machine alone; for a phone in the same network: --serve --host 0.0.0.0
    """
    _require_sense(ctx, serving=serving, no_build=no_build)
    content = None if no_build else catalogue.gather(artifacts, results, patterns)
    if listing and content:
        for artifact in content.chosen:
            click.echo(artifact.id)
        return
    if content:
        builder.require_replaceable(dist)
        _require_environment()
    elif not (dist / "index.html").exists():
        raise DataError(f"There is no site in {dist}. Build it first, without --no-build.")
    # the port is taken before minutes of building, which a taken one would waste
    site = serve.Site(dist, host, port) if serving else None
    if content:
        _build(content, dist, artifacts)
    if site:
        _serve(site)


def _require_sense(ctx: click.Context, *, serving: bool, no_build: bool) -> None:
    """Refuse options that would have no effect, and results that are not there."""
    if not serving:
        for name in ("port", "host", "no_build"):
            if typed(ctx, name):
                raise UsageError(f"--{name.replace('_', '-')} goes with --serve only. Add --serve, or leave it out.")
    if no_build:
        for name in ("patterns", "listing", "artifacts", "results"):
            if typed(ctx, name):
                option = {"patterns": "only", "listing": "list"}.get(name, name)
                msg = f"--no-build serves the site as it was built, so --{option} has no effect. Leave one of them out."
                raise UsageError(msg)
    if typed(ctx, "results") and not ctx.params["results"].is_dir():
        msg = f"There are no results in {ctx.params['results']}. Leave --results out to build without the desktop's figures."
        raise UsageError(msg)


def _require_environment() -> None:
    missing = [name for name in ("brotli", "segno") if not importlib.util.find_spec(name)]
    if missing:
        msg = f"The environment `web` is not the one in use: it lacks {' and '.join(missing)}. Run: nox -s 'apps(web)'"
        raise EnvironmentMissing(msg)


def _build(content: catalogue.Content, dist: Path, artifacts: Path) -> None:
    started = time.perf_counter()
    with out.status("npm ci"):
        node_modules = packages.install()
    with out.status(f"compressing {len(content.chosen)} artifacts and the runtimes"):
        loads = builder.build(dist, content, artifacts_folder=artifacts, node_modules=node_modules)
    table = Table("first load", "artifact", title="bytes that a first visit transfers")
    for column in ("raw", "brotli", "gzip"):
        table.add_column(column, justify="right")
    for load in loads:
        table.add_row(load.runtime, load.artifact, *(f"{load.sizes[suffix]:,}" for suffix in ("", ".br", ".gz")))
    out.print(table)
    elapsed_s = time.perf_counter() - started
    out.print(f"{len(content.chosen)} artifacts in {escape(str(dist))}, {elapsed_s:.0f} s: static files for any web host.",
              soft_wrap=True)  # fmt: skip


def _serve(site: serve.Site) -> None:
    out.print(f"Serving {escape(str(site.folder))} on {escape(site.url)} until Ctrl-C", soft_wrap=True)
    if site.is_private:
        out.print(
            f"Only this machine can reach it; for a phone in the same network: --host {addresses.ALL}", soft_wrap=True
        )
    else:
        import segno

        segno.make(site.url).terminal(compact=True)
        out.print("Browsers keep a page for offline use only from https or localhost.", soft_wrap=True)
    if site.is_local:
        out.print(f"On a phone over USB: adb reverse tcp:{site.port} tcp:{site.port}, then open http://localhost:{site.port}/",
                  soft_wrap=True)  # fmt: skip
    site.run()
    out.print("Stopped.")
