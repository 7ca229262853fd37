"""The types of this floor, and what a module of the zoo provides."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from models.images import Layout

Framework = Literal["torch", "keras"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What is known of a network before any framework is imported.

    `input_shape` is one image as the framework orders it; `macs` are multiply-accumulates per image.
    """

    name: str
    framework: Framework
    title: str
    parameters: int
    macs: int
    input_shape: tuple[int, int, int]
    source: str

    @property
    def layout(self) -> Layout:
        """The order of an image's axes in `input_shape`."""
        return "chw" if self.framework == "torch" else "hwc"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a checkpoint is trained: everything that its weights depend on, besides the data.

    `learning_rate` is the peak of a one-cycle schedule; `warmup` is a share of all steps. `rotate_degrees`, `scale`,
    `shift_pixels` and `shear` bound the random affine augmentation; `average_decay` is that of the weights' average;
    `validation` is the number of held-out training images.
    """

    seed: int = 1
    epochs: int
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: float = 0.15
    label_smoothing: float = 0.0
    rotate_degrees: float = 10.0
    scale: float = 0.1
    shift_pixels: float = 2.0
    shear: float = 0.1
    average_decay: float = 0.998
    validation: int = 5_000

    def fingerprint(self, spec: ModelSpec, data_sha256: str) -> str:
        """Return what a checkpoint's card must show to be current: a digest of recipe, network and data."""
        parts = [asdict(self), spec.name, spec.parameters, spec.macs, data_sha256]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Model(Protocol):
    """What each module of models/zoo provides."""

    SPEC: ModelSpec
    TRAINING: Training

    def network(self) -> Any:
        """Return the untrained network: grey values 0..1 in, logits out, normalisation inside."""
