"""What takes long is computed once for all folders that artifacts go to: a model's reference, and fine-tuned weights."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from export import cache, fine_tuning, references
from export.formats import FORMATS
from export.schemes import SCHEMES, Options
from export.source import Source
from models import data
from models.common.errors import DataError
from models.images import LabelledImages

INPUTS = {"checkpoint": "c"}


def reference(key: str = "k", *, anew: bool = False, code: tuple[Path, ...] = (), logit: float = 7) -> tuple[str, int]:
    """Return the digest of a network's reference, and how often the network was asked for it."""
    calls = []
    source = SimpleNamespace(
        model="net",
        checkpoint_sha256="c" * 64,
        sets=(LabelledImages(name="shapes", images=np.zeros((4, 2, 2), np.uint8), labels=np.arange(4) % 2),),
        deployed=SimpleNamespace(code=lambda: code),
        input=lambda images: images.astype(np.float32),
        logits=lambda images: calls.append(1) or np.full((len(images), 2), logit, np.float32),
    )
    computed = references.cached_or_new(source, key=key, inputs=INPUTS, anew=anew)
    assert (computed.key, computed.inputs) == (key, INPUTS)
    assert (computed.logits == 7).all()
    return computed.sha256, len(calls)


def tuned(checkpoint: str = "c", **others) -> tuple[dict[str, tuple], int]:
    """Return fine-tuned weights, and how often it was fine-tuned for them."""
    times = []

    def tune() -> dict[str, np.ndarray]:
        times.append(1)
        return {"0.weight": np.full((2, 3), 7, np.float32), "0.steps": np.array(1)}

    given = {"model": "net", "options": Options(), "inputs": {"checkpoint": checkpoint}} | others
    arrays = fine_tuning.weights(SimpleNamespace(**given), "models.images", tune)
    return {name: (array.dtype, array.tolist()) for name, array in arrays.items()}, len(times)


KINDS = {"references": (references, reference), "fine-tuned": (fine_tuning, tuned)}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path, monkeypatch) -> SimpleNamespace:
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    module, make = KINDS[request.param]
    return SimpleNamespace(module=module, make=make, folder=tmp_path / "cache" / request.param)


def test_a_network_whose_logits_are_not_finite_is_said_and_gets_no_reference(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path)
    with pytest.raises(DataError, match="net gives logits that are not finite for 4 images of shapes"):
        reference(logit=float("inf"))
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("references", {"key": "other"}),
        ("references", {"anew": True}),
        ("fine-tuned", {"checkpoint": "d"}),
        ("fine-tuned", {"options": Options(steps=3)}),
        ("fine-tuned", {"model": "other"}),
    ],
    indirect=["kind"],
)
def test_what_is_of_something_else_or_wanted_anew_is_made(kind, change):
    kind.make()
    assert kind.make(**change)[1] == 1


UNKNOWN = [("references", {"code": (Path("net.py"),)}), ("fine-tuned", {"inputs": {}})]


@pytest.mark.parametrize(("kind", "unknown"), UNKNOWN, indirect=["kind"])
def test_nothing_is_kept_of_what_no_digest_holds_as_code_that_may_import_anything(kind, unknown):
    assert [kind.make(**unknown)[1] for _ in range(2)] == [1, 1]
    assert not kind.folder.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive"])
def test_what_was_made_of_the_same_is_taken_and_a_damaged_file_is_made_again(kind, damage):
    (first, times), (taken, again) = kind.make(), kind.make()
    assert (first, times, again) == (taken, 1, 0)
    (file,) = kind.folder.glob("*.npz")
    file.write_bytes(damage)
    assert kind.make() == (first, 1)


def test_a_cache_that_cannot_be_written_costs_time_only(kind):
    kind.folder.parent.mkdir()
    kind.folder.write_text("a file where the folder would be")
    unlucky = kind.make()
    kind.folder.unlink()
    assert unlucky == kind.make()


def test_the_oldest_files_go(kind, monkeypatch):
    monkeypatch.setattr(kind.module, "MOST_FILES", 2)
    for number in range(4):
        kind.make(str(number))
    assert len(list(kind.folder.glob("*.npz"))) == 2


@pytest.mark.parametrize("kind", ["references"], indirect=True)
def test_many_images_are_not_kept_a_second_time(kind, monkeypatch):
    monkeypatch.setattr(references, "MOST_BYTES", 15)
    kind.make()
    assert not kind.folder.exists()


def test_another_kind_of_cpu_sums_floats_in_another_order(monkeypatch):
    here = cache.file("references", "net", "k")
    monkeypatch.setattr(cache, "platform", SimpleNamespace(machine=lambda: "riscv64", processor=lambda: ""))
    assert cache.file("references", "net", "k") != here


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fine-tuned"], indirect=True)
@pytest.mark.parametrize("format_name", ["executorch", "tflite"])
def test_a_file_of_kept_weights_is_the_same_to_the_byte(kind, tmp_path, format_name):
    """The ranges that the observers saw are kept, too, and the epsilon that they round scales with."""
    files = []
    for inputs in ({}, INPUTS, INPUTS):
        source = Source("torch_cnn_small", "digits").with_options(replace(SCHEMES["qat_int8"].in_force, steps=2))
        source.inputs = inputs
        files.append(tmp_path / f"{len(files)}{FORMATS[format_name].suffix}")
        FORMATS[format_name].convert(source, "qat_int8", files[-1])
    assert len(list(kind.folder.glob("*.npz"))) == 1
    assert len({file.read_bytes() for file in files}) == 1
