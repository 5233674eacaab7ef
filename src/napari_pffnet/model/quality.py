"""Mask-quality head: how well a predicted mask fits, estimated without the truth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_pffnet.model.layers import PreciseLinear, conv_norm, linear_norm
from napari_pffnet.model.regions import MaskTargets


class MaskQualityHead(nn.Module):
    """Predicts ½·IoU + ½·Dice of a mask (paper, section III-D; after Mask Scoring R-CNN, Huang et al., CVPR 2019).

    Shapes: region features N×C×14×14, mask probabilities N×28×28 -> N×K.
    """

    def __init__(self, inputs: int, channels: int, fc_channels: int, num_classes: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_norm(inputs + 4, channels),
            conv_norm(channels, channels),
            conv_norm(channels, channels),
            conv_norm(channels, channels, stride=2),
        )
        self.fc1 = linear_norm(channels * 7 * 7, fc_channels)
        self.fc2 = linear_norm(fc_channels, fc_channels)
        self.quality = PreciseLinear(fc_channels, num_classes)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Return the quality of each class's mask; the 28×28 mask enters as four 14×14 channels, by reshaping."""
        x = torch.cat([features, masks.reshape(-1, 4, 14, 14).to(features.dtype)], 1)
        quality: Tensor = self.quality(self.fc2(self.fc1(self.convs(x).flatten(1))))
        return quality


def measured_quality(masks: Tensor, truth: MaskTargets) -> Tensor:
    """½·IoU + ½·Dice of masks (M×28×28 bool) against whole objects, also their parts outside the boxes: M."""
    predicted = masks.flatten(1).float().sum(1)
    common = (masks * truth.masks).flatten(1).sum(1)
    both = predicted + truth.area
    return 0.5 * common / (both - common).clamp(min=1e-6) + common / both.clamp(min=1e-6)


def quality_loss(predicted: Tensor, measured: Tensor, counts: list[int]) -> Tensor:
    """½·squared error, mean over the regions of each image whose measured quality is above 0."""
    used = measured > 0
    errors = 0.5 * (predicted.float() - measured).square() * used
    parts = zip(errors.split(counts), used.split(counts), strict=True)
    return torch.stack([error.sum() / kept.sum().clamp(min=1) for error, kept in parts]).mean()
