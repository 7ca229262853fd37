"""The images beside a user's network: NAME.npz, or data.npz for all networks of the folder."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnData:
    """What a file holds: named evaluation sets, of which the first judges, and images to calibrate and fine-tune on.

    `calibration` is [N,H,W] or [N,H,W,C] like the evaluation images, None if the file has none; so is
    `training`. `class_names` is empty if the file has none. `unread` are arrays with unknown names, `narrowed` those of
    other floats that become float32, `grouped` the sets that were sorted by class.
    """

    file: Path
    sets: tuple[LabelledImages, ...]
    calibration: np.ndarray | None
    training: LabelledImages | None
    class_names: tuple[str, ...]
    unread: tuple[str, ...]
    narrowed: tuple[str, ...]
    grouped: tuple[str, ...]


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


def load(folder: Path, model: str) -> OwnData:
    """Return a network's images and labels; nothing in the file can execute code. Raises DataError that says what to mend."""
    path = find(folder, model)
    arrays = _arrays(path)
    first = path.stem if path.name != SHARED else "data"
    reader = _Reader(path, arrays)
    names = sorted(n.removesuffix("_images") for n in arrays if n.endswith("_images"))
    others = [name for name in names if name not in (CALIBRATION, TRAINING)]
    for name in others:
        allowed = name != first and networks.NAME.fullmatch(name) is not None
        reader.require(allowed, f"{name}_images names no other evaluation set than {first}", "Give it another name.")
    sets = (reader.labelled(first, ""), *(reader.labelled(name, f"{name}_") for name in others))
    training = reader.labelled(TRAINING, f"{TRAINING}_") if TRAINING in names else None
    calibration = reader.images(f"{CALIBRATION}_images") if CALIBRATION in names else None
    further = ((TRAINING, None if training is None else training.images), (CALIBRATION, calibration))
    for name, images in (*((s.name, s.images) for s in sets), *further):
        if images is not None:
            kind, first_kind = (f"{i.dtype} {'x'.join(map(str, i.shape[1:]))}" for i in (images, sets[0].images))
            what = f"the images of {name} are {kind}, the first ones {first_kind}"
            reader.require(kind == first_kind, what, "Give all in one size and type.")
    read = {"class_names", *KINDS, *(f"{name}_{kind}" for name in (*others, CALIBRATION, TRAINING) for kind in KINDS)}
    return OwnData(
        file=path,
        sets=sets,
        calibration=calibration,
        training=training,
        class_names=reader.class_names(),
        unread=tuple(name for name in arrays if name not in read),
        narrowed=tuple(name for name in arrays if name in read and arrays[name].dtype in OTHER_FLOATS),
        grouped=tuple(reader.grouped),
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


@dataclass(frozen=True)
class _Reader:
    path: Path
    arrays: Mapping[str, np.ndarray]
    grouped: list[str] = field(default_factory=list)

    def require(self, fact: bool, what: str, remedy: str) -> None:
        """Raise DataError that says what is wrong and what to do, unless the fact holds."""
        if not fact:
            raise DataError(f"{self.path}: {what}. {remedy}")

    def labelled(self, name: str, prefix: str) -> LabelledImages:
        images = self.images(f"{prefix}images")
        labels = self._labels(f"{prefix}labels", len(images))
        if are_grouped(labels):  # the first images are calibrated on, and judged in a quick run: they must be like all
            self.grouped.append(name)
            order = np.random.default_rng(0).permutation(len(labels))
            images, labels = images[order], labels[order]
        return LabelledImages(name=name, images=images, labels=labels)

    def images(self, name: str) -> np.ndarray:
        what = f"there is no array {name!r}, but {', '.join(self.arrays) or 'nothing'}"
        self.require(name in self.arrays, what, f"Write it so: {WRITE.format(file=self.path.name)}")
        images = self.arrays[name]
        if images.dtype in OTHER_FLOATS:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused below
                images = images.astype(np.float32)
        remedy = "Give uint8, which becomes 0..1, or float32, which the network takes as they are."
        self.require(images.dtype in (np.uint8, np.float32), f"{name} are {images.dtype}", remedy)
        shape = f"{name} have the shape {list(images.shape)}"
        self.require(images.ndim in (3, 4), shape, "Give [N,H,W,C], or [N,H,W] for grey ones.")
        channels_first = images.ndim == 4 and images.shape[1] in (1, 3, 4) and images.shape[3] not in (1, 2, 3, 4)
        self.require(not channels_first, f"{shape}, channels first", "Give [N,H,W,C]: images.transpose(0, 2, 3, 1).")
        self.require(images.size > 0, f"{name} holds no images", "Give at least one.")
        finite = images.dtype == np.uint8 or bool(np.isfinite(images).all())
        self.require(finite, f"{name} holds values that are not finite (NaN or infinity)", "Replace them.")
        return images

    def _labels(self, name: str, count: int) -> np.ndarray:
        self.require(name in self.arrays, f"there is no array {name!r}", "Give one class number for each image.")
        labels = self.arrays[name]
        several, shape = labels.ndim == 2 and labels.shape[1] > 1, list(labels.shape)
        remedy = "Give class numbers [N], for example labels.argmax(1)."
        self.require(not several, f"{name} have the shape {shape}", remedy)
        labels = labels.reshape(-1)
        self.require(labels.dtype.kind in "iu", f"{name} are {labels.dtype}", "Give whole numbers from 0 on.")
        what = f"there are {count:,} images and {len(labels):,} {name}"
        self.require(len(labels) == count, what, "Give one for each image.")
        self.require(labels.min() >= 0, f"{name} holds {labels.min()}", "Classes are numbered from 0 on.")
        return labels

    def class_names(self) -> tuple[str, ...]:
        names = self.arrays.get("class_names")
        if names is None:
            return ()
        remedy = "Write it so: class_names=np.array(['cat', 'dog'])"
        self.require(names.ndim == 1 and names.dtype.kind == "U", "class_names is no list of texts", remedy)
        return tuple(str(name) for name in names)
