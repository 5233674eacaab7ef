import numpy as np
import pytest
import torch
from skimage.color import hed2rgb, rgb2hed

from napari_pffnet.config import AugmentConfig
from napari_pffnet.data.immunostain import immunostain
from napari_pffnet.data.transforms import augment

SIDE = 64


@pytest.fixture
def labels():
    labels = torch.zeros(SIDE, SIDE, dtype=torch.int32)
    for index in range(16):
        row, column = 16 * (index // 4) + 6, 16 * (index % 4) + 3
        labels[row : row + 10, column : column + 10] = index + 1
    return labels


@pytest.fixture
def tissue(labels):
    """Nuclei in hematoxylin on eosin, with a strip of bare glass."""
    stains = np.zeros((SIDE, SIDE, 3))
    stains[..., 0], stains[..., 1] = 0.15 * (labels.numpy() > 0), 0.06 * (labels.numpy() == 0)
    stains[:5] = 0
    return torch.from_numpy(np.moveaxis(hed2rgb(stains), 2, 0)).float()


def stains_of(image):
    return np.moveaxis(rgb2hed(np.moveaxis(image.numpy(), 0, 2)), 2, 0)


def draws(image, labels, count=60):
    return [immunostain(image, labels, np.random.default_rng(seed)) for seed in range(count)]


def test_colours_are_numbers_in_their_range_even_of_black(tissue, labels):
    for image in (tissue, torch.zeros_like(tissue), torch.ones_like(tissue)):
        for stained in draws(image, labels, 10):
            assert stained.shape == image.shape
            assert stained.dtype == image.dtype
            assert stained.amin() >= 0
            assert stained.amax() <= 1


def test_glass_stays_clear(tissue, labels):
    for stained in draws(tissue, labels):
        assert stained[:, 0].amin() > 0.95


def test_one_seed_makes_one_image(tissue, labels):
    first, again, other = (immunostain(tissue, labels, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_brown_lies_around_nuclei_or_in_some_of_them_and_eosin_goes(tissue, labels):
    nuclei, around = labels > 0, labels == 0
    around[:8] = False
    in_some, outside = 0, 0
    before = stains_of(tissue)[1][around].mean()
    for stained in draws(tissue, labels):
        _, eosin, dab = stains_of(stained)
        brown = np.array([dab[labels == index].mean() for index in range(1, 17)]) > 0.03
        in_some += bool(brown.any() and not brown.all() and dab[around].mean() < 0.03)
        outside += bool(dab[around].max() > 0.05 and dab[around].mean() > dab[nuclei].mean())
        assert eosin[around].mean() < 0.75 * before
    assert in_some > 5
    assert outside > 5


def test_only_images_of_colour_are_stained(tissue, labels):
    config = AugmentConfig(crop=SIDE, horizontal_flip=0, vertical_flip=0, dab=1.0)
    crop, found, _ = augment(tissue, labels, None, config, np.random.default_rng(0))
    assert (crop - tissue).abs().mean() > 0.02
    assert torch.equal(found, labels), "nuclei stay where they are"
    grey = tissue.mean(0, keepdim=True)
    crop, _, _ = augment(grey, labels, None, config, np.random.default_rng(0))
    torch.testing.assert_close(crop, grey.expand(3, -1, -1))
