"""Random training crops.

Geometry first, then intensities on what is left of the image, then padding: so padding stays 0, as the network's own.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as V

from napari_pffnet.config import AugmentConfig
from napari_pffnet.labels import IGNORE

SMALLEST_AREA = 4
SMALLEST_FRACTION = 0.15
COLOURED = 0.02
#: how often noise is that of photons
PHOTONS = 0.5
#: how often a grey image has noise of its own in each colour, as colour cameras make it
COLOUR_CAMERA = 0.2


def augment(
    image: Tensor,
    labels: Tensor,
    semantic: Tensor | None,
    config: AugmentConfig,
    generator: np.random.Generator,
    areas: Tensor | None = None,
    places: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut a random crop and change it at random.

    Parameters
    ----------
    image : Tensor
        Float C×H×W in [0, 1], C = 1 (grey) or 3.
    labels : Tensor
        int32 H×W, ids 1..N.
    semantic : Tensor or None
        uint8 H×W with 255 = ignore; ``labels > 0`` if None.
    config : AugmentConfig
        Size and strengths.
    generator : numpy.random.Generator
        The only source of chance.
    areas : Tensor, optional
        Area of each id in the whole image (``areas[id]``); counted here if absent, which takes time on large images.
    places : Tensor, optional
        int64 K×2 (row, column): the crop is laid around one of these pixels; anywhere if absent.

    Returns
    -------
    image : Tensor
        float32 3×crop×crop in [0, 1], 0 where the image ended.
    labels : Tensor
        int32 crop×crop. Nuclei of which less than 15 % or fewer than 4 pixels are in the crop become background.
    semantic : Tensor
        uint8 crop×crop, 255 on such nuclei and where the image ended.
    """
    areas = torch.bincount(labels.flatten()) if areas is None else areas
    semantic = (labels > 0).byte() if semantic is None else semantic
    window, size, padding = _place(labels.shape, config, generator, places)
    image, labels, semantic = _noisy(image[:, *window].float(), config, generator), labels[window], semantic[window]
    visible = torch.bincount(labels.flatten(), minlength=len(areas)) / areas.clamp(min=1)
    image, labels, semantic = _resize(image, size), _nearest(labels, size), _nearest(semantic, size)
    labels, semantic = _drop_slivers(labels, semantic, visible)
    image = _intensities(image, config, generator).expand(3, -1, -1)
    maps = F.pad(image, padding), F.pad(labels, padding), F.pad(semantic, padding, value=IGNORE)
    image, labels, semantic = _turn(maps, config, generator)
    return image, labels, semantic


def _place(
    shape: torch.Size, config: AugmentConfig, generator: np.random.Generator, places: Tensor | None = None
) -> tuple[tuple[slice, slice], list[int], list[int]]:
    """Choose zoom and place: window in the image, its size after the zoom, padding (left, right, top, bottom)."""
    zoom = math.exp(generator.uniform(*np.log(config.scale)))
    side = max(1, round(config.crop / zoom))
    windows: list[slice] = []
    size: list[int] = []
    padding: list[int] = []
    place = None if places is None else places[int(generator.integers(len(places)))].tolist()
    for axis, length in enumerate(shape):
        lowest, highest = min(0, length - side), max(0, length - side)
        if place is not None:  # the pixel lies in the middle half of the crop, if the image is large enough
            around = [int(np.clip(place[axis] - part * side // 4, lowest, highest)) for part in (3, 1)]
            lowest, highest = around[0], around[1]
        start = int(generator.integers(lowest, highest + 1))
        first, last = max(0, start), min(length, start + side)
        windows.append(slice(first, last))
        size.append(min(config.crop, max(1, round((last - first) * config.crop / side))))
        before = min(round((first - start) * config.crop / side), config.crop - size[-1])
        padding = [before, config.crop - size[-1] - before, *padding]
    return (windows[0], windows[1]), size, padding


def _resize(image: Tensor, size: list[int]) -> Tensor:
    if list(image.shape[1:]) == size:
        return image
    resized: Tensor = V.resize(image, size, InterpolationMode.BILINEAR, antialias=True)
    return resized


def _nearest(labels: Tensor, size: list[int]) -> Tensor:
    """Take the nearest pixel centre: the same sampling points as bilinear, and exact for every id."""
    rows, columns = (((torch.arange(n) + 0.5) * (old / n)).long() for n, old in zip(size, labels.shape, strict=True))
    return labels[rows[:, None], columns]


def _drop_slivers(labels: Tensor, semantic: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    count = torch.bincount(labels.flatten(), minlength=len(visible))
    sliver = (visible < SMALLEST_FRACTION) | (count < SMALLEST_AREA)
    sliver[0] = False
    drop = sliver[labels.long()]
    return labels.masked_fill(drop, 0), semantic.masked_fill(drop, IGNORE)


def _intensities(image: Tensor, config: AugmentConfig, generator: np.random.Generator) -> Tensor:
    """Change C×h×w in [0, 1]; grey stays grey."""
    coloured = _is_coloured(image)
    if coloured and config.grey and generator.random() < config.grey:
        image, coloured = V.rgb_to_grayscale(image), False
    image = image if coloured else image[:1]
    if coloured and config.hue and generator.random() < config.hue:
        image = V.adjust_hue(image, generator.uniform(-0.5, 0.5))
    if config.stain and coloured:
        image = V.adjust_saturation(image, max(0.0, 1 + generator.uniform(-config.stain, config.stain)))
        image = V.adjust_hue(image, float(np.clip(generator.uniform(-config.stain, config.stain) / 4, -0.5, 0.5)))
    if config.invert and not coloured and generator.random() < config.invert:
        image = 1 - image
    if config.intensity:
        brightness, contrast = np.maximum(0, 1 + generator.uniform(-config.intensity, config.intensity, 2))
        image = V.adjust_contrast(V.adjust_brightness(image, float(brightness)), float(contrast))
    if config.gamma:
        image = image.clamp(0, 1) ** 2.0 ** generator.uniform(-config.gamma, config.gamma)
    if config.blur:
        image = _blur(image, config.blur * generator.random() ** 2)
    return image.clamp(0, 1)


def _is_coloured(image: Tensor) -> bool:
    return len(image) == 3 and bool((image.amax(0) - image.amin(0)).mean() > COLOURED)


def _noisy(image: Tensor, config: AugmentConfig, generator: np.random.Generator) -> Tensor:
    """Add noise before any zoom, as cameras do: of a detector, or of photons, strongest where the image is bright."""
    if not config.noise:
        return image
    each = _is_coloured(image) or generator.random() < COLOUR_CAMERA
    shape = (3 if each else 1, *image.shape[1:])
    sigma = config.noise * float(generator.random()) ** 2
    noise = torch.from_numpy(generator.standard_normal(shape, np.float32)) * sigma
    image = image.clamp(0, 1)
    return (image + (noise * image.sqrt() if generator.random() < PHOTONS else noise)).clamp(0, 1)


def _blur(image: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(2.5 * sigma)
    if sigma < 0.2 or radius >= min(image.shape[1:]):
        return image
    blurred: Tensor = V.gaussian_blur(image, [2 * radius + 1] * 2, [sigma] * 2)
    return blurred


def _turn(maps: tuple[Tensor, Tensor, Tensor], config: AugmentConfig, generator: np.random.Generator) -> list[Tensor]:
    axes = [
        axis
        for axis, chance in ((-1, config.horizontal_flip), (-2, config.vertical_flip))
        if chance and generator.random() < chance
    ]
    turns = int(generator.integers(4)) if config.quarter_turns else 0
    return [torch.rot90(m.flip(axes), turns, (-2, -1)).contiguous() for m in maps]
