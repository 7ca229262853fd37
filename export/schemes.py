"""Schemes: how numbers are stored and computed, and what a conversion must show to deserve the name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from models import networks
from models.errors import Unsupported
from models.own import settings
from models.own.settings import Options

NO_OPTIONS = Options()


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What is promised by a scheme's name.

    `weights` is the dtype that the scheme stores weights in; how many it covers is measured and noted. On a few real
    images the logits may differ from the float source's by at most `max_error` of the span of these (largest less
    smallest), and at least `min_agree` of the predictions agree: less is garbage. What a scheme costs a network is
    measured on its runtimes, and limited by budgets.
    """

    name: str
    base: str  # the one of the eight whose conversion it is, itself for these
    options: Options = NO_OPTIONS
    title: str
    weights: str
    max_error: float
    min_agree: float
    static: bool = False  # calibrates activations on training images
    trained: bool = False  # fine-tunes with simulated quantization


GARBAGE = 0.5  # a network that is unsure of its predictions loses some to any rounding

_ROWS = (
    Scheme(name="float32", base="float32", title="as trained", weights="float32", max_error=1e-4, min_agree=0.9),
    Scheme(name="float16", base="float16", title="half precision weights", weights="float16", max_error=0.01, min_agree=0.9),
    Scheme(name="dynamic_int8", base="dynamic_int8", title="8-bit weights, activations quantized while running", weights="int8", max_error=0.03, min_agree=GARBAGE),
    Scheme(name="int8", base="int8", title="8-bit weights and activations, float in and out", weights="int8", max_error=0.15, min_agree=GARBAGE, static=True),
    Scheme(name="int8_io", base="int8_io", title="8-bit weights and activations, uint8 in and out", weights="int8", max_error=0.15, min_agree=GARBAGE, static=True),
    Scheme(name="int16x8", base="int16x8", title="8-bit weights, 16-bit activations", weights="int8", max_error=0.025, min_agree=GARBAGE, static=True),
    Scheme(name="int4", base="int4", title="4-bit weights in blocks", weights="int4", max_error=0.09, min_agree=GARBAGE),
    # of Core ML: each weight is an index into a table of the tensor's 16 or 64 values
    Scheme(name="palette6", base="palette6", title="6-bit palettes of weights", weights="palette6", max_error=0.03, min_agree=GARBAGE),
    Scheme(name="palette4", base="palette4", title="4-bit palettes of weights", weights="palette4", max_error=0.15, min_agree=GARBAGE),
    # fine-tuning moves the weights, so answers are compared, logits only loosely
    Scheme(name="qat_int8", base="qat_int8", title="8-bit, fine-tuned with simulated quantization", weights="int8", max_error=0.25, min_agree=GARBAGE, static=True, trained=True),
)  # fmt: skip


class _Schemes(Mapping[str, Scheme]):
    """The eight, and those that the user's edgewise.toml defines."""

    _built_in: ClassVar = {scheme.name: scheme for scheme in _ROWS}

    def _all(self) -> dict[str, Scheme]:
        place = networks.folder()
        own = settings.load(place).schemes if place else {}
        return self._built_in | {name: self._own(name, said) for name, said in own.items()}

    def _own(self, name: str, said: settings.SchemeSettings) -> Scheme:
        base, options = self._built_in[said.base], Options(**said.given)
        return replace(base, name=name, options=options, title=f"{base.title}; {described(options)}".rstrip("; "))

    def __getitem__(self, name: str) -> Scheme:
        return self._built_in.get(name) or self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


SCHEMES: Mapping[str, Scheme] = _Schemes()


def described(options: Options) -> str:
    """Return options as edgewise.toml has them, on one line."""
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.given.items())


def supported(options: Options, known: Collection[str], where: str) -> None:
    """Raise Unsupported where an option is given that a format does not know."""
    unknown = [name for name in options.given if name not in known]
    if unknown:
        known_here = f"It understands: {', '.join(sorted(known))}" if known else "It has none"
        msg = f"{where} has no option {' and '.join(unknown)}. {known_here}."
        raise Unsupported(msg)


CALIBRATION_IMAGES = 500
QAT_STEPS = 200
QAT_BATCH = 64
QAT_LEARNING_RATE = (
    1e-5  # 1e-4 moved 0.20 % of the answers on held-out training images away from the source, this 0.06 %
)
