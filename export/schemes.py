"""Schemes: how numbers are stored and computed, and what a conversion must show to deserve the name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What is promised by a scheme's name.

    `weights` is the dtype that the scheme stores weights in; how many it covers is measured and noted. On a few real
    images the logits may differ from the float source's by at most `max_error` of the span of these (largest less
    smallest), and at least `min_agree` of the predictions agree: less is garbage. What a scheme costs a network is
    measured on its runtimes, and limited by budgets.
    """

    name: str
    title: str
    weights: str
    max_error: float
    min_agree: float
    static: bool = False  # calibrates activations on training images
    trained: bool = False  # fine-tunes with simulated quantization


GARBAGE = 0.5  # a network that is unsure of its predictions loses some to any rounding

_ROWS = (
    Scheme(name="float32", title="as trained", weights="float32", max_error=1e-5, min_agree=0.9),
    Scheme(name="float16", title="half precision weights", weights="float16", max_error=0.0019, min_agree=0.9),
    Scheme(name="dynamic_int8", title="8-bit weights, activations quantized while running", weights="int8", max_error=0.03, min_agree=GARBAGE),
    Scheme(name="int8", title="8-bit weights and activations, float in and out", weights="int8", max_error=0.15, min_agree=GARBAGE, static=True),
    Scheme(name="int8_io", title="8-bit weights and activations, uint8 in and out", weights="int8", max_error=0.15, min_agree=GARBAGE, static=True),
    Scheme(name="int16x8", title="8-bit weights, 16-bit activations", weights="int8", max_error=0.025, min_agree=GARBAGE, static=True),
    Scheme(name="int4", title="4-bit weights in blocks", weights="int4", max_error=0.09, min_agree=GARBAGE),
    # fine-tuning moves the weights, so answers are compared, logits only loosely
    Scheme(name="qat_int8", title="8-bit, fine-tuned with simulated quantization", weights="int8", max_error=0.25, min_agree=GARBAGE, static=True, trained=True),
)  # fmt: skip

SCHEMES = {scheme.name: scheme for scheme in _ROWS}

CALIBRATION_IMAGES = 500
QAT_STEPS = 200
QAT_BATCH = 64
QAT_LEARNING_RATE = (
    1e-5  # 1e-4 moved 0.20 % of the answers on held-out training images away from the source, this 0.06 %
)
