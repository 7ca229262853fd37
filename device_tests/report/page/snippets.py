"""How an app loads an artifact: code for what its format really runs on, and the reason where it does not run.

A file of snippets/ is a template of a language's code for a format; its name says both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from export.artifact import Artifact

HERE = Path(__file__).parent / "snippets"
LANGUAGES = {"kt": "Kotlin", "swift": "Swift", "js": "JavaScript", "py": "Python"}

# These load with the same code.
SAME = {"ort": "onnx", "executorch_portable": "executorch"}

_NO_SWIFT = "PyTorch Mobile has no Swift interface: an app calls LibTorch from Objective-C++. Prefer executorch."
_NO_BROWSER = "No JavaScript library runs TorchScript. Prefer onnx or tflite for the web."
_SERVER = "A SavedModel is for servers, where TensorFlow Serving takes it. On a device use tflite."
MISSING = {
    ("executorch", "JavaScript"): "ExecuTorch publishes no JavaScript library. Prefer onnx or tflite for the web.",
    ("torchscript", "Swift"): _NO_SWIFT,
    ("torchscript", "JavaScript"): _NO_BROWSER,
    ("torchscript_lite", "Swift"): _NO_SWIFT,
    ("torchscript_lite", "JavaScript"): _NO_BROWSER,
    ("savedmodel", "Kotlin"): _SERVER,
    ("savedmodel", "Swift"): _SERVER,
}


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A language's code, or the reason why there is none."""

    language: str
    code: str = ""
    reason: str = ""


def of(artifact: Artifact) -> tuple[Snippet, ...]:
    """Return a snippet per language; none for bare networks, which nobody ships.

    Each takes `grey`, 784 float values 0..1 in the order of reading, and ends with ten float `logits`.
    """
    name = SAME.get(artifact.format, artifact.format)
    if not any(HERE.glob(f"{name}.*.j2")):
        return ()
    return tuple(_snippet(artifact, name, suffix, language) for suffix, language in LANGUAGES.items())


def _snippet(artifact: Artifact, name: str, suffix: str, language: str) -> Snippet:
    if (name, language) in MISSING:
        return Snippet(language=language, reason=MISSING[name, language])
    environment = jinja2.Environment(  # of code, which the page escapes
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    (source,), (target,) = artifact.inputs, artifact.outputs
    shape = ", ".join(str(abs(side)) for side in source.shape)  # -1 is a batch of any size: here 1
    code = environment.get_template(f"{name}.{suffix}.j2").render(file=artifact.file, x=source, y=target, shape=shape)
    return Snippet(language=language, code=code.strip())
