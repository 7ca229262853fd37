"""The worker stands alone, so it has its own arithmetic of 8-bit images and logits: it must be the exporter's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from device_tests.onboard import pixels
from export import judge
from export.contract import Tensor


@given(
    dtype=st.sampled_from(("uint8", "int8", "int16")),
    scale=st.floats(1e-5, 100),
    zero_point=st.integers(-128, 255),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_exporter_and_the_worker_quantize_alike(dtype, scale, zero_point, seed):
    rng = np.random.default_rng(seed)
    tensor = Tensor(name="t", shape=(1, 4, 5, 3), dtype=dtype, scale=scale, zero_point=zero_point)
    image = rng.normal(0, 10 ** rng.uniform(-3, 3), (4, 5, 3)).astype(np.float32)
    native = pixels.native(image, to_builtins(tensor), "hwc")
    exported = judge.to_native(image[None], tensor)
    assert native.dtype == exported.dtype == dtype
    np.testing.assert_array_equal(native, exported)
    np.testing.assert_array_equal(pixels.dequantized(native, to_builtins(tensor)), judge.to_logits(native, tensor))
