import dask.array as da
import numpy as np
import pytest

from napari_pffnet.data.normalize import apply_limits, as_image, limits, normalize

RAMP = np.arange(101 * 20).reshape(101, 20) % 101


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float16", "float32", "float64"])
def test_percentiles_become_zero_and_one_for_every_type(dtype):
    image = normalize(RAMP.astype(dtype), (10, 90))
    assert image.shape == (3, *RAMP.shape)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[1], ((RAMP - 10) / 80).clip(0, 1), atol=1e-3)


def test_colours_share_their_limits_and_alpha_is_dropped():
    image = np.stack([RAMP, RAMP // 2, 0 * RAMP, 255 + 0 * RAMP], -1).astype(np.uint8)
    red, green, blue = normalize(image, (0, 100))
    np.testing.assert_allclose(red, RAMP / 100)
    np.testing.assert_allclose(green, RAMP // 2 / 100, rtol=1e-6)
    assert not blue.any()


def test_not_a_number_is_background():
    image = RAMP.astype(float)
    image[:2] = np.nan
    image[2] = np.inf
    assert limits(image, (0, 100)) == (0, 100)
    assert not normalize(image)[:, :2].any()
    assert (normalize(image)[:, 2] == 1).all()


def test_constant_and_empty_images_are_zero():
    assert not normalize(np.full((4, 5), 7)).any()
    assert not normalize(np.full((4, 5), np.nan)).any()
    assert normalize(np.zeros((0, 5), np.uint8)).shape == (3, 0, 5)


def test_few_bright_pixels_and_masks_keep_their_contrast():
    image = np.zeros((100, 100), bool)
    image[3, 4] = True
    np.testing.assert_array_equal(normalize(image)[0], image)


def test_a_tile_with_the_limits_of_the_whole_is_part_of_the_whole():
    image = RAMP.astype(np.uint16)
    np.testing.assert_array_equal(apply_limits(image[10:20], limits(image)), normalize(image)[:, 10:20])


def test_large_offsets_keep_their_detail():
    np.testing.assert_allclose(normalize(RAMP + 1e9, (0, 100))[0], RAMP / 100, atol=1e-6)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected an image .* given 5×4×2"):
        normalize(np.zeros((5, 4, 2)))


def test_complex_numbers_are_refused():
    with pytest.raises(ValueError, match="expected an image of real numbers, given complex64; save its magnitude"):
        normalize(RAMP.astype(np.complex64))


def test_true_may_be_stored_as_any_byte():
    stored = np.zeros((64, 64), np.uint8)
    stored[20:40, 20:40] = 255
    np.testing.assert_array_equal(normalize(stored.view(bool))[0], stored > 0)


def test_what_is_no_array_of_real_numbers_is_taken_or_told():
    values = [[0, 1], [2, 3]]
    for pixels in (values, da.asarray(np.array(values))):
        array = as_image(pixels)
        assert isinstance(array, np.ndarray)
        assert array.tolist() == values
    with pytest.raises(ValueError, match="expected an image of real numbers, given object"):
        as_image(np.array(values, object))
    with pytest.raises(ValueError, match="given 3×20×30; move its colours to the last axis"):
        as_image(np.zeros((3, 20, 30)))
