from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from msgspec.structs import replace

from export import fine_tuning
from export.formats import FORMATS
from export.schemes import SCHEMES, Options
from export.source import Source
from models import data

CODE = "models.images"


@dataclass
class Tuning:
    """A source, and what counts how often it was fine-tuned."""

    model: str = "net"
    options: Options = field(default_factory=Options)
    inputs: dict[str, str] = field(default_factory=lambda: {"checkpoint": "c"})
    times: int = 0

    def weights(self) -> dict[str, np.ndarray]:
        return dict(fine_tuning.weights(self, CODE, self._tune))

    def _tune(self) -> dict[str, np.ndarray]:
        self.times += 1
        return {"0.weight": np.full((2, 3), self.times, np.float32), "0.steps": np.array(self.times)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "fine-tuned"


def test_what_was_made_of_the_same_is_taken(cache):
    first, again = Tuning(), Tuning()
    arrays, taken = first.weights(), again.weights()
    assert (first.times, again.times) == (1, 0)
    assert arrays.keys() == taken.keys()
    assert all(np.array_equal(arrays[name], taken[name]) for name in arrays)


@pytest.mark.parametrize("change", [{"inputs": {"checkpoint": "d"}}, {"options": Options(steps=3)}, {"model": "other"}])
def test_what_was_made_of_something_else_is_not(cache, change):
    Tuning().weights()
    other = Tuning(**change)
    other.weights()
    assert other.times == 1


def test_nothing_is_kept_of_a_network_whose_inputs_are_not_known(cache):
    unknown = Tuning(inputs={})
    unknown.weights(), unknown.weights()
    assert unknown.times == 2
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive"])
def test_a_damaged_file_is_made_again(cache, damage):
    Tuning().weights()
    (file,) = cache.glob("*.npz")
    file.write_bytes(damage)
    again, after = Tuning(), Tuning()
    again.weights(), after.weights()
    assert (again.times, after.times) == (1, 0)


def test_a_cache_that_cannot_be_written_costs_time_only(cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder would be")
    unlucky = Tuning()
    assert unlucky.weights()["0.steps"] == 1
    assert unlucky.times == 1


def test_the_oldest_files_go(cache, monkeypatch):
    monkeypatch.setattr(fine_tuning, "MOST_FILES", 2)
    for number in range(4):
        Tuning(inputs={"checkpoint": str(number)}).weights()
    assert len(list(cache.glob("*.npz"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["executorch", "tflite"])
def test_a_file_of_kept_weights_is_the_same_to_the_byte(cache, tmp_path, format_name):
    """The ranges that the observers saw are kept, too, and the epsilon that they round scales with."""
    files = []
    for inputs in ({}, {"checkpoint": "c"}, {"checkpoint": "c"}):
        source = Source("torch_cnn_small", "digits").with_options(replace(SCHEMES["qat_int8"].in_force, steps=2))
        source.inputs = inputs
        files.append(tmp_path / f"{len(files)}{FORMATS[format_name].suffix}")
        FORMATS[format_name].convert(source, "qat_int8", files[-1])
    assert len(list(cache.glob("*.npz"))) == 1
    assert len({file.read_bytes() for file in files}) == 1
