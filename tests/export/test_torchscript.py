"""TorchScript and the lite interpreter's file: real conversions of the small model."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from tests.export.conftest import differing

pytestmark = pytest.mark.slow

FORMAT_NAMES = ("torchscript", "torchscript_lite")
WEIGHTS = {
    "float32": {"float32": 21_750},
    "dynamic_int8": {"float32": 5_250, "int8": 16_500},  # PyTorch has no dynamic convolution
    "int8": {"int8": 21_750},
}


FILES = {f"{name}-{scheme}": (name, scheme) for name in FORMAT_NAMES for scheme in WEIGHTS}


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchscript")
    for file, (name, scheme) in FILES.items():
        FORMATS[name].convert(source, scheme, folder / file)
    return folder


@pytest.mark.parametrize("file", FILES)
def test_a_file_answers_as_the_network_and_holds_the_weights_its_scheme_promises(file, folder, source, images):
    name, scheme = FILES[file]
    contents = FORMATS[name].inspect(folder / file)
    file_logits, expected = FORMATS[name].run(folder / file, images), source.logits(images)
    assert contents.weights == WEIGHTS[scheme]
    assert (contents.inputs[0].shape, contents.outputs) == ((1, 1, 28, 28), ())  # the output is as the source says
    assert file_logits.dtype == np.float32
    assert np.abs(file_logits - expected).max() <= SCHEMES[scheme].max_error * np.ptp(expected)
    assert (file_logits.argmax(1) == expected.argmax(1)).mean() >= 0.9


@pytest.mark.parametrize("scheme", ["dynamic_int8", "int8"])
def test_a_quantized_file_answers_the_same_on_every_engine(scheme, folder, source, images, monkeypatch):
    import torch

    expected = source.logits(images).argmax(1)
    for engine in torch.backends.quantized.supported_engines:
        monkeypatch.setattr(torch.backends.quantized, "engine", engine)
        file_logits = FORMATS["torchscript"].run(folder / f"torchscript-{scheme}", images)
        assert (file_logits.argmax(1) == expected).mean() >= 0.98, engine


@pytest.mark.parametrize("scheme", WEIGHTS)
def test_the_lite_file_holds_no_weight_twice_and_says_what_became_of_the_passes_for_phones(scheme, folder):
    lite, full = (folder / f"{name}-{scheme}" for name in reversed(FORMAT_NAMES))
    assert lite.stat().st_size < full.stat().st_size * 1.05
    assert "optimize_for_mobile" in FORMATS["torchscript_lite"].inspect(lite).notes[-1]


def test_another_process_elsewhere_in_another_order_gives_the_same_bytes(source, folder, tmp_path):
    assert not differing(source, folder, tmp_path, FILES)


@pytest.mark.parametrize("engine", ["fbgemm", "qnnpack", "onednn"])
@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_the_engine_that_this_cpu_would_choose_is_not_in_the_bytes(name, engine, folder, tmp_path, monkeypatch):
    """`x86` means oneDNN with AVX-512 VNNI and FBGEMM without, which unpacks the weights in another layout."""
    import torch

    monkeypatch.setattr(torch.backends.quantized, "engine", engine)
    FORMATS[name].convert(Source("torch_cnn_small", "digits"), "int8", tmp_path / "again")
    assert torch.backends.quantized.engine == engine
    assert (tmp_path / "again").read_bytes() == (folder / f"{name}-int8").read_bytes()


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


def test_inspecting_a_file_executes_nothing_of_it(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    trapped = tmp_path / "trapped.pt"
    with zipfile.ZipFile(folder / "torchscript-float32") as whole, zipfile.ZipFile(trapped, "w") as copy:
        for name in whole.namelist():
            copy.writestr(name, pickle.dumps(Trap(), 2) if name.endswith("data.pkl") else whole.read(name))
    FORMATS["torchscript"].inspect(trapped)
    assert not (tmp_path / "sprung").exists()
