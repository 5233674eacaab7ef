"""Weights between two models."""

import torch

from helpers import tiny
from napari_pffnet.model import PFFNet
from napari_pffnet.train.blend import blend


def pair():
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(PFFNet(tiny()))
    return networks


def test_a_blend_lies_between_its_ends_and_changes_neither():
    base, trained = pair()
    before = [p.clone() for p in (*base.parameters(), *trained.parameters())]
    mixed = blend(base, trained, 0.25)
    for low, high, value in zip(base.parameters(), trained.parameters(), mixed.parameters(), strict=True):
        assert torch.allclose(value, 0.75 * low + 0.25 * high, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(before, (*base.parameters(), *trained.parameters()), strict=True))
