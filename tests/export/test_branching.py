"""Every recipe of networks with depthwise convolutions, batch norm, hard-swish, a residual and global pooling."""

from __future__ import annotations

import numpy as np
import pytest
from branching import Branching

from export import judge
from export.formats import FORMATS
from export.matrix import MATRIX
from export.schemes import SCHEMES
from models import data, files
from models import profile as profiles
from models.errors import Unsupported

pytestmark = pytest.mark.slow

RECIPES = [
    (framework, name, scheme)
    for framework, formats in MATRIX.items()
    for name, schemes in formats.items()
    for scheme in schemes
    if name != "eager"  # which is the zoo's checkpoint
]
REFUSED = {("keras", "tflite", "int16x8"): "not yet supported for op: 'HARD_SWISH'"}
PARAMETERS = {"torch": 4_618, "keras": 4_906}
_sources: dict[str, Branching] = {}


@pytest.fixture
def source(framework) -> Branching:
    return _sources.setdefault(framework, Branching(framework))


@pytest.mark.parametrize(("framework", "name", "scheme"), RECIPES, ids="-".join)
def test_every_recipe_is_made_or_refused_in_the_toolchains_words(framework, name, scheme, source, tmp_path):
    profile = source.memo("profile", lambda: profiles.of(source.spec, source.network))
    path = tmp_path / f"branching{FORMATS[name].suffix}"
    if reason := REFUSED.get((framework, name, scheme)):
        with pytest.raises(Unsupported, match=reason):
            FORMATS[name].convert(source, scheme, path)
        return
    FORMATS[name].convert(source, scheme, path)
    contents = FORMATS[name].inspect(path)
    judge.judge_weights(contents, SCHEMES[scheme], profile.weights)
    judge.judge_size(files.size_bytes(path), contents, SCHEMES[scheme], profile.parameters)
    grey = data.grey(data.load("test", "digits").images[:64], source.spec.input_shape)
    native = FORMATS[name].run(path, judge.to_native(grey, contents.inputs[0]))
    judge.judge_answers(judge.to_logits(native, contents.outputs[0]), source.logits(grey), SCHEMES[scheme])
    noted = judge.coverage(contents, SCHEMES[scheme], profile.layers)
    covered = contents.weights[SCHEMES[scheme].weights] / sum(contents.weights.values())
    assert bool(noted) == (covered < 1)
    assert all(f"{covered:.1%} of the weights and " in note and "% of the MACs" in note for note in noted)


@pytest.mark.parametrize("framework", PARAMETERS)
def test_the_network_costs_what_its_layers_multiply(framework, source):
    stem, depthwise, pointwise, last = 14 * 14 * 9 * 32, 14 * 14 * 9 * 32, 14 * 14 * 32 * 32, 14 * 14 * 32 * 64
    separable = depthwise if framework == "keras" else 0
    profile = profiles.of(source.spec, source.network)
    assert profile.macs == stem + depthwise + pointwise + separable + last + 640
    assert profile.parameters == PARAMETERS[framework]


@pytest.mark.parametrize("framework", ["keras"])
def test_fine_tuning_leaves_the_layers_calls_as_they_were(framework, source):
    from export.formats import _tflite_keras

    network = source.fresh_network()
    with _tflite_keras._calls(network.layers, lambda layer, call: lambda *a, **k: 1 / 0):
        pass
    grey = data.grey(data.load("test", "digits").images[:4], source.spec.input_shape)
    assert np.array_equal(network(grey).numpy(), source.network(grey).numpy())
