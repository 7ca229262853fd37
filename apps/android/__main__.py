"""`python -m apps.android`: build the app, without an SDK, and hold what came out against the gates."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("apps.android.__main__:android")

import time
from pathlib import Path

import click
from rich.table import Table

from apps.android import assets, build, engines, package, verify
from apps.android.build import Apk, Request
from apps.web.options import Folder
from models import options
from models.common.console import out, plain, validated
from models.common.errors import UsageError

HERE = Path(__file__).parent
FILE = options.Place(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--only", "patterns", multiple=True, metavar="GLOB", type=options.Word("glob"),
              help="Pack artifacts that match; may be repeated.  [default: none, open them on the phone]")  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the artifacts that would be packed and end.")
@click.option(
    "--engines", "names", metavar="NAME,...", default="", help=f"Of {', '.join(engines.ENGINES)}.  [default: all]"
)
@click.option("--aar", "archives", multiple=True, metavar="ENGINE=FILE", help="Take an engine from an archive on disk.")
@click.option("--abi", "abis", multiple=True, type=click.Choice(engines.ABIS), help="Only this; may be repeated.")
@click.option("--keystore", type=FILE, help=f"Sign with your own key; its password is in {package.PASSWORD}.")
@click.option("--key", "alias", default="", metavar="ALIAS", help="Of the keystore, where it holds several keys.")
@options.models
@options.beside("--artifacts", name="artifacts", kind=Folder(), text="Where they are.")
@options.beside(
    "--results", name="results", kind=Folder(), text="Where --verify writes its rows of the compatibility grid."
)
@click.option("--out", "target", default=HERE / "build", type=Folder(), help="Where the APKs go.")
@click.option("--verify", "verifying", is_flag=True,
              help="Let the arm64 libraries that ship answer the golden vectors of the .tflite files, under an emulator.")  # fmt: skip
def android(
    patterns: tuple[str, ...],
    listing: bool,
    names: str,
    archives: tuple[str, ...],
    abis: tuple[str, ...],
    keystore: Path | None,
    alias: str,
    artifacts: Path,
    results: Path,
    target: Path,
    verifying: bool,
) -> None:
    """Build the Android app: a signed APK for each ABI.

    It needs Java, Maven, aapt2, zipalign, apksigner and dexdump; the first that is missing is named with its package.
    """
    chosen = engines.chosen(tuple(name.strip() for name in names.split(",") if name.strip()))
    on_disk = engines.on_disk(archives)
    for name in on_disk:
        if name not in chosen:
            raise UsageError(f"--aar {name}= has no effect without {name} in --engines. Leave one of them out.")
    if alias and not keystore:
        raise UsageError("--key goes with --keystore only. Add --keystore FILE, or leave it out.")
    if listing:
        for artifact in assets.choose(artifacts, patterns or ("*",), chosen):
            click.echo(artifact.id)
        return
    key = package.own_key(keystore, alias) if keystore else None
    validated()
    assets.choose(artifacts, patterns, chosen)  # a mistyped glob fails before anything is downloaded
    request = Request(engines=chosen, archives=on_disk, abis=abis or engines.ABIS, artifacts=artifacts, patterns=patterns,
                      key=key, target=target, results=results)  # fmt: skip
    _build(request)
    if verifying:
        verify.run(request)


def _build(request: Request) -> None:
    started = time.perf_counter()
    with out.status("engines, javac, R8, aapt2, apksigner"):
        apks = build.build(request, lambda text: out.print(plain(text), soft_wrap=True))
    out.print(_table(apks))
    for apk in apks:
        for name, cost in apk.costs.items():
            for library in cost.small_pages:
                out.print(f"{name}: {library} ({apk.abi}) is not aligned to 16 kB: it does not load on phones with such pages",
                          soft_wrap=True)  # fmt: skip
    elapsed_s = time.perf_counter() - started
    out.print(plain(f"{len(apks)} APKs in {request.target}, {elapsed_s:.0f} s. Onto a phone: adb install {apks[0].path}"),
              soft_wrap=True)  # fmt: skip


def _table(apks: tuple[Apk, ...]) -> Table:
    names = tuple(dict.fromkeys(name for apk in apks for name in apk.costs))
    table = Table("ABI", title="compressed bytes, as they are downloaded")
    for column in ("APK", "app itself", *names, "artifacts"):
        table.add_column(column, justify="right")
    for apk in apks:
        engine_sizes = (apk.costs[name].whole if name in apk.costs else None for name in names)
        sizes = (apk.sizes.whole, apk.own, *engine_sizes, apk.sizes.assets)
        table.add_row(apk.abi, *("-" if size is None else f"{size:,}" for size in sizes))
    return table
