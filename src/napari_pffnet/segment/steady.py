"""Norms that see all tiles of an image through the same statistics.

The group norms of the pyramid and the semantic branch divide by the spread of the map that they are given, so that a
nucleus would look different in a tile with other nuclei around it. Their statistics are measured once, on places spread
over the image, and used for all its tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from napari_pffnet.model.layers import GroupNorm32, norms_replaced

PARTS = ("fpn", "semantic_branch")
Statistics = dict[str, tuple[Tensor, Tensor]]


def whole_map_norms(network: nn.Module) -> dict[str, GroupNorm32]:
    """Return the group norms whose statistics depend on the whole tile, by name; those of regions do not."""
    found = {}
    for part in PARTS:
        for name, module in getattr(network, part, nn.Identity()).named_modules():
            if isinstance(module, GroupNorm32):
                found[f"{part}.{name}"] = module
    return found


def measure(network: nn.Module, run: Callable[[], object]) -> Statistics:
    """Run the network on a batch of places as on one image; return mean and variance of each norm's groups."""
    names = {norm: name for name, norm in whole_map_norms(network).items()}
    found: Statistics = {}

    def watched(norm: GroupNorm32, x: Tensor) -> Tensor:
        if norm not in names:
            return nn.GroupNorm.forward(norm, x)
        groups = x.float().unflatten(1, (norm.num_groups, -1)).transpose(0, 1).flatten(1)
        found[names[norm]] = (groups.mean(1), groups.var(1, correction=0))
        return _applied(x, *_gain_and_offset(norm, *found[names[norm]]))

    with norms_replaced(watched):
        run()
    return found


@contextmanager
def steady(network: nn.Module, statistics: Statistics) -> Iterator[None]:
    """Let the norms use these statistics instead of their map's own, in this thread, until the end of the block."""
    norms = {norm: name for name, norm in whole_map_norms(network).items() if name in statistics}
    known = {norm: _gain_and_offset(norm, *statistics[name]) for norm, name in norms.items()}

    def fixed(norm: GroupNorm32, x: Tensor) -> Tensor:
        return _applied(x, *known[norm]) if norm in known else nn.GroupNorm.forward(norm, x)

    with norms_replaced(fixed):
        yield


def _gain_and_offset(norm: GroupNorm32, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    mean, variance = (values.to(norm.weight.device) for values in (mean, variance))
    each = norm.num_channels // norm.num_groups
    gain = norm.weight * (variance + norm.eps).rsqrt().repeat_interleave(each)
    return gain, norm.bias - mean.repeat_interleave(each) * gain


def _applied(x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    there, by = (values.view(-1, 1, 1).to(x.device) for values in (offset, gain))
    return torch.addcmul(there, x.float(), by).to(x.dtype)
