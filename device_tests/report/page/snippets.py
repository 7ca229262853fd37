"""How an app loads an artifact: code for each language in which its format runs, else the reason.

A file of snippets/ is a template of a language's code for a format; its name holds both.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jinja2

from export.artifact import Artifact

HERE = Path(__file__).parent / "snippets"
LANGUAGES = {"kt": "Kotlin", "swift": "Swift", "js": "JavaScript", "py": "Python"}

# These load with the same code, or nearly.
SAME = {"ort": "onnx", "executorch_portable": "executorch", "torchscript_lite": "torchscript"}

_SERVER = "A SavedModel is for servers, where TensorFlow Serving takes it. On a device use tflite."
_APPLE = "Core ML is on Apple's systems only. Elsewhere use tflite, onnx or executorch."
_CPP = "ncnn is called from C++: an app calls it through {}. Its own examples are at https://github.com/{}."
MISSING = {
    **dict.fromkeys((("coreml", "Kotlin"), ("coreml", "JavaScript")), _APPLE),
    ("coreml", "Python"): "On a Mac, coremltools.models.MLModel(FILE).predict({'image': array})['logits']; elsewhere "
    "nothing runs it.",
    ("openvino", "Kotlin"): "OpenVINO has a Java interface without a published package. On Android use tflite or "
    "executorch.",
    ("openvino", "Swift"): "OpenVINO is for macOS, Linux and Windows. On iOS use coreml, tflite or executorch.",
    ("openvino", "JavaScript"): "In Node.js npm's openvino-node; no browser runs it. For the web use onnx or tflite.",
    ("ncnn", "Kotlin"): _CPP.format("JNI", "nihui/ncnn-android-squeezenet"),
    ("ncnn", "Swift"): _CPP.format("Objective-C++", "dangbo/ncnn-mobile"),
    ("ncnn", "JavaScript"): _CPP.format("WebAssembly", "nihui/ncnn-webassembly-nanodet"),
    ("executorch", "JavaScript"): "ExecuTorch publishes no JavaScript library. Prefer onnx or tflite for the web.",
    ("torchscript", "Swift"): "PyTorch Mobile has no Swift interface: an app calls LibTorch from Objective-C++. Prefer "
    "executorch.",
    ("torchscript", "JavaScript"): "No JavaScript library runs TorchScript. Prefer onnx or tflite for the web.",
    **dict.fromkeys((("savedmodel", "Kotlin"), ("savedmodel", "Swift")), _SERVER),
}


# Changes the order of pixels to one channel after the other, for PyTorch's networks.
PLANAR = {
    "kt": "val planar = FloatArray({n}) {{ pixels[it % {area} * {channels} + it / {area}] }}  // channel by channel",
    "swift": "let planar = (0..<{n}).map {{ pixels[$0 % {area} * {channels} + $0 / {area}] }}  // channel by channel",
    "js": "const planar = Array.from({{length: {n}}}, (_, i) => pixels[(i % {area}) * {channels} + Math.floor(i / {area})]);",
    "py": "planar = [pixels[i % {area} * {channels} + i // {area}] for i in range({n})]  # channel by channel",
}
# Picks the predicted class' name; @ stands for the list of names.
LABELS = {
    "kt": "val label = listOf(@)[logits.indices.maxByOrNull {{ logits[it] }}!!]",
    "swift": "let label = [@][logits.firstIndex(of: logits.max()!)!]",
    "js": "const label = [@][logits.indexOf(Math.max(...logits))];",
    "py": "label = [@][max(range({classes}), key=lambda i: logits[i])]",
}
FEW = 20  # most classes that the code names; the sidecar has the names of more


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A language's code, or the reason why there is none."""

    language: str
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Height, width and channels of an artifact's input, whatever their order in it."""

    height: int
    width: int
    channels: int

    @property
    def values(self) -> int:
        return self.height * self.width * self.channels


def templates(folder: Path, *, autoescape: bool) -> jinja2.Environment:
    """Return the environment of a folder's templates."""
    options = {"autoescape": autoescape, "trim_blocks": True, "lstrip_blocks": True}
    return jinja2.Environment(loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, **options)


def sides(artifact: Artifact) -> Sides:
    """Return the sides of an artifact's input."""
    shape = artifact.inputs[0].shape[1:]
    if artifact.layout == "chw" and len(shape) == 3:
        shape = (*shape[1:], shape[0])
    height, width, channels = (*shape, 1, 1, 1)[:3]
    return Sides(height=height, width=width, channels=channels)


def contract(artifact: Artifact) -> str:
    """Return a sentence on an artifact's input and output."""
    image = sides(artifact)
    kinds = {1: "Grey values", 3: "Red, green and blue"}
    kind = kinds.get(image.channels, f"{image.channels} channels")
    size = f"{image.height} × {image.width} pixels"
    out = f"{artifact.outputs[0].shape[-1]:,} logits out"
    if _is_of_floats(artifact):
        return f"{kind} of {size} in, floats as in the evaluation set; {out}."
    return f"{kind} from 0 (dark) to 1 (bright) of {size} in, {out}; normalisation is inside the file."


def _is_of_floats(artifact: Artifact) -> bool:
    return any(golden.image_f32 for golden in artifact.golden)


def takes(artifact: Artifact) -> str:
    """Return a description of `pixels` in the code."""
    image = sides(artifact)
    values = "as in the evaluation set" if _is_of_floats(artifact) else "from 0 to 1"
    order = "row by row" if image.channels == 1 else f"row by row, the {image.channels} channels of a pixel together"
    return f"{image.values:,} float values {values}, {order}"


def of(artifact: Artifact) -> tuple[Snippet, ...]:
    """Return a snippet per language; none for bare networks, which nobody ships.

    Each snippet takes `pixels`, float values row by row with the channels of a pixel together, and ends with K float
    `logits` and, where there are few classes, the `label` of the largest.
    """
    name = SAME.get(artifact.format, artifact.format)
    if not any(HERE.glob(f"{name}.*.j2")):
        return ()
    if artifact.batch > 1:
        reason = f"It takes {artifact.batch} images at once; the code here is for one. Fill [{', '.join(map(str, artifact.inputs[0].shape))}]."
        return tuple(Snippet(language=language, reason=reason) for language in LANGUAGES.values())
    return tuple(_snippet(artifact, name, suffix, language) for suffix, language in LANGUAGES.items())


def _snippet(artifact: Artifact, name: str, suffix: str, language: str) -> Snippet:
    if (name, language) in MISSING:
        return Snippet(language=language, reason=MISSING[name, language])
    environment = templates(HERE, autoescape=False)  # which the page does
    (source,), (target,) = artifact.inputs, artifact.outputs
    image, shape = sides(artifact), ", ".join(str(abs(side)) for side in source.shape)  # -1 is any batch: here 1
    facts = {"n": image.values, "area": image.height * image.width, "channels": image.channels}
    # the line that puts one channel after the other; templates hold it on a line that is left out where it is ""
    planar = PLANAR[suffix].format(**facts) + "\n" if image.channels > 1 and artifact.layout == "chw" else ""
    code = environment.get_template(f"{name}.{suffix}.j2").render(
        file=artifact.file,
        path=Path(artifact.file),
        model=artifact.model,
        lite=artifact.format == "torchscript_lite",
        x=source,
        y=target,
        shape=shape,
        image=image,
        classes=target.shape[-1],
        pixels="planar" if planar else "pixels",
        planar=planar,
    )
    parts = (code.strip(), _label(artifact, suffix))
    return Snippet(language=language, code="\n".join(filter(None, parts)))


def _label(artifact: Artifact, suffix: str) -> str:
    """Return the line that names the predicted class; "" where there are no names, or too many."""
    if not 0 < len(artifact.labels) <= FEW:
        return ""
    names = ", ".join(json.dumps(label, ensure_ascii=False) for label in artifact.labels)
    if suffix == "kt":
        names = names.replace("$", "\\$")  # which would begin a template
    return LABELS[suffix].format(classes=len(artifact.labels)).replace("@", names)
