"""The matrix: which recipes exist. A model's name begins with its framework, so nothing is imported to list them."""

import fnmatch
from collections.abc import Callable

from export.formats import FORMATS
from export.recipe import Recipe
from export.schemes import SCHEMES
from models import networks
from models.common.errors import DataError, EdgewiseError, UsageError, did_you_mean
from models.own import settings

ALL = ("float32", "float16", "dynamic_int8", "int8", "int8_io", "int16x8", "int4", "qat_int8")
ONNX = ("float32", "float16", "dynamic_int8", "int8", "int4")
# Formats beside the first ones, which a quick pipeline leaves out.
ENGINES = {
    "coreml": ("float32", "float16", "dynamic_int8", "int4", "palette4", "palette6"),
    "openvino": ONNX,
    "ncnn": ("float32", "float16", "int8"),
}
FURTHER = tuple(ENGINES)

MATRIX: dict[str, dict[str, tuple[str, ...]]] = {
    "torch": {
        "eager": ("float32",),
        "tflite": ALL,
        "torchscript": ("float32", "dynamic_int8", "int8"),
        "torchscript_lite": ("float32", "dynamic_int8", "int8"),
        "executorch": ("float32", "float16", "dynamic_int8", "int8", "int4", "qat_int8"),
        "executorch_portable": ("float32",),  # the baseline that shows what a missing delegate costs
        "onnx": ONNX,
        "ort": ONNX,
        **ENGINES,
    },
    "keras": {
        "eager": ("float32",),
        "tflite": ALL,
        "savedmodel": ("float32",),
        "onnx": ONNX,
        "ort": ONNX,
        **ENGINES,
    },
}


def recipes() -> tuple[Recipe, ...]:
    """Return every recipe, grouped by model and format in the order of the tables above.

    Of a user's networks those that edgewise.toml asks for, all where it asks for none; raises DataError for a pattern
    or a network there that matches nothing.
    """
    own = [scheme for scheme in SCHEMES.values() if scheme.base != scheme.name]
    every = tuple(
        Recipe(model=model, format=format_name, scheme=scheme)
        for model in networks.names()
        for format_name, schemes in MATRIX[networks.framework(model)].items()
        for scheme in (*schemes, *(s.name for s in own if s.base in schemes and format_name != "eager"))
    )
    place = networks.folder()
    if place is None:
        return every
    own_settings, stems = settings.load(place), {*networks.names(), *(file.stem for file in place.iterdir())}
    for name in own_settings.networks.keys() - stems:
        raise DataError(
            f"[networks.{name}] in {place / settings.FILE} is no network. {did_you_mean(name, networks.names())}"
        )
    start = f"`recipes` in {place / settings.FILE}:"
    end = "matches no artifact. An id is MODEL-FORMAT-SCHEME."
    return _matching(every, own_settings.recipes, lambda pattern: DataError(f"{start} {pattern!r} {end}"))


def select(patterns: tuple[str, ...]) -> tuple[Recipe, ...]:
    """Return the recipes whose id matches one of the globs, all for none; raises UsageError where a glob matches nothing."""
    return _matching(recipes(), patterns, lambda pattern: UsageError(_nothing_matches(pattern)))


def _matching(
    every: tuple[Recipe, ...], patterns: tuple[str, ...], error: Callable[[str], EdgewiseError]
) -> tuple[Recipe, ...]:
    for pattern in patterns:
        if not fnmatch.filter((r.id for r in every), pattern):
            raise error(pattern)
    return tuple(r for r in every if not patterns or any(fnmatch.fnmatchcase(r.id, p) for p in patterns))


def _nothing_matches(pattern: str) -> str:
    """Say which part of `model-format-scheme` is unknown, or that the combination is not in the matrix."""
    start = f"--only {pattern!r} matches no artifact."
    kinds = (("model", networks.names()), ("format", FORMATS.names()), ("scheme", tuple(SCHEMES)))
    parts = pattern.split("-")
    if len(parts) != len(kinds):
        return f"{start} {did_you_mean(pattern, (r.id for r in recipes()))} An id is MODEL-FORMAT-SCHEME."
    for part, (kind, names) in zip(parts, kinds, strict=True):
        if not fnmatch.filter(names, part):
            return f"{start} There is no {kind} {part!r}. {did_you_mean(part, names)}"
    model, format_name, _ = parts
    prefix = f"{model}-{format_name}"
    offered = sorted({r.scheme for r in recipes() if fnmatch.fnmatchcase(f"{r.model}-{r.format}", prefix)})
    if offered:
        return f"{start} {format_name} of {model} comes in: {', '.join(offered)}."
    formats = sorted({r.format for r in recipes() if fnmatch.fnmatchcase(r.model, model)})
    return f"{start} {model} is exported to: {', '.join(formats)}."
