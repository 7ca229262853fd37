"""The images beside a user's network: NAME.npz, or data.npz for all networks of the folder."""

import io
import zipfile
from pathlib import Path

import numpy as np

from models import networks
from models.common import files
from models.common.errors import DataError
from models.images import LabelledImages

SHARED = "data.npz"
MOST_BYTES = 1 << 34
CALIBRATION, TRAINING = "calibration", "train"
KINDS = ("images", "labels")
OTHER_FLOATS = (np.float64, np.float16)
SURE = 5  # standard deviations
WRITE = "np.savez({file!r}, images=images, labels=labels)"


def find(folder: Path, model: str) -> Path:
    """Return the file of a network's images; raises DataError where there is none."""
    for path in (folder / f"{model}.npz", folder / SHARED):
        if path.exists():
            return path
    file = f"{model}.npz"
    raise DataError(
        f"{folder / file} is not there, nor {SHARED}: {model} needs labelled images to be judged on. Write them with NumPy, "
        f"images [N,H,W,C] or [N,H,W] as uint8 or float32 and whole-numbered labels [N]: {WRITE.format(file=file)}"
    )


def are_grouped(labels: np.ndarray) -> bool:
    """Tell whether neighbouring labels [N] are equal far more often than in a random order, as in a file sorted by class."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    pairs, expected = len(labels) - 1, float((shares**2).sum())
    deviation = np.sqrt(expected * (1 - expected) * max(pairs, 1))
    return bool((labels[1:] == labels[:-1]).sum() - expected * pairs > SURE * deviation > 0)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        content = io.BytesIO(files.read_bytes(path, MOST_BYTES))
        if not zipfile.is_zipfile(content):
            raise ValueError("it is no archive of named arrays, or is cut off")
        with np.load(content, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    # zipfile, zlib and numpy raise classes of their own: whatever it is, the file is at fault
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        msg = f"{path} cannot be read as NumPy's npz ({why}). Write it again: {WRITE.format(file=path.name)}"
        raise DataError(msg) from error


class OwnData:
    """What a network's file holds: named evaluation sets, of which the first judges, and images to calibrate and fine-tune on.

    `calibration` is [N,H,W] or [N,H,W,C] like the evaluation images, None if the file has none; so is
    `training`. `class_names` is empty if the file has none. `unread` are arrays with unknown names, `narrowed` those of
    other floats that become float32, `grouped` the sets that were sorted by class.
    """

    def __init__(self, folder: Path, model: str) -> None:
        """Read and check the file; nothing in it can execute code. Raises DataError that says what to mend."""
        self.file = find(folder, model)
        self._arrays = _arrays(self.file)
        self.grouped: list[str] = []
        first = self.file.stem if self.file.name != SHARED else "data"
        names = sorted(n.removesuffix("_images") for n in self._arrays if n.endswith("_images"))
        others = [name for name in names if name not in (CALIBRATION, TRAINING)]
        for name in others:
            allowed = name != first and networks.NAME.fullmatch(name) is not None
            self._require(allowed, f"{name}_images names no other evaluation set than {first}", "Give it another name.")
        self.sets = (self._labelled(first, ""), *(self._labelled(name, f"{name}_") for name in others))
        self.training = self._labelled(TRAINING, f"{TRAINING}_") if TRAINING in names else None
        self.calibration = self._images(f"{CALIBRATION}_images") if CALIBRATION in names else None
        further = ((TRAINING, None if self.training is None else self.training.images), (CALIBRATION, self.calibration))
        for name, images in (*((s.name, s.images) for s in self.sets), *further):
            if images is not None:
                both = images, self.sets[0].images
                kind, first_kind = (f"{i.dtype} {'x'.join(map(str, i.shape[1:]))}" for i in both)
                what = f"the images of {name} are {kind}, the first ones {first_kind}"
                self._require(kind == first_kind, what, "Give all in one size and type.")
        self.class_names = self._class_names()
        read = {"class_names", *KINDS}
        read |= {f"{name}_{kind}" for name in (*others, CALIBRATION, TRAINING) for kind in KINDS}
        self.unread = tuple(name for name in self._arrays if name not in read)
        self.narrowed = tuple(n for n, values in self._arrays.items() if n in read and values.dtype in OTHER_FLOATS)
        self._arrays = {}  # else those were held twice

    def _require(self, fact: bool, what: str, remedy: str) -> None:
        """Raise DataError that says what is wrong and what to do, unless the fact holds."""
        if not fact:
            raise DataError(f"{self.file}: {what}. {remedy}")

    def _labelled(self, name: str, prefix: str) -> LabelledImages:
        images = self._images(f"{prefix}images")
        labels = self._labels(f"{prefix}labels", len(images))
        if are_grouped(labels):  # the first images are calibrated on, and judged in a quick run: they must be like all
            self.grouped.append(name)
            order = np.random.default_rng(0).permutation(len(labels))
            images, labels = images[order], labels[order]
        return LabelledImages(name=name, images=images, labels=labels)

    def _images(self, name: str) -> np.ndarray:
        what = f"there is no array {name!r}, but {', '.join(self._arrays) or 'nothing'}"
        self._require(name in self._arrays, what, f"Write it so: {WRITE.format(file=self.file.name)}")
        images = self._arrays[name]
        if images.dtype in OTHER_FLOATS:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused below
                images = images.astype(np.float32)
        remedy = "Give uint8, which becomes 0..1, or float32, which the network takes as they are."
        self._require(images.dtype in (np.uint8, np.float32), f"{name} are {images.dtype}", remedy)
        shape = f"{name} have the shape {list(images.shape)}"
        self._require(images.ndim in (3, 4), shape, "Give [N,H,W,C], or [N,H,W] for grey ones.")
        channels_first = images.ndim == 4 and images.shape[1] in (1, 3, 4) and images.shape[3] not in (1, 2, 3, 4)
        self._require(not channels_first, f"{shape}, channels first", "Give [N,H,W,C]: images.transpose(0, 2, 3, 1).")
        self._require(images.size > 0, f"{name} holds no images", "Give at least one.")
        finite = images.dtype == np.uint8 or bool(np.isfinite(images).all())
        self._require(finite, f"{name} holds values that are not finite (NaN or infinity)", "Replace them.")
        return images

    def _labels(self, name: str, count: int) -> np.ndarray:
        self._require(name in self._arrays, f"there is no array {name!r}", "Give one class number for each image.")
        labels = self._arrays[name]
        several, shape = labels.ndim == 2 and labels.shape[1] > 1, list(labels.shape)
        remedy = "Give class numbers [N], for example labels.argmax(1)."
        self._require(not several, f"{name} have the shape {shape}", remedy)
        labels = labels.reshape(-1)
        self._require(labels.dtype.kind in "iu", f"{name} are {labels.dtype}", "Give whole numbers from 0 on.")
        what = f"there are {count:,} images and {len(labels):,} {name}"
        self._require(len(labels) == count, what, "Give one for each image.")
        self._require(labels.min() >= 0, f"{name} holds {labels.min()}", "Classes are numbered from 0 on.")
        return labels

    def _class_names(self) -> tuple[str, ...]:
        names = self._arrays.get("class_names")
        if names is None:
            return ()
        remedy = "Write it so: class_names=np.array(['cat', 'dog'])"
        self._require(names.ndim == 1 and names.dtype.kind == "U", "class_names is no list of texts", remedy)
        return tuple(str(name) for name in names)
