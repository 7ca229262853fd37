"""Random affine distortion of digits, the same for both frameworks."""

import numpy as np
from scipy import ndimage

from models.spec import Training


def distort(images: np.ndarray, training: Training, rng: np.random.Generator) -> np.ndarray:
    """Return uint8 [N,28,28] as float32 [N,28,28] in 0..1, each image rotated, scaled, sheared and shifted at random."""
    n = len(images)
    angle = np.radians(rng.uniform(-training.rotate_degrees, training.rotate_degrees, n))
    scale = 1 / rng.uniform(1 - training.scale, 1 + training.scale, (n, 2))
    shear = rng.uniform(-training.shear, training.shear, n)
    shift = rng.uniform(-training.shift_pixels, training.shift_pixels, (n, 2))

    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    slant = np.zeros((n, 2, 2))
    slant[:, 0, 0] = scale[:, 0]
    slant[:, 1, 1] = scale[:, 1]
    slant[:, 1, 0] = shear
    matrix = rotation @ slant

    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij")).reshape(2, -1) - 13.5
    origin = matrix @ grid + 13.5 + shift[:, :, None]  # [N,2,784]: where each output pixel comes from
    index = np.broadcast_to(np.arange(n)[:, None], (n, 784))
    coordinates = np.stack([index, origin[:, 0], origin[:, 1]])
    grey = images.astype(np.float32) / np.float32(255.0)
    return ndimage.map_coordinates(grey, coordinates, order=1, mode="constant").reshape(n, 28, 28).astype(np.float32)
