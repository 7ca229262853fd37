"""MNIST from a folder, a cache or its public mirrors, always verified; scikit-learn's digits if MNIST cannot be found."""

import gzip
import hashlib
import io
import os
import sys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs

from models.common import files
from models.common.errors import DataError, UsageError, did_you_mean
from models.images import LabelledImages

MEAN, STD = 0.1307, 0.3081  # of MNIST's training images, grey values in 0..1
NAMES = ("mnist", "digits")

Split = Literal["train", "test"]

# SHA-256 of the uncompressed IDX files: mirrors compress differently, the content is the same everywhere.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# Bytes of the uncompressed files: whatever is longer is not MNIST, and is not read to its end.
MNIST_BYTES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
GZIP_BYTES = 1 << 16  # what gzip may add to a content that it cannot compress
_PREFIX = {"train": "train", "test": "t10k"}


@lru_cache
def load(split: Split, name: str | None = None) -> LabelledImages:
    """Return a data set by name, images uint8 [N,28,28]; without a name MNIST, or the digits with a warning if there is none.

    Raises DataError for files that are truncated, empty or not MNIST: broken data never fall back to other data.
    """
    if name not in (None, *NAMES):
        raise UsageError(f"There is no data set called {name!r}. {did_you_mean(name, NAMES)}")
    if name == "digits":
        return _digits(split)
    prefix = _PREFIX[split]
    try:
        images = _content(f"{prefix}-images-idx3-ubyte")
        labels = _content(f"{prefix}-labels-idx1-ubyte")
    except MnistUnavailable as error:
        if name == "mnist":
            raise
        print(f"WARNING: using scikit-learn's digits, not MNIST. {error}", file=sys.stderr, flush=True)
        return _digits(split)
    return LabelledImages(
        name="mnist",
        images=np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28),
        labels=np.frombuffer(labels, np.uint8, offset=8),
    )


class MnistUnavailable(DataError):
    """MNIST is in no folder, in no cache and on no mirror that answers."""


def cache_folder() -> Path:
    """Return where downloads are kept: EDGEWISE_CACHE, or the user's cache folder."""
    return Path(os.environ.get("EDGEWISE_CACHE") or platformdirs.user_cache_path("edgewise", appauthor=False))


def keras_home() -> dict[str, str]:
    """Return the environment variable that keeps Keras, and whatever imports it, from writing into ~/.keras."""
    return {"KERAS_HOME": os.environ.get("KERAS_HOME") or str(cache_folder() / "keras")}


def _content(name: str) -> bytes:
    folder = os.environ.get("MNIST_DIR")
    if folder:  # named by the user, so a mistake in it is an error, not a reason to look elsewhere
        return _verified(_either(Path(folder) / name), name)
    cached = cache_folder() / "mnist" / f"{name}.gz"
    if _exists(cached):
        try:
            return _verified(cached, name)
        except DataError as error:
            print(f"{error} Downloading it again.", file=sys.stderr, flush=True)
    from models import mirrors  # only here, so that a run from a folder needs no HTTP library

    return mirrors.fetch(name, cached, lambda path: _verified(path, name))


def _exists(path: Path) -> bool:
    """Tell whether something has this name; raises DataError for a path that no file can have or that is forbidden."""
    try:
        return path.exists()
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}). Correct MNIST_DIR or EDGEWISE_CACHE, whichever names it."
        raise DataError(msg) from error


def _either(path: Path) -> Path:
    """Return the file, compressed or not, of a folder that the user named."""
    for candidate in (path.with_name(path.name + ".gz"), path):
        if _exists(candidate):
            return candidate
    missing = f"MNIST_DIR is {path.parent}, but {path.name}.gz is not there."
    raise DataError(f"{missing} Correct MNIST_DIR or unset it to download MNIST.")


def _verified(path: Path, name: str) -> bytes:
    """Return the uncompressed content of an IDX file; raises DataError unless it is MNIST's to the last byte."""
    most = MNIST_BYTES[name]
    try:
        content = files.read_bytes(path, most + GZIP_BYTES)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(most + 1)  # a few bytes of gzip can stand for gigabytes
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        msg = f"{path} is not a whole gzip file ({error or type(error).__name__}). Replace or delete it."
        raise DataError(msg) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Replace or delete it.") from error
    if len(content) > most:
        msg = f"{path} is not MNIST's {name}: it has more than {most:,} bytes uncompressed. Replace or delete it."
        raise DataError(msg)
    digest = hashlib.sha256(content).hexdigest()
    if digest != MNIST_SHA256[name]:
        raise DataError(
            f"{path} is not MNIST's {name}: SHA-256 {digest[:12]}... of {len(content):,} bytes uncompressed, "
            f"expected {MNIST_SHA256[name][:12]}... Replace or delete it."
        )
    return content


def _digits(split: Split) -> LabelledImages:
    """Return scikit-learn's 1,797 digits in MNIST's frame: zoomed to 20x20, centred by mass in 28x28."""
    try:
        from scipy import ndimage
        from sklearn.datasets import load_digits
    except ImportError as error:
        msg = f"The digits data set needs scikit-learn ({error}). Set MNIST_DIR, or run through nox, which installs it."
        raise DataError(msg) from error

    bunch = load_digits()
    frames = []
    for digit in bunch.images:
        frame = np.zeros((28, 28), np.float32)
        frame[4:24, 4:24] = np.clip(ndimage.zoom(digit / 16.0, 2.5, order=3), 0.0, 1.0)
        shift = 13.5 - np.array(ndimage.center_of_mass(frame))
        frames.append(ndimage.shift(frame, np.round(shift), order=0))
    images = np.rint(np.stack(frames) * 255).astype(np.uint8)
    labels = bunch.target.astype(np.uint8)
    part = slice(0, 797) if split == "train" else slice(797, None)
    return LabelledImages(name="digits", images=images[part], labels=labels[part])
