"""A .keras file that cannot be deployed is one sentence: cut off, of another kind, with code in it, or of several inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def saved(network, folder: Path) -> bytes:
    network.save(folder / "net.keras")
    return (folder / "net.keras").read_bytes()


def inputs():
    import keras

    return keras.Input((4, 4, 1)), keras.Input((4, 4, 1))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_one_sentence(share, tmp_path):
    from models.frameworks import keras as framework

    (image, _), layers = inputs(), framework.keras.layers
    content = saved(framework.keras.Model(image, layers.Dense(2)(layers.Flatten()(image))), tmp_path)
    with pytest.raises(ValueError, match="it is no .keras file, or is cut off"):
        framework.open_whole(content[: int(len(content) * share)])


def test_code_several_inputs_and_another_archive_are_refused(tmp_path):
    import io
    import zipfile

    from models.frameworks import keras as framework

    (a, b), layers = inputs(), framework.keras.layers
    two = framework.keras.Model([a, b], layers.Flatten()(layers.Add()([a, b])))
    with pytest.raises(ValueError, match="it has 2 inputs and 1 outputs"):
        framework.open_whole(saved(two, tmp_path))
    code = framework.keras.Model(a, layers.Flatten()(layers.Lambda(lambda x: x + 1)(a)))
    with pytest.raises(ValueError, match="a Lambda layer.*never run"):
        framework.open_whole(saved(code, tmp_path))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="cannot load it: "):
        framework.open_whole(other.getvalue())
