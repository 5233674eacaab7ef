"""Small layers that every part of the network shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

Norm = Callable[["GroupNorm32", Tensor], Tensor]
_instead: ContextVar[Norm | None] = ContextVar("instead", default=None)


class GroupNorm32(nn.GroupNorm):
    """GroupNorm of 32 groups.

    Parameters
    ----------
    channels : int
        A multiple of 32.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(32, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise N×C×...; see `norms_replaced`."""
        other = _instead.get()
        return super().forward(x) if other is None else other(self, x)


@contextmanager
def norms_replaced(norm: Norm) -> Iterator[None]:
    """Call `norm` in place of every `GroupNorm32`, in this thread only, until the end of the block."""
    before = _instead.set(norm)
    try:
        yield
    finally:
        _instead.reset(before)


def conv_norm(inputs: int, outputs: int, *, stride: int = 1) -> Conv2dNormActivation:
    """3×3 convolution without bias, GroupNorm of 32 groups, ReLU; size kept at stride 1."""
    return Conv2dNormActivation(inputs, outputs, 3, stride, norm_layer=GroupNorm32)


def linear_norm(inputs: int, outputs: int) -> nn.Sequential:
    """Fully connected layer without bias, GroupNorm of 32 groups, ReLU."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), GroupNorm32(outputs), nn.ReLU(inplace=True))


class PreciseLinear(nn.Linear):
    """Fully connected layer that computes with float32 under autocast too: for last results, which are ordered."""

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C to N×K."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class UpsampledConv(nn.Conv2d):
    """Nearest upsampling by `factor` followed by a 3x3 convolution with zero padding, without the wide full-size map.

    Nearest upsampling commutes with 1x1 convolutions, so each of the nine taps is applied at low resolution and only
    its few output channels are upsampled, shifted and added. The result is that of ``conv(upsample(x))``.

    Shapes: N×C×h×w -> N×K×(factor·h)×(factor·w).
    """

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3, padding=1)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Apply to a feature map."""
        taps = self.weight.permute(2, 3, 0, 1).reshape(9 * self.out_channels, self.in_channels, 1, 1)
        maps = F.interpolate(F.conv2d(x, taps), scale_factor=self.factor, mode="nearest")
        height, width = maps.shape[-2:]
        maps = F.pad(maps, (1, 1, 1, 1)).unflatten(1, (9, self.out_channels))
        shifted = [maps[:, t, :, t // 3 : t // 3 + height, t % 3 : t % 3 + width] for t in range(9)]
        return torch.stack(shifted).sum(0) + self.bias.view(1, -1, 1, 1)
