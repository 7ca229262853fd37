"""A model's reference is computed once for all folders that artifacts go to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export import cache as cached
from export import references
from models import data
from models.images import LabelledImages
from models.reference import Reference

INPUTS = {"checkpoint": "c"}


class Network:
    """A source whose answers count how often it was asked."""

    model, checkpoint_sha256 = "net", "c" * 64

    def __init__(self) -> None:
        pixels = np.zeros((4, 2, 2), np.uint8)
        self.sets = (LabelledImages(name="shapes", images=pixels, labels=np.arange(4) % 2),)
        self.deployed = SimpleNamespace(code=tuple)
        self.calls = 0

    def input(self, images: np.ndarray) -> np.ndarray:
        return images.astype(np.float32)

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.full((len(images), 2), self.calls, np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "references"


def reference(network: Network, key: str = "k", *, anew: bool = False) -> Reference:
    return references.cached_or_new(network, key=key, inputs=INPUTS, anew=anew)


def test_what_was_computed_from_the_same_is_taken(cache):
    first, second = Network(), Network()
    new, taken = reference(first), reference(second)
    assert (first.calls, second.calls) == (1, 0)
    assert (taken.sha256, taken.key, taken.inputs) == (new.sha256, "k", INPUTS)


def test_what_code_computes_is_computed_again_for_it_may_import_anything(cache):
    for _ in range(2):
        network = Network()
        network.deployed.code = lambda: (Path("net.py"),)
        reference(network)
        assert network.calls == 1
    assert not cache.exists()


@pytest.mark.parametrize("calls", [{"key": "other"}, {"anew": True}], ids=str)
def test_what_is_of_something_else_or_wanted_anew_is_computed(cache, calls):
    reference(Network())
    again = Network()
    reference(again, **calls)
    assert again.calls == 1


@pytest.mark.parametrize("damage", [b"", b"no archive"])
def test_a_damaged_file_is_computed_again(cache, damage):
    reference(Network())
    (file,) = cache.glob("*.npz")
    file.write_bytes(damage)
    again, after = Network(), Network()
    reference(again), reference(after)
    assert (again.calls, after.calls) == (1, 0)


def test_a_cache_that_cannot_be_written_costs_time_only(cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder would be")
    assert reference(Network()).logits[0, 0] == 1


def test_many_images_are_not_kept_a_second_time(cache, monkeypatch):
    monkeypatch.setattr(references, "MOST_BYTES", 15)
    reference(Network())
    assert not cache.exists()


def test_the_oldest_files_go(cache, monkeypatch):
    monkeypatch.setattr(references, "MOST_FILES", 2)
    for number in range(4):
        reference(Network(), str(number))
    assert len(list(cache.glob("*.npz"))) == 2


def test_another_kind_of_cpu_sums_floats_in_another_order(monkeypatch):
    here = cached.file("references", "net", "k")
    monkeypatch.setattr(cached, "platform", SimpleNamespace(machine=lambda: "riscv64", processor=lambda: ""))
    assert cached.file("references", "net", "k") != here
