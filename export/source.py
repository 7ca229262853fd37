"""What a conversion starts from: the trained network and the training images that it may calibrate or fine-tune on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from export.schemes import CALIBRATION_IMAGES, QAT_BATCH
from models import checkpoints, data
from models.frameworks import FRAMEWORKS
from models.spec import ModelSpec
from models.zoo import ZOO

T = TypeVar("T")


class Source:
    """One model of the zoo on one data set. Everything is made on first use and kept for the next recipe."""

    def __init__(self, model: str, dataset: str | None = None) -> None:
        self.model = model
        self.dataset = dataset
        self.spec: ModelSpec = ZOO[model].SPEC
        self._memo: dict[str, Any] = {}

    @cached_property
    def network(self) -> Any:
        """The trained network, in evaluation mode. Do not change it: take `fresh_network()` for that."""
        return self.fresh_network()

    def fresh_network(self) -> Any:
        """Return a trained network of the caller's own, to quantize in place or to fine-tune."""
        return checkpoints.network(self.model, self._weights)

    @cached_property
    def checkpoint(self) -> bytes:
        """The checkpoint, read once: training may replace the file while recipes are made from it."""
        return checkpoints.read(self.model)

    @cached_property
    def checkpoint_sha256(self) -> str:
        """Digest of the bytes that all recipes are made from, whatever the file holds by now."""
        return checkpoints.digest(self.checkpoint)

    @cached_property
    def _weights(self) -> dict[str, np.ndarray]:
        return checkpoints.weights(self.model, self.checkpoint)

    @cached_property
    def calibration(self) -> np.ndarray:
        """A seeded sample of training images: float32 [N,*input_shape] in 0..1."""
        digits = data.load("train", self.dataset)
        rng = np.random.default_rng(0)
        sample = rng.permutation(len(digits))[:CALIBRATION_IMAGES]
        return data.grey(digits.images[sample], self.spec.input_shape)

    def training_batches(self, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield `steps` seeded batches for fine-tuning: float32 [B,*input_shape] in 0..1, int64 labels [B]."""
        digits = data.load("train", self.dataset)
        rng = np.random.default_rng(0)
        for _ in range(steps):
            sample = rng.choice(len(digits), QAT_BATCH, replace=False)
            yield data.grey(digits.images[sample], self.spec.input_shape), digits.labels[sample].astype(np.int64)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the float network's logits [N,10] for grey values [N,*input_shape]."""
        return FRAMEWORKS[self.spec.framework].logits(self.network, images)

    def memo(self, key: str, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time: a float conversion that several schemes start from, say."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]
