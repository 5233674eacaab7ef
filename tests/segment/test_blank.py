"""Blank background is known; nuclei never are taken for it."""

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from napari_pffnet.data.normalize import limits
from napari_pffnet.samples import rpe1, u2os
from napari_pffnet.segment.blank import is_blank
from napari_pffnet.synthetic import synthetic_nuclei

NOISE = 1000 + 250 * np.random.default_rng(0).standard_normal((128, 128))


@pytest.mark.parametrize("value", [0, 1000, 9000])
def test_flat_and_noisy_background_is_blank(value):
    assert is_blank(np.full((128, 128), value), (0, 9000), 24)
    assert is_blank(NOISE, (800, 11000), 24)


def test_one_faint_nucleus_is_not_blank():
    image, labels = synthetic_nuclei((128, 128), 1, seed=1)
    faint = np.where(labels > 0, NOISE + 0.1 * 10200, NOISE)
    assert not is_blank(faint, (800, 11000), 24)
    assert not is_blank(image, (800, 11000), 24)


@pytest.mark.parametrize("sample", [u2os, rpe1])
def test_no_tile_of_the_samples_with_a_nucleus_is_skipped(sample):
    image, labels = (layer[0] for layer in sample()[:2])
    bounds, seen = limits(image), 0
    for y in range(0, image.shape[0], 64):
        for x in range(0, image.shape[1], 64):
            place = slice(y, y + 64), slice(x, x + 64)
            if np.count_nonzero(labels[place]) > 100:
                seen += 1
                assert not is_blank(image[place], bounds, 24)
    assert seen > 10


def test_stained_tissue_is_not_blank_and_glass_is():
    tissue = immunohistochemistry()
    bounds = limits(tissue)
    assert not any(is_blank(tissue[y : y + 128, x : x + 128], bounds, 24) for y in (0, 256) for x in (0, 256))
    assert is_blank(np.full((128, 128, 3), 235, np.uint8), bounds, 24)


def test_faint_nuclei_in_little_noise_are_not_blank_and_slopes_of_light_are():
    _, labels = synthetic_nuclei((128, 128), 1, seed=1)
    noise = 1000 + 15 * np.random.default_rng(0).standard_normal((128, 128))
    bounds = (900, 11000)
    assert is_blank(noise, bounds, 24)
    assert is_blank(noise + np.linspace(0, 400, 128), bounds, 24)
    assert not is_blank(np.where(labels > 0, noise + 0.02 * 10100, noise), bounds, 24)


def test_a_tile_of_few_squares_has_no_slope():
    step = np.concatenate([np.full((100, 30), 1000.0), np.full((100, 30), 1500.0)], 1)
    assert not is_blank(step, (900, 7000), 90)
