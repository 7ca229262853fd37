"""The known silent failures of the toolchains, each as the numbers that it showed."""

from __future__ import annotations

import numpy as np
import pytest

from export import judge
from export.contract import Contents, Tensor
from export.judge import Defect
from export.schemes import SCHEMES


def contents(**weights: int) -> Contents:
    return Contents(inputs=(), outputs=(), weights=weights)


def test_a_scheme_that_stayed_float_is_a_defect():
    with pytest.raises(Defect, match="must store 90% of the weights as int8"):
        judge.judge_weights(contents(float32=1_199_000), SCHEMES["int8"])
    judge.judge_weights(contents(int8=1_199_000, float32=500), SCHEMES["int8"])


def test_four_bits_may_leave_the_convolutions_wide_but_not_the_rest():
    judge.judge_weights(contents(int4=1_180_000, float32=18_720), SCHEMES["int4"])
    with pytest.raises(Defect, match="as int4"):
        judge.judge_weights(contents(int4=18_720, float32=1_180_000), SCHEMES["int4"])


def test_a_file_without_weights_is_a_defect():
    with pytest.raises(Defect, match="holds no weights"):
        judge.judge_weights(contents(), SCHEMES["float32"])
    with pytest.raises(Defect, match="the file has 10,000"):
        judge.judge_size(10_000, 3_274_634, SCHEMES["float32"])


def test_a_weight_only_file_that_did_not_shrink_is_a_defect():
    with pytest.raises(Defect, match="the file has 4,693,000"):
        judge.judge_size(4_693_000, 1_199_882, SCHEMES["int8"])
    judge.judge_size(1_182_000 * 1024 // 1000, 1_199_882, SCHEMES["int8"])


def test_logits_of_ten_million_are_a_defect_though_every_answer_agrees():
    expected = np.eye(10, dtype=np.float32)
    with pytest.raises(Defect, match="differ by up to 1e\\+07"):
        judge.judge_answers(expected * 1e7, expected, SCHEMES["int8"])


@pytest.mark.parametrize("answers", [np.full((4, 10), np.nan), np.zeros((4, 9)), np.zeros((3, 10))])
def test_answers_that_are_no_logits_are_a_defect(answers):
    with pytest.raises(Defect, match="not finite"):
        judge.judge_answers(answers, np.zeros((4, 10)), SCHEMES["float32"])


def test_flipped_answers_are_a_defect():
    expected = np.eye(10, dtype=np.float32)
    with pytest.raises(Defect, match=r"0.0% of the answers agree"):
        judge.judge_answers(np.roll(expected, 1, axis=1), expected, SCHEMES["int8"])


def test_grey_values_become_what_a_quantized_input_takes_and_back():
    tensor = Tensor(name="image", shape=(1, 28, 28, 1), dtype="uint8", scale=1 / 255, zero_point=0)
    native = judge.to_native(np.full((2, 1, 28, 28), 1.0, np.float32), tensor)
    assert native.shape == (2, 28, 28, 1)
    assert native.dtype == np.uint8
    assert native.max() == 255
    output = Tensor(name="logits", shape=(1, 10), dtype="uint8", scale=0.5, zero_point=128)
    assert judge.to_logits(np.array([[130, 126]], np.uint8), output).tolist() == [[1.0, -1.0]]


def test_quantized_values_are_clipped_not_wrapped():
    tensor = Tensor(name="image", shape=(1, 2), dtype="int8", scale=1 / 255, zero_point=-128)
    assert judge.to_native(np.array([[-1.0, 2.0]], np.float32), tensor).tolist() == [[-128, 127]]
