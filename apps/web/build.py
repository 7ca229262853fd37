"""Writes the site whole: the page, the few runtime files, the artifacts with their sidecars, all pre-compressed."""

import base64
import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from apps.web import catalogue, groups, packages
from apps.web.catalogue import Content
from export.artifact import Artifact, sidecar_path
from models.common import files
from models.common.errors import EdgewiseError, UsageError

SOURCE = Path(__file__).parent / "src"
WORKER = "sw.js"
IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
HASH_MARK = "sha256-IMPORT-MAP"
WORTH = 0.95  # a compressed copy is written if it has at most this share of the size
# Brotli at 11 takes a minute for a runtime's file and saves 13 % of it; at 9 three seconds.
BROTLI_QUALITY = 9


def _brotli(content: bytes) -> bytes:
    import brotli

    return brotli.compress(content, quality=BROTLI_QUALITY)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {".br": _brotli, ".gz": partial(gzip.compress, mtime=0)}


@dataclass(frozen=True, kw_only=True)
class FirstLoad:
    """What a first visit transfers with one artifact, in bytes by the ending of a compressed copy; by "" as they are."""

    runtime: str
    artifact: str
    sizes: dict[str, int]


def build(dist: Path, content: Content, *, artifacts_folder: Path, node_modules: Path) -> tuple[FirstLoad, ...]:
    """Write the site into `dist`, whole or not at all; return the first load of each runtime with its smallest int8.

    Raises UsageError for a folder that holds anything else, for a site takes the place of the one before, and
    EdgewiseError where another build of it is under way.
    """
    require_replaceable(dist)
    with _replacing(dist.resolve()) as site:
        shutil.copytree(SOURCE, site, ignore=shutil.ignore_patterns(WORKER))
        for file in packages.shipped():
            _copy(_required(node_modules / file), site / "packages" / file)
        for artifact in content.chosen:
            for source in (artifacts_folder / artifact.file, sidecar_path(artifacts_folder, artifact.id)):
                _copy(source, site / "artifacts" / source.name)
        for group in content.groups:
            for model, reference in group.references.items():
                file = site / "reference" / f"{model}.bin"
                files.write_bytes(file, groups.reference_bytes(reference, group.reference_images))
        files.write_json(site / "examples.json", content.examples)
        _allow_import_map(site / "index.html")
        listing = {"first": groups.first(content.chosen).id, "groups": [group.json() for group in content.groups],
                   "runtimes": packages.versions(), "artifacts": content.entries}  # fmt: skip
        digest = version(site, listing)
        files.write_json(site / "catalogue.json", {"version": digest, **listing})
        constants = f"const VERSION = {json.dumps(digest)};\nconst SHELL = {json.dumps(['./', *shell()], indent=1)};\n"
        (site / WORKER).write_text(f"{constants}\n{(SOURCE / WORKER).read_text()}")
        _compress(site)
        return tuple(_first_load(site, artifact) for artifact in _smallest(content.chosen))


def require_replaceable(dist: Path) -> None:
    """Raise UsageError where `dist` is no folder that a site may take the place of."""
    if dist.exists() and not dist.is_dir():
        raise UsageError(f"{dist} is a file, and the site is a folder. Name an empty or a new folder.")
    if dist.exists() and any(dist.iterdir()) and not (dist / "catalogue.json").exists():
        msg = f"{dist} holds something that is no site of ours, which the site would replace. Name an empty or a new folder."
        raise UsageError(msg)


@contextmanager
def _replacing(dist: Path) -> Iterator[Path]:
    """Yield an empty place beside `dist`, which becomes `dist` once the block ends well; one build at a time.

    The former site stays whole until then. It is moved aside, not deleted, before the new one moves in: what is left
    of a build that was killed in between is put back by the next.
    """
    new, former, lock = (dist.with_name(f".{dist.name}.{kind}") for kind in ("new", "former", "lock"))
    with files.storage_errors(dist.parent):
        dist.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0):
                files.remove(new)
                if former.exists() and not dist.exists():
                    former.rename(dist)
                files.remove(former)
                try:
                    yield new
                    if dist.exists():
                        dist.rename(former)
                    new.rename(dist)
                finally:
                    if former.exists() and not dist.exists():
                        former.rename(dist)
                    files.remove(new)
                    files.remove(former)
        except Timeout as error:
            msg = f"Another build of {dist} is under way. Wait for it, or name another folder with --dist."
            raise EdgewiseError(msg) from error


def version(site: Path, listing: dict[str, Any]) -> str:
    """Return a digest of all that a browser caches. It is part of the worker, by whose bytes browsers notice a new site."""
    parts = (files.sha256(site), json.dumps(listing, allow_nan=False), (SOURCE / WORKER).read_text())
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def shell() -> tuple[str, ...]:
    """Return what every visit needs, as paths on the site: the page without its runtimes, and the catalogue."""
    own = (file.relative_to(SOURCE).as_posix() for file in files.members(SOURCE))
    page = (file for file in own if file != WORKER and not file.startswith("runtimes/"))
    return (*page, "catalogue.json", "examples.json", *(f"packages/{file}" for file in packages.PAGE))


def of_runtime(runtime: str) -> tuple[str, ...]:
    """Return what a runtime needs besides, as paths on the site."""
    return (f"runtimes/{runtime}.js", *(f"packages/{file}" for file in packages.RUNTIMES[runtime]))


def _smallest(chosen: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """Return one artifact per runtime: int8 before others, then the smallest."""
    best: dict[str, Artifact] = {}
    for artifact in sorted(chosen, key=lambda a: (a.scheme != "int8", a.compressed_bytes)):
        best.setdefault(catalogue.RUNTIMES[artifact.format][0], artifact)
    return tuple(best.values())


def _first_load(site: Path, artifact: Artifact) -> FirstLoad:
    runtime = catalogue.RUNTIMES[artifact.format][0]
    own = (f"artifacts/{artifact.file}", f"artifacts/{artifact.id}.json")
    needed = (*shell(), WORKER, *of_runtime(runtime), *own)
    sizes = {suffix: sum(_transferred(site / file, suffix) for file in needed) for suffix in ("", *COMPRESSIONS)}
    return FirstLoad(runtime=runtime, artifact=artifact.id, sizes=sizes)


def _transferred(file: Path, suffix: str) -> int:
    compressed = file.with_name(file.name + suffix)
    return (compressed if compressed.exists() else file).stat().st_size


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _required(file: Path) -> Path:
    if not file.exists():
        msg = f"{file} is not there, though npm installed its package. Delete {packages.HERE / 'node_modules'} and build again."
        raise EdgewiseError(msg)
    return file


def _allow_import_map(page: Path) -> None:
    """Put the hash of the page's import map into its content security policy, which allows no other inline script."""
    html = page.read_text()
    (inline,) = IMPORT_MAP.findall(html)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    page.write_text(html.replace(HASH_MARK, f"sha256-{digest}"))


def _compress(site: Path) -> None:
    """Write a compressed copy beside each file that becomes smaller by it, where web servers look for it."""

    def compressed(job: tuple[Path, str]) -> None:
        file, suffix = job
        content = file.read_bytes()
        smaller = COMPRESSIONS[suffix](content)
        if len(smaller) <= WORTH * len(content):
            file.with_name(file.name + suffix).write_bytes(smaller)

    with ThreadPoolExecutor() as pool:
        list(pool.map(compressed, [(file, suffix) for file in files.members(site) for suffix in COMPRESSIONS]))
