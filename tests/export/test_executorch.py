"""ExecuTorch: real conversions of the small model, and the ways in which a conversion fails without a word."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from models import data
from models.errors import EdgewiseError
from models.images import network_input

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = {
    "float32": {"float32": 21_750},
    "float16": {"float16": 16_500, "float32": 5_250},  # XNNPACK's serializer keeps convolutions in float32
    "dynamic_int8": {"int8": 21_500, "float32": 250},  # the first convolution is a depthwise one to XNNPACK
    "int8": {"int8": 21_750},
    "int4": {"int4": 16_000, "int8": 5_000, "float32": 750},  # 50 inputs make no whole groups of 32
    "qat_int8": {"int8": 21_750},
}


@pytest.fixture(scope="module")
def source() -> Source:
    return Source("torch_cnn_small", "digits")


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("executorch")
    for scheme in WEIGHTS:
        FORMATS["executorch"].convert(source, scheme, folder / f"{scheme}.pte")
    return folder


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return network_input(data.load("test", "digits").images[:100], "chw")


@pytest.mark.parametrize("scheme", WEIGHTS)
def test_a_file_answers_as_the_network_and_holds_the_weights_its_scheme_promises(scheme, folder, source, images):
    path = folder / f"{scheme}.pte"
    contents = FORMATS["executorch"].inspect(path)
    file_logits, expected = FORMATS["executorch"].run(path, images), source.logits(images)
    assert contents.weights == WEIGHTS[scheme]
    assert [(t.shape, t.dtype) for t in contents.inputs] == [((1, 1, 28, 28), "float32")]
    assert [(t.shape, t.dtype) for t in contents.outputs] == [((1, 10), "float32")]
    assert np.abs(file_logits - expected).max() <= SCHEMES[scheme].max_error * np.ptp(expected)
    assert (file_logits.argmax(1) == expected.argmax(1)).mean() >= 0.9


@pytest.mark.parametrize("scheme", sorted(WEIGHTS.keys() - {"float16"}))
def test_xnnpack_takes_every_operator(scheme, folder):
    assert "left:" not in FORMATS["executorch"].inspect(folder / f"{scheme}.pte").notes[0]


def test_float16_leaves_nothing_but_casts(folder):
    note = FORMATS["executorch"].inspect(folder / "float16.pte").notes[0]
    assert note.endswith("left: dim_order_ops::_to_dim_order_copy x 4")


def test_the_portable_file_says_that_nothing_is_delegated(source, images, tmp_path):
    portable, path = FORMATS["executorch_portable"], tmp_path / "portable.pte"
    portable.convert(source, "float32", path)
    assert portable.inspect(path).notes[0].startswith("0 of 14 operators delegated to XNNPACK; left: ")
    assert portable.inspect(path).weights == WEIGHTS["float32"]
    assert np.abs(portable.run(path, images[:10]) - source.logits(images[:10])).max() < 1e-3


def test_a_network_of_which_xnnpack_takes_nothing_is_refused(tmp_path):
    import torch

    class Sums(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.cumsum(3)

    class Odd(Source):
        network = Sums().eval()

    with pytest.raises(EdgewiseError, match=r"took no operator .* left: aten::cumsum x 1"):
        FORMATS["executorch"].convert(Odd("torch_cnn_small", "digits"), "float32", tmp_path / "odd.pte")


def test_a_scheme_that_silently_stays_float_shows_in_the_counts(source, tmp_path, monkeypatch):
    """What torchao's weight-only quantization gives with XNNPACK, which says nothing of it."""
    from torchao.quantization.granularity import PerAxis
    from torchao.quantization.quant_api import IntxWeightOnlyConfig, quantize_

    from export.formats import _executorch_schemes

    def weight_only(source: Source):
        network = source.fresh_network()
        quantize_(network, IntxWeightOnlyConfig(granularity=PerAxis(0)))
        return network

    monkeypatch.setattr(_executorch_schemes, "_int4", weight_only)
    FORMATS["executorch"].convert(source, "int4", tmp_path / "weight_only.pte")
    assert FORMATS["executorch"].inspect(tmp_path / "weight_only.pte").weights["float32"] >= 5_250


def test_another_process_elsewhere_in_another_order_gives_the_same_bytes(folder, tmp_path):
    for floor in ("models", "export"):
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "from pathlib import Path\n"
        "from export.formats import FORMATS\n"
        "from export.source import Source\n"
        "source = Source('torch_cnn_small', 'digits')\n"
        f"for scheme in {tuple(reversed(WEIGHTS))}:\n"
        "    FORMATS['executorch'].convert(source, scheme, Path(f'{scheme}.pte'))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, env=environment, check=True)
    for path in folder.iterdir():
        again = tmp_path / path.name
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(again.read_bytes()).digest(), path.name
