"""TorchScript and the lite interpreter's file: what the small model was really converted to."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest

from export.formats import FORMATS
from export.source import Source
from tests.export.conftest import SMALL

pytestmark = pytest.mark.slow

FORMAT_NAMES = ("torchscript", "torchscript_lite")


def file(folder: Path, name: str, scheme: str) -> Path:
    return folder / f"{SMALL}-{name}-{scheme}{FORMATS[name].suffix}"


@pytest.mark.parametrize("scheme", ["dynamic_int8", "int8"])
def test_a_quantized_file_answers_the_same_on_every_engine(scheme, small, source, images, monkeypatch):
    import torch

    expected = source.logits(images).argmax(1)
    for engine in torch.backends.quantized.supported_engines:
        monkeypatch.setattr(torch.backends.quantized, "engine", engine)
        file_logits = FORMATS["torchscript"].run(file(small, "torchscript", scheme), images)
        assert (file_logits.argmax(1) == expected).mean() >= 0.98, engine


def test_the_lite_file_holds_no_weight_twice_and_says_what_became_of_the_passes_for_phones(small):
    lite, full = (file(small, name, "int8") for name in reversed(FORMAT_NAMES))
    assert lite.stat().st_size < full.stat().st_size * 1.05
    assert "optimize_for_mobile" in FORMATS["torchscript_lite"].inspect(lite).notes[-1]


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_the_engine_that_this_cpu_would_choose_is_not_in_the_bytes(name, tmp_path, monkeypatch):
    """`x86` means oneDNN with AVX-512 VNNI and FBGEMM without, which unpacks the weights in another layout."""
    import torch

    contents = set()
    for engine in (torch.backends.quantized.engine, "fbgemm", "qnnpack", "onednn"):
        monkeypatch.setattr(torch.backends.quantized, "engine", engine)
        FORMATS[name].convert(Source(SMALL, "digits"), "int8", tmp_path / engine)
        assert torch.backends.quantized.engine == engine
        contents.add((tmp_path / engine).read_bytes())
    assert len(contents) == 1


def test_a_pickle_keeps_its_values_whatever_its_storages_are_called_and_is_memoised():
    from export.formats import _torchscript

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", float, value.decode(), "cpu", 1) if isinstance(value, bytes) else None

    def pickled(*keys: str) -> bytes:
        shared, buffer = ("shared", 1), io.BytesIO()
        Pickler(buffer, 2).dump([*(key.encode() for key in keys), shared, shared, "7 is text"])
        return buffer.getvalue()

    def canonical(content: bytes, *keys: str) -> bytes:
        return _torchscript._canonical(content, {key: str(i) for i, key in enumerate(keys)})

    one, other = pickled("12", "26"), pickled("5", "1007")
    assert one != other
    first = canonical(one, "12", "26")
    assert first == canonical(other, "5", "1007") == canonical(first, "0", "1")
    assert len(first) < len(one)  # of what nothing refers to, no entry is left


def test_masks_and_indices_are_tables_and_no_weights(source, tmp_path):
    import torch

    class Masked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.rand(28, 28) > 0.5)
            self.register_buffer("short", torch.ones(28, 28, dtype=torch.int16))  # of a type that is not counted
            self.register_buffer("places", torch.arange(784).reshape(28, 28))
            self.last = torch.nn.Linear(784, 10)

        def forward(self, x):
            return self.last(torch.where(self.mask, x, -x * self.short).flatten(1)[:, self.places].flatten(1))

    source.network = Masked().eval()
    FORMATS["torchscript"].convert(source, "float32", tmp_path / "net.pt")
    contents = FORMATS["torchscript"].inspect(tmp_path / "net.pt")
    assert (dict(contents.weights), contents.tables) == ({"float32": 7_840}, 784 * (1 + 8))


def test_inspecting_a_file_executes_nothing_of_it(small, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    trapped = tmp_path / "trapped.pt"
    with zipfile.ZipFile(file(small, "torchscript", "float32")) as whole, zipfile.ZipFile(trapped, "w") as copy:
        for name in whole.namelist():
            copy.writestr(name, pickle.dumps(Trap(), 2) if name.endswith("data.pkl") else whole.read(name))
    FORMATS["torchscript"].inspect(trapped)
    assert not (tmp_path / "sprung").exists()
