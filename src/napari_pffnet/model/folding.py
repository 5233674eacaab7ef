"""Frozen normalisation without passes of its own over the maps."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d


class FoldedConv(nn.Conv2d):
    """Convolution that applies the frozen normalisation after it with its own weights; see `fold_frozen_norms`."""

    norm: tuple[FrozenBatchNorm2d]

    def forward(self, x: Tensor) -> Tensor:
        """Convolution and normalisation in one pass over the map."""
        norm = self.norm[0]
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shift = norm.bias - norm.running_mean * scale
        y: Tensor = self._conv_forward(x, self.weight * scale.view(-1, 1, 1, 1), shift)
        return y


class FoldedNorm(FrozenBatchNorm2d):
    """Frozen normalisation that the convolution before it applies; only its numbers live here."""

    def forward(self, x: Tensor) -> Tensor:
        """Nothing is left to do."""
        return x


def fold_frozen_norms(module: nn.Module) -> None:
    """Let each convolution of `module` apply the frozen normalisation that follows it; names and weights stay."""
    for parent in module.modules():
        for conv, norm in pairwise(parent.children()):
            if type(conv) is nn.Conv2d and type(norm) is FrozenBatchNorm2d and conv.bias is None:
                conv.__class__, norm.__class__ = FoldedConv, FoldedNorm
                conv.__dict__["norm"] = (norm,)  # no child of the convolution: the parent alone owns it
