"""Synthetic fluorescence nuclei with known truth, for samples and tests."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_pffnet.typing import Array

BACKGROUND, BRIGHTNESS, NOISE = 1000.0, 12000.0, 250.0
ATTEMPTS = 200


def synthetic_nuclei(
    shape: tuple[int, int] = (256, 256), count: int = 30, seed: int = 0, diameter: float = 24.0
) -> tuple[Array, Array]:
    """Draw bright, textured, slightly irregular ellipses that may touch but do not overlap.

    Parameters
    ----------
    shape : (int, int)
        Height and width, pixels.
    count : int
        Nuclei wanted; fewer are drawn where no room is left.
    seed : int
        Equal seeds give equal images.
    diameter : float
        Mean diameter, pixels.

    Returns
    -------
    image : ndarray
        uint16 H×W.
    labels : ndarray
        int32 H×W, 0 is background, ids 1..n.
    """
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    image = np.zeros(shape, np.float32)
    texture = 1 + 0.25 * _standard(gaussian_filter(random.standard_normal(shape), diameter / 12))
    for number in range(1, count + 1):
        rows, columns = _free_place(labels, random, diameter)
        if not len(rows):
            break
        labels[rows, columns] = number
        image[rows, columns] = random.uniform(0.4, 1.0) * texture[rows, columns]
    counts = gaussian_filter(image, 0.8) * BRIGHTNESS + BACKGROUND + NOISE * random.standard_normal(shape)
    return np.clip(counts, 0, np.iinfo(np.uint16).max).astype(np.uint16), labels


def _free_place(labels: Array, random: np.random.Generator, diameter: float) -> tuple[Array, Array]:
    """Pixels of one nucleus that meets no other; empty if no place is found."""
    for _ in range(ATTEMPTS):
        rows, columns = _blob(labels.shape, random, diameter)
        if len(rows) and not labels[rows, columns].any():
            return rows, columns
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _blob(shape: tuple[int, ...], random: np.random.Generator, diameter: float) -> tuple[Array, Array]:
    """Pixels inside an ellipse with a wavy border at a random place, size and angle."""
    centre = random.uniform(0, shape)
    major, minor = diameter / 2 * random.uniform((0.9, 0.7), (1.2, 1.0))
    turn, phase = random.uniform(0, 2 * np.pi, 2)
    reach = int(np.ceil(1.2 * major))
    top, left = np.maximum(np.floor(centre).astype(int) - reach, 0)
    bottom, right = np.minimum(np.ceil(centre).astype(int) + reach, shape)
    y, x = np.mgrid[top:bottom, left:right] + 0.5 - centre[:, None, None]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    border = 1 + 0.08 * np.sin(3 * np.arctan2(across, along) + phase)
    rows, columns = np.nonzero((along / major) ** 2 + (across / minor) ** 2 <= border**2)
    return rows + top, columns + left


def _standard(values: Array) -> Array:
    spread = values.std()
    return (values - values.mean()) / spread if spread else np.zeros_like(values)
