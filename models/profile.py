"""What a network costs, counted in the network itself: parameters, and multiply-accumulates by layer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.common.errors import DataError
from models.frameworks import FRAMEWORKS
from models.spec import Framework


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One product and its multiply-accumulates.

    `shape` is that of its stored weights; empty for a product of two activations, and where an earlier one has them.
    """

    shape: tuple[int, ...]
    macs: int


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Parameters of a network, and its products for one image in the order in which they are computed."""

    parameters: int
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Number of stored weights in the products."""
        return sum(math.prod(layer.shape) for layer in self.layers if layer.shape)


def of(
    name: str, framework: Framework, network: Any, input_shape: tuple[int, ...], stated: Mapping[str, int]
) -> Profile:
    """Return the network's profile; raises DataError where `stated` gives other figures (0 gives none)."""
    profile = FRAMEWORKS[framework].profile(network, input_shape)
    for figure, expected in stated.items():
        counted = getattr(profile, figure)
        if expected not in (0, counted):
            msg = f"SPEC of {name} gives {expected:,} {figure}, its network has {counted:,}. Correct SPEC.{figure}."
            raise DataError(msg)
    return profile
