"""Distillation: the network in training is held to the features of the model it comes from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_pffnet.data.targets import Target
from napari_pffnet.model import PFFNet

LOSS = "loss_distillation"


class Student(nn.Module):
    """A network with one more loss: how far its pyramid's features are from its teacher's.

    Parameters
    ----------
    network : PFFNet
        In training.
    teacher : PFFNet
        The model it comes from, on the same device; it does not change.
    weight : float
        Weight of the loss: the mean over the levels of squared differences, relative to the teacher's mean square.
    """

    def __init__(self, network: PFFNet, teacher: PFFNet, weight: float) -> None:
        super().__init__()
        self.network = network
        self._teacher = [teacher.eval()]  # in a list: no part of this module
        self.weight = weight

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Return all losses of the batch."""
        features = self.network.encode(images)
        losses = self.network.losses(features, targets)
        with torch.no_grad():
            wanted = self._teacher[0].encode(images).pyramid
        parts = [
            (features.pyramid[level] - value).square().mean() / value.square().mean().clamp(min=1e-6)
            for level, value in wanted.items()
        ]
        return {**losses, LOSS: self.weight * torch.stack(parts).mean()}
