"""Dual-modal mask head and its loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_pffnet.model.layers import conv_norm
from napari_pffnet.model.losses import image_mean
from napari_pffnet.model.regions import MaskTargets


class DoubleSize(nn.Module):
    """Pixel shuffle by 2, also for an empty batch (whose gradient `nn.PixelShuffle` refuses): N×4C×h×w -> N×C×2h×2w."""

    def forward(self, x: Tensor) -> Tensor:
        """Interleave four channels into 2×2 pixels."""
        n, c, h, w = x.shape
        return x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)


class DualModalMaskHead(nn.Module):
    """Mask logits from a convolutional and a dense view of the same features (paper, section III-C).

    The convolutional modality applies the fourth convolution a second time; the dense one sees the whole region through
    a fully connected layer, and its one map is added to each class.

    Shapes: N×C×14×14 -> N×K×28×28 logits.
    """

    def __init__(self, inputs: int, channels: int, num_classes: int, dual_modal: bool) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv_norm(inputs, channels), *[conv_norm(channels, channels) for _ in range(3)])
        self.up = nn.Sequential(nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.ReLU(), DoubleSize())
        self.logits = nn.Conv2d(channels, num_classes, 1)
        self.dense = (
            nn.Sequential(
                conv_norm(channels, channels),
                conv_norm(channels, channels // 2),
                nn.Flatten(),
                nn.Linear(channels // 2 * 14 * 14, 28 * 28),
                nn.ReLU(),
                nn.Unflatten(1, (1, 28, 28)),
            )
            if dual_modal
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return mask logits."""
        x = self.convs(x)
        masks: Tensor = self.logits(self.up(self.convs[3](x)))
        return masks if self.dense is None else masks + self.dense(x)


def of_class(masks: Tensor, labels: Tensor) -> Tensor:
    """Pick the map of each region's class: N×K×S×S, N -> N×S×S."""
    return masks[torch.arange(len(masks), device=masks.device), labels]


def mask_loss(logits: Tensor, truth: MaskTargets, counts: list[int]) -> Tensor:
    """Binary cross-entropy of the true class's map (M×28×28 logits) over cells that are not ignored."""
    cells = F.binary_cross_entropy_with_logits(logits.float(), truth.masks, reduction="none") * truth.valid
    return image_mean(cells.sum((1, 2)) / truth.valid.sum((1, 2)).clamp(min=1), counts)
