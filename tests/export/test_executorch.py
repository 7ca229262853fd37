"""ExecuTorch: real conversions of the small model, and the ways in which a conversion fails without a word."""

from pathlib import Path

import numpy as np
import pytest

from export import judge, making
from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from models.common.errors import EdgewiseError
from models.own.settings import Options
from tests.export.conftest import differing

pytestmark = pytest.mark.slow

WEIGHTS = {
    "float32": {"float32": 21_750},
    "float16": {"float16": 16_500, "float32": 5_250},  # XNNPACK's serializer keeps convolutions in float32
    "dynamic_int8": {"int8": 21_500, "float32": 250},  # the first convolution is a depthwise one to XNNPACK
    "int8": {"int8": 21_750},
    "int4": {"int4": 16_000, "int8": 5_000, "float32": 750},  # 50 inputs make no whole groups of 32
    "qat_int8": {"int8": 21_750},
}


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("executorch")
    for scheme in WEIGHTS:
        FORMATS["executorch"].convert(source, scheme, folder / f"{scheme}.pte")
    return folder


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
    left = "dim_order_ops::_to_dim_order_copy x 4" if scheme == "float16" else ""  # casts
    assert contents.notes[0].partition("left: ")[2] == left


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

    odd = Source("torch_cnn_small", "digits")
    odd.network = Sums().eval()
    with pytest.raises(EdgewiseError, match=r"took no operator .* left: aten::cumsum x 1"):
        FORMATS["executorch"].convert(odd, "float32", tmp_path / "odd.pte")


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


def test_another_process_elsewhere_in_another_order_gives_the_same_bytes(source, folder, tmp_path):
    assert not differing(source, folder, tmp_path, {f"{scheme}.pte": ("executorch", scheme) for scheme in WEIGHTS})


class SharedLayers(Source):
    """A network whose layers the quantizer would leave in float and fine-tuning change: a convolution used twice, a norm."""

    def fresh_network(self):
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.again = nn.Conv2d(1, 4, 5, 4), nn.Conv2d(4, 4, 3, 1, 1)
                self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(144, 10)

            def forward(self, x):
                x = torch.relu(self.again(torch.relu(self.norm(self.again(torch.relu(self.first(x)))))))
                return self.last(x.flatten(1))

        torch.manual_seed(0)
        return Net().eval()


@pytest.mark.parametrize("scheme", ["int8", "qat_int8"])
def test_all_layers_become_int8_and_answer_as_before(scheme, images, tmp_path):
    """The norm's statistics are not those of these images: taken anew from them, the answers would be others."""
    source = SharedLayers("torch_cnn_small", "digits").with_options(Options(steps=20))
    path = tmp_path / "net.pte"
    FORMATS["executorch"].convert(source, scheme, path)
    contents = making.completed(FORMATS["executorch"].inspect(path), source)
    assert set(contents.weights) == {"int8"}
    judge.judge_weights(contents, SCHEMES[scheme])
    judge.judge_logits(FORMATS["executorch"].run(path, images[:16]), source.logits(images[:16]), SCHEMES[scheme])
