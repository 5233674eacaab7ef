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

PARTS = ("fpn", "semantic_branch")
Statistics = dict[str, tuple[Tensor, Tensor]]
Forward = Callable[[Tensor], Tensor]


def whole_map_norms(network: nn.Module) -> dict[str, nn.GroupNorm]:
    """Return the group norms whose statistics depend on the whole tile, by name; those of regions do not."""
    found = {}
    for part in PARTS:
        for name, module in getattr(network, part, nn.Identity()).named_modules():
            if isinstance(module, nn.GroupNorm):
                found[f"{part}.{name}"] = module
    return found


def measure(network: nn.Module, run: Callable[[], object]) -> Statistics:
    """Run the network on a batch of places as on one image; return mean and variance of each norm's groups."""
    found: Statistics = {}

    def watched(name: str, norm: nn.GroupNorm) -> Forward:
        def forward(x: Tensor) -> Tensor:
            groups = x.float().unflatten(1, (norm.num_groups, -1)).transpose(0, 1).flatten(1)
            found[name] = (groups.mean(1), groups.var(1, correction=0))
            return _fixed(norm, *found[name])(x)

        return forward

    with _instead(whole_map_norms(network), watched):
        run()
    return found


@contextmanager
def steady(network: nn.Module, statistics: Statistics) -> Iterator[None]:
    """Let the norms use these statistics instead of their map's own, until the end of the block."""

    def fixed(name: str, norm: nn.GroupNorm) -> Forward:
        return _fixed(norm, *statistics[name])

    norms = whole_map_norms(network) if statistics else {}
    with _instead({name: norm for name, norm in norms.items() if name in statistics}, fixed):
        yield


def _fixed(norm: nn.GroupNorm, mean: Tensor, variance: Tensor) -> Forward:
    mean, variance = (values.to(norm.weight.device) for values in (mean, variance))
    each = norm.num_channels // norm.num_groups
    gain = norm.weight * (variance + norm.eps).rsqrt().repeat_interleave(each)
    offset = norm.bias - mean.repeat_interleave(each) * gain

    def forward(x: Tensor) -> Tensor:
        there, by = (values.view(-1, 1, 1).to(x.device) for values in (offset, gain))
        return torch.addcmul(there, x.float(), by).to(x.dtype)

    return forward


@contextmanager
def _instead(norms: dict[str, nn.GroupNorm], make: Callable[[str, nn.GroupNorm], Forward]) -> Iterator[None]:
    try:
        for name, norm in norms.items():
            vars(norm)["forward"] = make(name, norm)
        yield
    finally:
        for norm in norms.values():
            vars(norm).pop("forward", None)
