"""A network whose answer is known exactly."""

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import find_objects, label

from helpers import tiny
from napari_pffnet.library import Model


class BrightSquares(torch.nn.Module):
    """Finds connected areas over 0.5; the score is their mean brightness. Remembers the sizes of the images it saw."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []
        self.most_regions = None

    def encode(self, images):
        self.seen += [tuple(image.shape[1:]) for image in images]
        return images

    def predict(self, features):
        return [self.found_in(image) for image in features]

    def found_in(self, image):
        bright = (image[0] > 0.5).numpy()
        objects = find_objects(label(bright)[0])
        scores = torch.tensor([float(image[0][place].mean()) for place in objects])
        count = len(objects)
        semantic = torch.from_numpy(bright).float()
        return {
            "boxes": torch.tensor([(x.start, y.start, x.stop, y.stop) for y, x in objects]).reshape(-1, 4).float(),
            "scores": scores,
            "mask_quality": torch.full((count,), 0.9),
            "masks": torch.ones(count, 28, 28),
            "semantic": torch.stack([1 - semantic, semantic]),
        }


def fake_model(network=None, diameter=None):
    return Model(network or BrightSquares(), tiny(diameter=diameter), {}, Path("fake.safetensors"))


def squares_image(shape=(300, 420), side=12, pitch=17):
    """Squares of different brightness on both sides of every seam, noise on one half: float32, and their count."""
    image = np.zeros(shape, np.float32)
    image[:, : shape[1] // 2] += 0.3 * np.random.default_rng(0).random((shape[0], shape[1] // 2), np.float32)
    corners = [(y, x) for y in range(0, shape[0] - side, pitch) for x in range(0, shape[1] - side, pitch)]
    corners = [(y, x) for y, x in corners if not 60 <= y < 180]
    for (y, x), value in zip(corners, np.linspace(0.6, 1, len(corners)), strict=True):
        image[y : y + side, x : x + side] = value
    return image, len(corners)
