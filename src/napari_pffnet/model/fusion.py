"""Residual attention feature fusion: predicted masks sharpen the FPN's semantic map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_pffnet.model.regions import BoxPixels, box_pixels, resize_into

PIXELS_AT_ONCE = 4_000_000


class AttentionFusion(nn.Module):
    """Multiply each box's part of the semantic map by 1 + sigmoid(its mask), then mix (paper, section III-E).

    With `attention` off the resized logits replace the box's part, a later box over an earlier one.

    Shapes: one image's semantic logits K×H×W, boxes M×4, mask logits M×K×S×S -> K×H×W.
    """

    def __init__(self, num_classes: int, attention: bool) -> None:
        super().__init__()
        self.attention = attention
        self.conv3 = nn.Conv2d(num_classes, num_classes, 3, padding=1)
        self.conv1 = nn.Conv2d(num_classes, num_classes, 1)

    def forward(self, semantic: Tensor, boxes: Tensor, masks: Tensor) -> Tensor:
        """Fuse the masks of one image; float32 throughout, since many boxes may multiply one pixel."""
        with torch.autocast(semantic.device.type, enabled=False):
            semantic, masks = semantic.float(), masks.float()
            edges = _pixel_edges(boxes, semantic.shape[1], semantic.shape[2])
            merged = _amplify(semantic, edges, masks.detach()) if self.attention else _replace(semantic, edges, masks)
            fused: Tensor = self.conv1(self.conv3(merged.relu()[None]).relu())[0]
            return fused


def _pixel_edges(boxes: Tensor, height: int, width: int) -> Tensor:
    """Whole-pixel, half-open edges inside the image, at least one pixel long: int64 M×4."""
    x0, y0 = (boxes[:, i].round().long().clamp(0, size - 1) for i, size in ((0, width), (1, height)))
    x1 = torch.maximum(boxes[:, 2].round().long().clamp(max=width), x0 + 1)
    y1 = torch.maximum(boxes[:, 3].round().long().clamp(max=height), y0 + 1)
    return torch.stack([x0, y0, x1, y1], 1)


def _amplify(semantic: Tensor, boxes: Tensor, masks: Tensor) -> Tensor:
    classes, height, width = semantic.shape
    gain = torch.zeros(classes, height * width, device=semantic.device)
    for part in _parts(boxes):
        pixels = box_pixels(boxes[part])
        values = resize_into(masks[part], boxes[part], pixels).sigmoid().log1p()
        gain.index_add_(1, pixels.y * width + pixels.x, values.T)
    return semantic * gain.exp().view(classes, height, width)


def _replace(semantic: Tensor, boxes: Tensor, masks: Tensor) -> Tensor:
    classes, height, width = semantic.shape
    pixels: BoxPixels = box_pixels(boxes)
    values = resize_into(masks, boxes, pixels)
    place = pixels.y * width + pixels.x
    order = torch.arange(len(place), device=place.device)
    last = torch.full((height * width,), -1, device=place.device).scatter_reduce_(0, place, order, "amax")
    flat = semantic.flatten(1).clone()
    covered = torch.where(last >= 0)[0]
    flat[:, covered] = values[last[covered]].T
    return flat.view(classes, height, width)


def _parts(boxes: Tensor) -> list[slice]:
    """Runs of boxes whose areas sum to a bounded number of pixels (a single larger box stands alone)."""
    areas = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).tolist()
    starts, total = [0], 0
    for i, area in enumerate(areas):
        if total and total + area > PIXELS_AT_ONCE:
            starts.append(i)
            total = 0
        total += area
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(areas)], strict=True)]
