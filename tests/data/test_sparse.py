"""Limits of intensity where nuclei lie in few places."""

import numpy as np
import pytest

from napari_pffnet.data.normalize import limits


def noise(side=1000):
    return np.random.default_rng(side).normal(100, 5, (side, side))


def with_discs(image, count, value, radius=10):
    """Discs in random places, not clipped."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = y**2 + x**2 <= radius**2
    image, generator = image.copy(), np.random.default_rng((count, value))
    for _ in range(count):
        top, left = generator.integers(0, image.shape[0] - 2 * radius - 1, 2)
        image[top : top + 2 * radius + 1, left : left + 2 * radius + 1][disc] = value
    return image


def percentiles(image):
    return tuple(np.percentile(image, (1, 99.8)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("value", [180, 10])
def test_a_few_nuclei_lie_within_the_limits_bright_or_dark(value, dtype):
    image = with_discs(noise(), 4, value).astype(dtype)
    low, high = limits(image)
    assert low <= value <= high
    assert max(high - 100, 100 - low) < 1.1 * abs(value - 100) + 15


def test_zeros_around_do_not_matter():
    image = np.zeros((1000, 1000), np.uint16)
    image[300:400, 300:400] = with_discs(noise(100), 3, 4000)
    low, high = limits(image)
    assert (low, high) == (0, 4000)


def test_colours_too():
    image = np.stack([with_discs(np.full((800, 800), 240), 3, 60)] * 3, -1).astype(np.uint8)
    image[..., 0] += 10
    assert limits(image) == (60, 250)


@pytest.mark.parametrize("image", [noise(), with_discs(noise(), 300, 180), np.full((90, 90), 7.0), noise(8)])
def test_elsewhere_percentiles_count(image):
    assert limits(image) == percentiles(image)


def test_debris_among_many_nuclei_does_not_dim_them():
    image = with_discs(with_discs(noise(), 300, 180), 3, 2000)
    assert limits(image) == percentiles(image)
    assert limits(image)[1] < 200


def margin(image):
    image = image.copy()
    image[:2] = image[:, :2] = 0
    return image


def scale_bar(image):
    image = image.copy()
    image[900:906, 800:950] = 255
    return image


@pytest.mark.parametrize(
    "image",
    [
        margin(with_discs(noise(), 60, 180)),
        margin(with_discs(noise(), 60, 40)),
        with_discs(with_discs(noise(), 20, 170), 6, 1000, radius=7),
        scale_bar(with_discs(noise(), 30, 180)),
    ],
    ids=["black margin", "black margin, dark nuclei", "mitotic cells", "scale bar"],
)
def test_what_else_is_in_images_does_not_count(image):
    assert limits(image) == percentiles(image)


def test_debris_among_few_nuclei_does_not_dim_them():
    image = with_discs(with_discs(noise(2000), 8, 180), 1, 4000)
    assert limits(image)[1] < 220


def test_single_hot_pixels_are_no_nuclei():
    image = noise()
    image.ravel()[np.random.default_rng(0).integers(0, image.size, 100)] = 4000
    assert limits(image) == percentiles(image)


def test_what_is_not_finite_does_not_count():
    image = with_discs(noise(), 4, 180)
    image[:200] = np.nan
    image[-1, -1] = np.inf
    low, high = limits(image)
    assert low < 100
    assert 170 < high < 200
