"""Sampling label maps in boxes: mask targets, ignored areas and the pixels that boxes cover.

All of it works from H×W maps; no N×H×W stack of masks is ever made.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_pffnet.labels import IGNORE

IGNORED_AREA = 0.3
CELLS = 28
# Odd: with 2×2 samples a cell half covered counted as object, and the masks learnt were a quarter of a cell too wide.
SAMPLES = 3


class MaskTargets(NamedTuple):
    """Truth for M boxes: `masks` M×S×S in {0, 1}, `valid` M×S×S bool, `area` M: the whole object in mask cells."""

    masks: Tensor
    valid: Tensor
    area: Tensor


def sample_map(values: Tensor, boxes: Tensor, cells: int) -> Tensor:
    """Sample an H×W map at the centres of a cells×cells grid in each box, nearest pixel: M×cells×cells."""
    height, width = values.shape
    steps = (torch.arange(cells, device=boxes.device) + 0.5) / cells
    x0, y0, x1, y1 = boxes.unbind(1)
    x = (x0[:, None] + (x1 - x0)[:, None] * steps).long().clamp(0, width - 1)
    y = (y0[:, None] + (y1 - y0)[:, None] * steps).long().clamp(0, height - 1)
    return values[y[:, :, None], x[:, None, :]]


def mask_targets(instances: Tensor, semantic: Tensor, boxes: Tensor, rows: Tensor) -> MaskTargets:
    """Cut the object of each box out of the instance map, on 28×28 cells; each is what most of its 3×3 samples are.

    Parameters
    ----------
    instances : Tensor
        int32 H×W; object of row i has id i + 1.
    semantic : Tensor
        uint8 H×W; 255 is ignored.
    boxes : Tensor
        float32 M×4, xyxy in pixels, inside the image.
    rows : Tensor
        int64 M, the object that belongs to each box.
    """
    inside = sample_map(instances, boxes, SAMPLES * CELLS) == (rows + 1)[:, None, None]
    ignored = sample_map(semantic, boxes, SAMPLES * CELLS) == IGNORE
    masks = _means(inside) > 0.5
    valid = _means(ignored) < 0.5
    areas = torch.bincount(instances.flatten().long())
    box_area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=1e-6)
    whole = areas[rows + 1] / box_area * CELLS * CELLS
    return MaskTargets(masks.float(), valid, torch.maximum(whole, masks.flatten(1).sum(1).float()))


def _means(samples: Tensor) -> Tensor:
    """Mean of the samples of each cell: M×3S×3S -> M×S×S."""
    return F.avg_pool2d(samples.float()[:, None], SAMPLES)[:, 0]


def mostly_ignored(boxes: Tensor, semantic: Tensor) -> Tensor:
    """Tell which boxes (M×4) have more than 30 % of their area on ignored pixels (255) of `semantic`: M bool."""
    ignored = semantic == IGNORE
    if ignored.device.type == "cpu" and not bool(ignored.any()):  # a GPU would have to be waited for
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    height, width = semantic.shape
    integral = F.pad(ignored.int().cumsum(0).cumsum(1), (1, 0, 1, 0))
    x0, x1 = (boxes[:, i].round().long().clamp(0, width) for i in (0, 2))
    y0, y1 = (boxes[:, i].round().long().clamp(0, height) for i in (1, 3))
    count = integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0]
    return count > IGNORED_AREA * ((x1 - x0) * (y1 - y0)).clamp(min=1)


def clip_to_pixels(boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Clip boxes (…×4) to an image of (height, width); one that lies outside keeps a pixel at the border."""
    height, width = shape
    x0, y0, x1, y1 = boxes.unbind(-1)
    sides = (x0.clamp(0, width - 1), y0.clamp(0, height - 1), x1.clamp(1, width), y1.clamp(1, height))
    return torch.stack(sides, -1)


class BoxPixels(NamedTuple):
    """The pixels of all boxes, one after the other: `box` row, `y`, `x`, each int64 T."""

    box: Tensor
    y: Tensor
    x: Tensor


def box_pixels(boxes: Tensor) -> BoxPixels:
    """Enumerate the pixels of int64 M×4 half-open boxes without a loop over boxes."""
    x0, y0, x1, y1 = boxes.unbind(1)
    width, area = x1 - x0, (x1 - x0) * (y1 - y0)
    box = torch.repeat_interleave(torch.arange(len(boxes), device=boxes.device), area)
    first = area.cumsum(0) - area
    offset = torch.arange(len(box), device=boxes.device) - first[box]
    rows = torch.div(offset, width[box], rounding_mode="floor")
    return BoxPixels(box, y0[box] + rows, x0[box] + offset - rows * width[box])


def resize_into(masks: Tensor, boxes: Tensor, pixels: BoxPixels) -> Tensor:
    """Bilinear value of ``interpolate(mask, size of its box)`` at each of `pixels`: M×K×S×S -> T×K."""
    size = masks.shape[-1]
    x0, y0, x1, y1 = boxes[pixels.box].unbind(1)
    sx = ((pixels.x - x0 + 0.5) * size / (x1 - x0) - 0.5).clamp(0, size - 1)
    sy = ((pixels.y - y0 + 0.5) * size / (y1 - y0) - 0.5).clamp(0, size - 1)
    left, top = sx.long(), sy.long()
    right, bottom = (left + 1).clamp(max=size - 1), (top + 1).clamp(max=size - 1)
    fx, fy = (sx - left)[:, None], (sy - top)[:, None]
    upper = masks[pixels.box, :, top, left] * (1 - fx) + masks[pixels.box, :, top, right] * fx
    lower = masks[pixels.box, :, bottom, left] * (1 - fx) + masks[pixels.box, :, bottom, right] * fx
    return upper * (1 - fy) + lower * fy
