"""`python -m apps.web`: build the site, and serve it on the local network."""

from __future__ import annotations

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models import entry

    entry.main("apps.web.__main__:web")

import time
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from apps.web import build as builder
from apps.web import catalogue, packages, serve
from models.console import out
from models.errors import DataError

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--only", "patterns", multiple=True, metavar="GLOB", help="Only artifacts that match; may be repeated.")
@click.option("--list", "listing", is_flag=True, help="List the artifacts that a browser can run and end.")
@click.option("--serve", "serving", is_flag=True, help="Serve the site on the local network once it is built.")
@click.option("--no-build", is_flag=True, help="Serve what was built before.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default="0.0.0.0", show_default=True, help="127.0.0.1 keeps it on this machine.")
@click.option("--artifacts", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
@click.option("--results", default="results", show_default=True, type=_FOLDER, help="The desktop's figures.")
@click.option("--dist", default=Path(__file__).parent / "dist", type=_FOLDER, help="Where the site goes.")
def web(
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
    """Build the web demo as static files, of every artifact that a browser can run or of those that match."""
    if not (no_build and serving):
        content = catalogue.gather(artifacts, results, patterns)
        if listing:
            for artifact in content.chosen:
                click.echo(artifact.id)
            return
        _build(content, dist, artifacts)
    elif not (dist / "index.html").exists():
        msg = f"There is no site in {dist}. Build it first, without --no-build."
        raise DataError(msg)
    if serving:
        _serve(dist, host, port)


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
        sizes = (load.raw_bytes, load.brotli_bytes, load.gzip_bytes)
        table.add_row(load.runtime, load.artifact, *(f"{size:,}" for size in sizes))
    out.print(table)
    elapsed_s = time.perf_counter() - started
    out.print(f"{len(content.chosen)} artifacts in {escape(str(dist))}, {elapsed_s:.0f} s: static files for any web host.",
              soft_wrap=True)  # fmt: skip


def _serve(dist: Path, host: str, port: int) -> None:
    import segno

    with serve.Site(dist, host, port) as site:
        reached = serve.address() if host == "0.0.0.0" else host
        url = f"http://{reached}:{site.port}/"
        out.print(
            f"Serving {escape(str(dist))} on {url} and http://localhost:{site.port}/, until Ctrl-C", soft_wrap=True
        )
        segno.make(url).terminal(compact=True)
        out.print("Browsers keep a page for offline use only from https or localhost. On a phone over USB:\n"
                  f"adb reverse tcp:{site.port} tcp:{site.port}, then open http://localhost:{site.port}/",
                  soft_wrap=True)  # fmt: skip
        try:
            site.serve_forever()
        except KeyboardInterrupt:
            out.print("Stopped.")
