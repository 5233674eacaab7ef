"""Losses of the semantic maps, and how every loss is averaged.

Each loss is the mean over the images of a batch of that image's own mean. So a batch, the same images accumulated one
by one and the same images spread over several processes give the same gradient, and a batch of one is the published
loss. Pixels marked 255 count in none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_pffnet.labels import IGNORE


def image_mean(values: Tensor, counts: list[int]) -> Tensor:
    """Mean over images of the mean of their values (R,); `counts` says how many belong to each. No values: 0."""
    return torch.stack([part.sum() / max(len(part), 1) for part in values.split(counts)]).mean()


def map_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over images of the mean of their valid pixels, both N×H×W. No valid pixel: 0."""
    return ((values * valid).sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)).mean()


def semantic_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of N×K×H×W logits against int64 N×H×W classes."""
    return map_mean(F.cross_entropy(logits.float(), truth, ignore_index=IGNORE, reduction="none"), truth != IGNORE)


def consistency_loss(branch: Tensor, fused: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error between the class probabilities of both maps (N×K×H×W logits)."""
    difference = branch.float().softmax(1) - fused.float().softmax(1)
    return map_mean(difference.square().mean(1), truth != IGNORE)
