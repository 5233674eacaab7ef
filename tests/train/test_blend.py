"""Weights between two models."""

import torch

from helpers import tiny
from napari_pffnet.model import PFFNet
from napari_pffnet.train.blend import blend, choose_part


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


def test_the_least_change_that_is_good_enough_is_chosen():
    base, trained = pair()
    values = iter([0.50, 0.595, 0.60, 0.58])  # of 25, 50, 75 and 100 %
    part, scores = choose_part(base, trained, lambda _: next(values), 0.01)
    assert part == 0.5
    assert scores == {0.25: 0.50, 0.5: 0.595, 0.75: 0.60, 1.0: 0.58}
