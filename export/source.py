"""What a conversion starts from: the trained network, and the images that it may calibrate or fine-tune on."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np

from export.schemes import QAT_BATCH, SCHEMES
from models import checkpoints, deployed
from models.common.errors import DataError, Unsupported
from models.frameworks import FRAMEWORKS
from models.images import LAYOUTS, LabelledImages, Layout, network_input
from models.own.settings import DYNAMIC, Options

T = TypeVar("T")

DEFAULT_LAYOUT: dict[str, Layout] = {"torch": "chw", "keras": "hwc"}


class Source:
    """One network and its data. Everything is made on first use and kept for the next recipe."""

    def __init__(self, model: str, dataset: str | None = None) -> None:
        self.model = model
        self.dataset = dataset
        self.deployed = deployed.get(model, dataset)
        self.framework = self.deployed.framework
        self.options = SCHEMES.defaults
        self.rewrites = True  # whether converted files are rewritten (export/rewrites/)
        self.inputs: Mapping[str, str] = {}  # what the reference is made from, where that is known (export/keys.py)
        self._memo: dict[str, Any] = {}

    @cached_property
    def network(self) -> Any:
        """The trained network, in evaluation mode. Do not change it: take `fresh_network()` for that."""
        return self.fresh_network()

    def fresh_network(self) -> Any:
        """Return a trained network of the caller's own, to quantize in place or to fine-tune."""
        return self.deployed.deployable(self.checkpoint)

    @cached_property
    def checkpoint(self) -> bytes:
        """The file with the weights, read once: training may replace it while recipes are made from it."""
        return self.deployed.read()

    @cached_property
    def checkpoint_sha256(self) -> str:
        """Digest of the bytes that all recipes are made from, whatever the file holds by now."""
        return checkpoints.digest(self.checkpoint)

    @cached_property
    def sets(self) -> tuple[LabelledImages, ...]:
        """The evaluation sets, the one that judges first."""
        return self.deployed.evaluation()

    @cached_property
    def layout(self) -> Layout:
        """The order of an image's axes in the network's input; raises DataError where the images do not fit it."""
        images, first = self.sets[0].images[:1], DEFAULT_LAYOUT[self.framework]
        try:
            declared = FRAMEWORKS[self.framework].input_shape(self.network)
        except ValueError as error:
            raise DataError(f"{self.model} cannot be deployed: {error}") from error
        if declared is None:
            return first
        for layout in sorted(LAYOUTS, key=lambda layout: layout != first):
            with suppress(ValueError):  # of channels where the layout has none, or of another number of axes
                sizes = zip(declared, network_input(images, layout).shape[1:], strict=True)
                if all(expected in (None, size) for expected, size in sizes):
                    return layout
        takes = "x".join("any" if size is None else str(size) for size in declared)
        raise DataError(
            f"{self.model} takes images of {takes} ({self.framework}'s order of axes), those in {self.deployed.data_place} are "
            f"{'x'.join(map(str, images.shape[1:]))} (height, width, channels). Give images of its size, [N,H,W,C]."
        )

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image as the network takes it."""
        return tuple(self.input(self.sets[0].images[:1]).shape[1:])

    @cached_property
    def classes(self) -> int:
        """The number of classes; raises DataError where the network gives no logits [N,K] or a label is beyond them."""
        try:
            logits = FRAMEWORKS[self.framework].logits(self.network, self.input(self.sets[0].images[:1]))
        except Exception as error:  # the network's, or its framework's: Keras names the layer first, then what is wrong
            why = " ".join(str(error).split())[:400] or type(error).__name__
            msg = f"{self.model} does not answer an image of {'x'.join(map(str, self.input_shape))}: {why}"
            raise DataError(msg) from error
        if logits.ndim != 2 or logits.shape[0] != 1 or logits.shape[1] < 2:
            msg = f"{self.model} gives an output of {list(logits.shape)} for one image; a classifier gives [1,K], K at least 2."
            raise DataError(msg)
        for images in self.sets:
            if int(images.labels.max()) >= logits.shape[1]:
                raise DataError(
                    f"{self.model} has {logits.shape[1]} classes, but the set {images.name} in {self.deployed.data_place} "
                    f"holds the label {images.labels.max()}. Classes are numbered from 0 on."
                )
        return logits.shape[1]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes' names."""
        return self.deployed.labels(self.classes)

    def input(self, images: np.ndarray) -> np.ndarray:
        """Return images [N,H,W] or [N,H,W,C] as the network takes them: float32 [N,*input_shape]."""
        return network_input(images, self.layout)

    @cached_property
    def any_batch(self) -> bool:
        """Whether the network takes several images at once."""
        return FRAMEWORKS[self.framework].takes_batches(self.network, self.input(self.sets[0].images[:2]))

    def with_options(self, options: Options) -> Self:
        """Return the same network and data for a scheme with options, which shares nothing that depends on them."""
        if not options.given:
            return self
        other = copy.copy(self)
        other.options, other._memo = Options(**SCHEMES.defaults.given | options.given), {}
        vars(other).pop("calibration", None)
        return other

    @property
    def batch(self) -> int:
        """How many images an artifact takes at once, 1 where it is to take any number."""
        return self.options.batch if isinstance(self.options.batch, int) else 1

    @property
    def is_dynamic(self) -> bool:
        """Whether the artifact is to take any number of images at once."""
        return self.options.batch == DYNAMIC

    @cached_property
    def calibration(self) -> np.ndarray:
        """A seeded sample of training images: float32 [N,*input_shape]."""
        images, _ = self.deployed.calibration()
        rng = np.random.default_rng(0)
        return self.input(images[rng.permutation(len(images))[: self.options.images]])

    @property
    def calibration_note(self) -> str:
        """What a reader must know of the calibration, "" where it is of training images."""
        return self.deployed.calibration()[1]

    def batches(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield images in one batch, or one by one where the network takes no other."""
        yield from ([images] if self.any_batch else (images[i : i + 1] for i in range(len(images))))

    def training_batches(self, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield `steps` seeded batches for fine-tuning: float32 [B,*input_shape], int64 labels [B].

        Raises Unsupported where there are no labelled training images.
        """
        images = self.deployed.training()
        if images is None:
            msg = "fine-tuning needs labelled training images: put train_images and train_labels into the npz file"
            raise Unsupported(msg)
        if not self.any_batch:
            msg = "fine-tuning needs batches, and this network takes one image at a time: export it with torch.export.Dim for the batch"
            raise Unsupported(msg)
        rng = np.random.default_rng(0)
        for _ in range(steps):
            sample = rng.choice(len(images), min(QAT_BATCH, len(images)), replace=False)
            yield self.input(images.images[sample]), images.labels[sample].astype(np.int64)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the float network's logits [N,K] for float32 images [N,*input_shape]."""
        return FRAMEWORKS[self.framework].logits(self.network, images)

    def memo(self, key: str, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time, or raise what it raised: a float conversion, say, of several schemes."""
        if key not in self._memo:
            try:
                self._memo[key] = make()
            except (OSError, MemoryError):
                raise
            except Exception as error:
                self._memo[key] = error
        if isinstance(self._memo[key], Exception):
            raise self._memo[key]
        return self._memo[key]
