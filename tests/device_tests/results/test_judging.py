"""What logits are worth, and replies that hold none."""

import base64
import zlib

import numpy as np
import pytest
from scipy.stats import binomtest

from device_tests.onboard import sampling
from device_tests.results import judging
from device_tests.results.measurement import FLIPS, Flip, Recall
from models.common import records
from models.reference import EvaluationSet


def judge(logits: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> judging.Judgement:
    """Judge logits against a source with the logits `expected`, both [N,K], and labels [N]."""
    images = np.zeros((len(expected), 28, 28), np.uint8)
    return judging.judge(logits, EvaluationSet(images=images, labels=labels.astype(np.uint8), logits=expected))


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize("text", ["", "?", "é", *map(packed, (b"", b"123", bytes(41 * 40), bytes(1 << 28)))], ids=len)
def test_what_holds_no_logits_is_refused(text):
    with pytest.raises(ValueError, match="logits"):
        judging.unpack(text, 10, 40)


def test_lost_and_gained_answers_are_paired_with_the_source_and_the_first_thousand_counted_on_their_own():
    expected = np.eye(10, dtype=np.float32)[[0, 1, 2, 3] * 375]
    labels = np.array([0, 1, 2, 9] * 375)
    logits = expected.copy()
    logits[[0, 1_200]] = np.eye(10)[5]  # right before
    logits[3] = np.eye(10)[9]  # wrong before
    row = judge(logits, expected, labels)
    assert (row.total, row.lost, row.gained, row.correct, row.agree) == (1_500, 2, 1, 1_124, 1_497)
    assert (row.first_correct, row.first_agree) == (750, 998)


def test_every_flip_is_counted_and_the_first_are_kept_and_what_is_not_a_number_has_no_margin():
    expected = np.tile(np.arange(10, dtype=np.float32), (FLIPS + 100, 1))
    logits = expected.copy()
    logits[2:, 4] = 9.5
    labels = np.full(len(expected), 9)
    row = judge(logits, expected, labels)
    assert (row.total - row.agree, len(row.flips)) == (len(expected) - 2, FLIPS)
    assert row.flips[0] == Flip(index=2, label=9, ours=4, theirs=9, our_margin=0.5, their_margin=1.0)

    expected = expected[:3]
    logits = expected.copy()
    logits[1, 0] = np.nan
    row = judge(logits, expected, labels[:3])
    assert [(flip.index, flip.ours, flip.our_margin) for flip in row.flips] == [(1, -1, None)]
    assert (row.ece, row.outcome) == (None, "mismatch")
    records.encode(row)  # raises on what JSON cannot hold


def test_the_calibration_error_is_how_far_confidence_is_from_the_share_of_right_answers():
    logits = np.zeros((1_000, 10))
    logits[:, 1] = np.log(0.8 / 0.2 * 9)  # a confidence of 0.8
    for share_right, error in ((0.8, 0.0), (0.5, 0.3), (1.0, 0.2)):
        labels = np.where(np.arange(1_000) < 1_000 * share_right, 1, 2)
        assert judging.calibration_error(logits, labels) == pytest.approx(error)
    # a sure and right answer is perfectly calibrated
    assert judging.calibration_error(np.eye(10, dtype=np.float32) * 1e4, np.arange(10)) == 0.0


def test_the_first_five_are_counted_where_there_are_more_than_ten_classes():
    expected = np.tile(np.arange(12, dtype=np.float32), (100, 1))
    labels = np.array([11, 7, 6, 0] * 25)  # first, fifth, sixth and last
    row = judge(expected, expected, labels)
    assert (row.top5_correct, row.source_top5_correct) == (50, 50)
    assert judging.within_five(np.zeros((1, 12), np.float32), np.array([5])) == 0  # of equals the first five lead
    assert judging.within_five(np.full((1, 12), np.nan, np.float32), np.array([0])) == 0
    assert judge(expected[:, :10], expected[:, :10], labels % 10).top5_correct is None


def test_the_class_that_loses_most_recall_is_named_with_both_figures():
    labels = np.array([0] * 10 + [1] * 100 + [2] * 10)
    expected = np.eye(3, dtype=np.float32)[labels]
    logits = expected.copy()
    logits[[0, 1, 2]] = np.eye(3)[1]  # 3 of 10
    logits[10:20] = np.eye(3)[2]  # 10 of 100
    row = judge(logits, expected, labels)
    assert row.worst_class == Recall(label=0, total=10, correct=7, source_correct=10)
    assert judge(expected, expected, labels).worst_class is None


def test_outputs_that_are_probabilities_already_get_no_second_softmax():
    shares = np.tile(np.array([0.1, 0.8, 0.1], np.float32), (100, 1))
    labels = np.array([1] * 80 + [0] * 20)
    for outputs, probabilities in ((shares, True), (np.log(shares), False)):
        row = judge(outputs, outputs, labels)
        assert row.probabilities is probabilities
        assert row.ece == pytest.approx(0.0, abs=1e-6)


def coin_flips(rng: np.random.Generator, share: float, images: int) -> tuple[np.ndarray, EvaluationSet]:
    """Return logits [N,2] of which a share predicts the source's class, and the source's."""
    source = np.tile(np.array([[1.0, 0.0]], np.float32), (images, 1))
    agree = rng.random(images) < share
    logits = np.where(agree[:, None], source, source[:, ::-1])
    return logits, EvaluationSet(images=np.zeros((images, 1, 1)), labels=np.zeros(images, int), logits=source)


def test_images_are_enough_once_the_interval_of_agreement_is_narrow_or_far_from_sane():
    cases = {(500, 500): True, (499, 500): False, (998, 1_000): True, (997, 1_000): False, (800, 1_000): True}
    for (agree, images), enough in cases.items():
        logits, evaluation_set = coin_flips(np.random.default_rng(0), 1.0, images)
        logits[agree:] = logits[agree:, ::-1]
        assert judging.is_enough(logits, evaluation_set) is enough


@pytest.mark.parametrize("share", [0.98, 0.993, 0.997, 0.9995])
def test_intervals_of_cells_that_were_judged_on_fewer_images_cover_as_often_as_they_say(share):
    """To look several times costs coverage; docs/measuring.md says how much at most."""
    rng, covered, repeats = np.random.default_rng(0), 0, 60
    for _ in range(repeats):
        logits, evaluation_set = coin_flips(rng, share, 10_000)
        looks = sampling.looks(10_000, 0, slow=True)
        judged = next(n for n in looks if n == 10_000 or judging.is_enough(logits[:n], evaluation_set))
        agree = int((logits[:judged].argmax(1) == 0).sum())
        interval = binomtest(agree, judged).proportion_ci(0.95, method="exact")
        covered += interval.low <= share <= interval.high
    assert covered >= 0.9 * repeats
