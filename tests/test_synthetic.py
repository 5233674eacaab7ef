"""Synthetic nuclei with known truth."""

import numpy as np

from napari_pffnet.synthetic import synthetic_nuclei


def test_same_seed_same_image():
    for one, two in zip(synthetic_nuclei(seed=3), synthetic_nuclei(seed=3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (synthetic_nuclei(seed=3)[0] != synthetic_nuclei(seed=4)[0]).any()


def test_count_and_size_are_as_asked():
    image, labels = synthetic_nuclei((300, 200), 20, diameter=16)
    assert image.shape == labels.shape == (300, 200)
    assert (image.dtype, labels.dtype) == (np.uint16, np.int32)
    np.testing.assert_array_equal(np.unique(labels), np.arange(21))
    assert 12 < np.sqrt(np.median(np.bincount(labels.ravel())[1:]) * 4 / np.pi) < 20


def test_full_image_has_fewer():
    assert 1 <= synthetic_nuclei((30, 30), 50)[1].max() < 50


def test_nothing_to_draw():
    image, labels = synthetic_nuclei((16, 16), 0)
    assert labels.max() == 0
    assert image.std() > 0
