"""Writes two networks that name a picture's mean colour, with their images: `python -m tests.apps.web.colours FOLDER`.

Their weights are written down, not trained: a class's logit falls with the distance of its colour. `seven` is Keras' and
takes bytes [32,32,3]; `many` is PyTorch's, has 300 classes and takes floats [24,40,3] of a mean and deviation per channel.
"""

import sys
from pathlib import Path

import numpy as np

COLOURS = {
    "red": (220, 30, 30), "orange": (240, 140, 20), "yellow": (235, 225, 40), "green": (40, 160, 60),
    "blue": (30, 70, 210), "violet, as the petals of an early dog-violet in the shade of a beech wood": (130, 50, 180),
    "grey": (128, 128, 128),
}  # fmt: skip
SEVEN, MANY = "seven", "many"
STEEPNESS = 30.0
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def many_colours() -> np.ndarray:
    """Return the colours of the 300 classes, uint8 [300,3]."""
    steps = [np.linspace(10, 245, count).astype(np.uint8) for count in (5, 6, 10)]
    return np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)


def pictures(colours: np.ndarray, height: int, width: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures of each colour, uint8 [N,H,W,3], and their classes [N]; the first one of each is smooth."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(len(colours)), each)
    noise = rng.normal(0, 12, (len(labels), height, width, 3))
    return np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8), labels


def linear(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [3,K] and biases [K] by which the nearest of the colours has the largest logit."""
    points = colours.astype(np.float32) / 255
    return 2 * STEEPNESS * points.T, -STEEPNESS * (points**2).sum(1)


def write_seven(folder: Path) -> None:
    import keras
    from keras import layers

    colours = np.array([*COLOURS.values()], np.uint8)
    network = keras.Sequential([keras.Input((32, 32, 3)), layers.AveragePooling2D(4), layers.Conv2D(7, 1),
                                layers.GlobalAveragePooling2D()])  # fmt: skip
    weights, biases = linear(colours)
    network.layers[1].set_weights([weights[None, None], biases])
    network.save(folder / f"{SEVEN}.keras")
    images, labels = pictures(colours, 32, 32, each=12)
    np.savez_compressed(folder / f"{SEVEN}.npz", images=images, labels=labels, class_names=np.array([*COLOURS]))


def write_many(folder: Path) -> None:
    import torch
    from torch import nn

    colours = many_colours()
    weights, biases = linear(colours)
    # the network takes normalised values: what it undoes is in its weights
    biases = biases + MEAN @ weights
    weights = weights * DEVIATION[:, None]
    convolution = nn.Conv2d(3, len(colours), 1)
    network = nn.Sequential(nn.AvgPool2d(4), convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(weights.T.copy())[..., None, None])
        convolution.bias.copy_(torch.from_numpy(biases))
        program = torch.export.export(network, (torch.zeros(1, 3, 24, 40),))
    torch.export.save(program, folder / f"{MANY}.pt2")
    images, labels = pictures(colours, 24, 40, each=2)
    floats = (images.astype(np.float32) / 255 - MEAN) / DEVIATION
    np.savez_compressed(folder / f"{MANY}.npz", images=floats.astype(np.float32), labels=labels)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    write_seven(place)
    write_many(place)
