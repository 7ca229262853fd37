"""The limit of a core, and which layer keeps an artifact below it."""

import pytest

from device_tests.devices import arm64
from device_tests.results import bounds
from device_tests.results.placements import Operator
from export.artifact import Artifact
from tests.device_tests import conftest


def artifact(scheme: str, macs: int = 1_600_000, **facts) -> Artifact:
    return conftest.artifact(f"m-tflite-{scheme}", macs=macs, **facts)


def operator(name: str, macs: int, channels: int = 0, **facts) -> Operator:
    defaults = {"name": "CONV_2D", "weights": "int8", "integer": True, "taken": True}
    return Operator(**{**defaults, "layer": name, "macs": macs, "channels": channels, **facts})


LEAST = {
    "cortex-a53": {"float32": 400_000, "int8": 200_000},
    "cortex-a76": dict.fromkeys(("int8", "dynamic_int8", "int4"), 100_000) | {"int16x8": 400_000, "float16": 400_000},
    "max": {"qat_int8": 50_000},
    "desktop": {"float32": 200_000},
}


@pytest.mark.parametrize(("device", "scheme"), [(device, scheme) for device in LEAST for scheme in LEAST[device]])
def test_a_limit_is_the_products_over_what_the_best_instruction_takes(device, scheme):
    example, least = artifact(scheme), LEAST[device][scheme]
    assert bounds.least(device, example) == least
    assert bounds.bound(device, example, least * 4).share == 0.25


def test_layers_that_stay_float_have_the_limit_of_floats_and_only_cores_that_count_have_one():
    assert bounds.least("cortex-a76", artifact("dynamic_int8", covered_macs=0.5)) == 50_000 + 200_000
    assert set(arm64.NAMES) < set(bounds.CORES)
    assert bounds.bound("android:x", artifact("int8"), 5) is None
    assert bounds.bound("cortex-a76", artifact("int8", macs=0), 5) is None


def test_the_goal_is_for_eight_bits_on_one_core_and_lower_for_small_networks():
    def wasted(device="cortex-a76", scheme="int8", share=0.4, **facts) -> str:
        example = artifact(scheme, **facts)
        return bounds.wasted(device, example, round(bounds.least(device, example) / share), None)

    assert "40% of the limit of cortex-a76, where 50% is the goal" in wasted()
    assert "is not known" in wasted()
    assert not wasted(share=0.6)
    assert not wasted(macs=800_000)
    assert wasted(macs=800_000, share=0.2)
    assert not wasted(device="cortex-a53")
    assert not wasted(scheme="float32")


def test_the_layer_that_wastes_most_is_named_as_far_as_the_placement_tells():
    narrow = (operator("conv1", 640_000, 1), operator("conv2", 960_000, 16))
    floats = (operator("conv1", 800_000, 16), operator("fc", 800_000, 16, integer=False))
    left = (operator("conv1", 200_000, 16, taken=False), operator("fc", 1_400_000, 16))
    expected = {
        narrow: "conv1 (CONV_2D) has 1 channel, which fill 25% of an SDOT's lanes, at least 120,000 of the 300,000",
        floats: "fc (CONV_2D) is computed in float, at least 150,000 of the 300,000 instructions above it",
        left: "conv1 (CONV_2D) is left to the runtime's own kernels, which take one at a time, at least 187,500",
        (operator("conv1", 160_000, 3), operator("conv2", 1_440_000, 16)): "where the others go is not known",
        (operator("conv1", 1_600_000, 16),): "which layer wastes it is not known",
    }
    for layers, text in expected.items():
        placement = conftest.placement(delegate="XNNPACK", operators=layers)
        assert text in bounds.wasted("cortex-a76", artifact("int8"), 400_000, placement)
