"""What a placement concludes from its operators, and which of that is a defect."""

import json

import pytest
from msgspec.structs import replace

from device_tests.measure.explain import placement as placements
from device_tests.measure.explain.placement import Layer
from device_tests.results import placements as placement_files
from device_tests.results.placements import Operator, Placement
from models.common.errors import DataError
from tests.device_tests import conftest

LAYERS = (Layer(name="conv1", macs=900, parameters=90), Layer(name="dense1", macs=100, parameters=910))


def operators(**changes) -> tuple[Operator, ...]:
    weighted = {"weights": "int8", "activations": "int8", "integer": True, "taken": True} | changes
    each = (Operator(name="POOL", taken=True), Operator(name="CONV", **weighted), Operator(name="DENSE", **weighted))
    return placements.with_layers(each, LAYERS)


def placement(scheme: str = "int8", **changes) -> Placement:
    facts = {"runtime": "litert", "delegate": "XNNPACK", "operators": operators(), **changes}
    whole = conftest.placement(f"torch_cnn-tflite-{scheme}", **facts)
    return replace(whole, defects=placements.defects(whole, scheme))


def test_layers_are_given_to_operators_in_their_order_or_by_their_parameters_and_never_by_a_guess():
    assert [(o.layer, o.macs) for o in operators()] == [("", 0), ("conv1", 900), ("dense1", 100)]
    dense, conv = (Operator(name=name, weights="int8", parameters=n) for name, n in (("DENSE", 910), ("CONV", 90)))
    paired = placements.with_layers((dense, conv), LAYERS)  # as where branches come in another order
    assert [(o.layer, o.macs) for o in paired] == [("dense1", 100), ("conv1", 900)]
    with pytest.raises(DataError, match="computes 1 layers with weights .CONV., the network has 2"):
        placements.with_layers((replace(conv, parameters=0),), LAYERS)
    with pytest.raises(DataError, match="do not fit each other"):
        placements.with_layers((replace(conv, parameters=91), dense), LAYERS)


def test_shares_count_operators_and_macs_of_a_delegate_if_there_is_one():
    pool, conv, dense = operators()
    example = placement(operators=(pool, replace(conv, taken=False), dense))
    assert (example.delegated_nodes, example.delegated_macs, example.integer_macs) == (2 / 3, 0.1, 1.0)
    example = placement(delegate="", operators=operators(taken=False))
    assert (example.delegated_nodes, example.delegated_macs, example.defects) == (None, None, ())


def test_integers_that_are_computed_in_float_and_a_delegate_that_takes_nothing_are_defects():
    assert placement().defects == ()
    assert placement("float32", operators=operators(weights="float32", integer=False)).defects == ()
    (defect,) = placement(operators=operators(integer=False)).defects
    assert (defect.kind, defect.share) == (placement_files.INTEGERS, 0.0)
    assert str(defect) == "int8 computes only 0% of the weights in integers; in float: conv1, dense1"
    idle = placement(operators=operators(taken=False))
    assert [str(d) for d in idle.unexpected] == ["XNNPACK took 0% of the MACs (1 of 3 operators)"]


def test_a_known_defect_is_told_with_its_reason_and_expected_by_its_kind_and_not_its_words():
    example = placement("int16x8", operators=operators(taken=False))
    (defect,) = example.defects
    assert example.unexpected == ()
    why = "XNNPACK has no kernels for 16-bit activations"
    assert placement_files.as_json(example)["expected_defects"] == {str(defect): why}
    assert placement_files.why_expected(example.id, replace(defect, text="the delegate ran hardly anything")) == why
    assert not placement_files.why_expected(example.id, replace(defect, kind=placement_files.INTEGERS))
    other = placement("int16x8", operators=operators(integer=False))
    assert [d.kind for d in other.unexpected] == [placement_files.INTEGERS]


def test_a_placement_is_read_as_it_was_written_and_one_that_is_none_is_said(tmp_path):
    broken = placement(operators=operators(taken=False, integer=False))
    file = placement_files.path(tmp_path, broken.id)
    assert placement_files.read(tmp_path, broken.id) is None
    placement_files.save(broken, tmp_path)
    assert placement_files.read(tmp_path, broken.id) == broken
    assert len(broken.defects) == 2
    placement_files.save(placement(), tmp_path)
    assert json.loads(file.read_text())["delegated_macs"] == 1.0
    file.write_text('{"artifact": "a"}')
    with pytest.raises(DataError, match="is no placement report .Object missing required field"):
        placement_files.read(tmp_path, broken.id)
