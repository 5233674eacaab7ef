import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from napari_pffnet.model.pooling import Cells, RegionPool, _sum_by_column, weighted_sum

HEIGHT, WIDTH, CHANNELS = 128, 192, 8


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return [torch.randn(2, CHANNELS, HEIGHT >> level, WIDTH >> level) for level in (2, 3, 4, 5)]


def boxes(count):
    """Of every size, inside, across and beyond the border, one without area."""
    centres = torch.rand(count, 2) * torch.tensor([WIDTH, HEIGHT])
    half = torch.rand(count, 2) * torch.tensor([2.0, 20, 100])[torch.arange(count) % 3, None]
    half[0] = 0
    return torch.cat([centres - half, centres + half], 1)


def by_torchvision(maps, places, size):
    named = {str(i): m for i, m in enumerate(maps)}
    return MultiScaleRoIAlign(list(named), size, sampling_ratio=2)(named, places, [(HEIGHT, WIDTH)] * 2)


@pytest.mark.parametrize("size", [7, 14])
def test_pooling_and_its_gradient_equal_torchvisions(maps, size):
    places = [boxes(60), boxes(45)]
    ours, theirs = ([m.clone().requires_grad_() for m in maps] for _ in range(2))
    pooled = RegionPool(size)(Cells.of(ours), places)
    expected = by_torchvision(theirs, places, size)
    torch.testing.assert_close(pooled, expected, atol=1e-4, rtol=0)
    weights = torch.randn_like(expected)
    for result in (pooled, expected):
        (result * weights).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-3, rtol=0)


def test_no_regions(maps):
    none = torch.zeros(0, 4)
    assert RegionPool(7)(Cells.of(maps), [none, none]).shape == (0, CHANNELS, 7, 7)


def test_a_box_that_is_no_number_does_no_harm(maps):
    assert torch.isfinite(RegionPool(7)(Cells.of(maps), [torch.full((1, 4), torch.nan), boxes(3)])).all()


def test_short_floats_are_rounded_once(maps):
    places = [boxes(20), boxes(20)]
    short = [m.bfloat16() for m in maps]
    exact = RegionPool(7)(Cells.of([m.float() for m in short]), places)
    assert torch.equal(RegionPool(7)(Cells.of(short), places), exact.bfloat16())


def test_both_ways_of_summing_agree(maps):
    table = Cells.of(maps).values
    places, weights = torch.randint(len(table), (5, 16)), torch.rand(5, 16)
    torch.testing.assert_close(weighted_sum(table, places, weights), _sum_by_column(table, places, weights))
