"""Makes the reference that all artifacts of a model are judged by."""

from __future__ import annotations

from collections.abc import Mapping

from export.source import Source
from models import data
from models.reference import Reference


def make(source: Source, *, key: str, inputs: Mapping[str, str]) -> Reference:
    """Return the float network's logits on its test images and, beside MNIST, on scikit-learn's digits.

    `key` and `inputs` say what the logits are computed from (export/keys.py).
    """
    digits, others = data.load("test", source.dataset), data.load("test", "digits")
    beside = {} if digits.name == others.name else {
        "digits_images": others.images,
        "digits_labels": others.labels,
        "digits_logits": source.logits(data.grey(others.images, source.spec.input_shape)),
    }  # fmt: skip
    return Reference(
        model=source.model,
        dataset=digits.name,
        dataset_sha256=digits.sha256,
        checkpoint_sha256=source.checkpoint_sha256,
        images=digits.images,
        labels=digits.labels,
        logits=source.logits(data.grey(digits.images, source.spec.input_shape)),
        key=key,
        inputs=inputs,
        **beside,
    )
