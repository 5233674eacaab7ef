"""The two semantic maps: the FPN's and the semantic branch's (RGCN)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from napari_pffnet.model.layers import GroupNorm32


class LargeKernel(nn.Module):
    """Global convolutional block: 5x1 then 1x5, plus 1x5 then 5x1 (paper, section III-B; Peng et al., CVPR 2017)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            nn.Conv2d(inputs, outputs, (5, 1), padding=(2, 0)), nn.Conv2d(outputs, outputs, (1, 5), padding=(0, 2))
        )
        self.right = nn.Sequential(
            nn.Conv2d(inputs, outputs, (1, 5), padding=(0, 2)), nn.Conv2d(outputs, outputs, (5, 1), padding=(2, 0))
        )

    def forward(self, x: Tensor) -> Tensor:
        """N×C×h×w -> N×outputs×h×w."""
        y: Tensor = self.left(x) + self.right(x)
        return y


class Residual(nn.Module):
    """``x + GN(conv3x3(GN(conv3x3(x))))``, no activation; without norms ``x + conv3x3(ReLU(conv3x3(x)))``."""

    def __init__(self, channels: int, *, normed: bool) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1, bias=not normed) for _ in range(2))
        self.block = (
            nn.Sequential(first, GroupNorm32(channels), second, GroupNorm32(channels))
            if normed
            else nn.Sequential(first, nn.ReLU(), second)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Size and channels kept."""
        y: Tensor = x + self.block(x)
        return y


class SemanticBranch(nn.Module):
    """Residual global convolutional network (RGCN) on C2..C5.

    Shapes: [N×C_l×h_l×w_l] -> logits N×K×H×W, with H×W four times the size of C2.
    """

    def __init__(self, inputs: list[int], channels: int, num_classes: int, *, normed: bool = True) -> None:
        super().__init__()
        self.large_kernels = nn.ModuleList(LargeKernel(c, channels) for c in inputs)
        self.residuals = nn.ModuleList(Residual(channels, normed=normed) for _ in inputs)
        self.top_downs = nn.ModuleList(Residual(channels, normed=normed) for _ in inputs[1:])
        self.head = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """C2..C5 to logits at image size."""
        laterals = [r(g(c)) for r, g, c in zip(self.residuals, self.large_kernels, maps, strict=True)]
        top = laterals.pop()
        for smooth in reversed(self.top_downs):
            top = smooth(laterals.pop() + F.interpolate(top, scale_factor=2, mode="nearest"))
        return F.interpolate(self.head(top), scale_factor=4, mode="nearest")
