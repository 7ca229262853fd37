"""MNIST's public mirrors, tried in turn with time-outs and a progress bar."""

from collections.abc import Callable
from pathlib import Path

import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from models.common import files
from models.common.errors import DataError
from models.data import GZIP_BYTES, MNIST_BYTES, MnistUnavailable

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://raw.githubusercontent.com/fgnt/mnist/master",
)
TIMEOUT_S = (5, 30)  # to connect, between two packets


def fetch(name: str, target: Path, verify: Callable[[Path], bytes]) -> bytes:
    """Download `name`.gz to `target` from the first mirror whose content `verify` accepts; return that content.

    Raises MnistUnavailable with every mirror's reason when none does.
    """
    reasons = []
    for mirror in MIRRORS:
        try:
            with files.whole(target) as temporary:
                _download(f"{mirror}/{name}.gz", temporary, MNIST_BYTES[name] + GZIP_BYTES)
                return verify(temporary)
        except (requests.RequestException, DataError) as error:
            why = "no connection" if isinstance(error, requests.ConnectionError) else error
            reasons.append(f"{mirror}: {why}")
    raise MnistUnavailable(
        f"MNIST cannot be downloaded ({'; '.join(reasons)}). Set MNIST_DIR to a folder that holds its four "
        "gzipped IDX files, or ask for the small stand-in with --data digits."
    )


def _download(url: str, path: Path, limit: int) -> None:
    """Write what the mirror sends; raises DataError where that is more than `limit` bytes, for it may have no end."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with requests.get(url, stream=True, timeout=TIMEOUT_S) as response, Progress(*columns, transient=True) as progress:
        response.raise_for_status()
        task = progress.add_task(url.rsplit("/", 1)[1], total=int(response.headers.get("content-length", 0)) or None)
        with path.open("wb") as file:
            for chunk in response.iter_content(1 << 16):
                limit -= len(chunk)
                if limit < 0:
                    raise DataError("it sends more than MNIST has")
                file.write(chunk)
                progress.advance(task, len(chunk))
