"""Hematoxylin alone, of colour images."""

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from skimage.color import hed2rgb

from napari_pffnet.io.images import ImageError
from napari_pffnet.io.lazy import FilePlane, LazyPlane, open_plane, open_stack, read_plane
from napari_pffnet.io.stains import Hematoxylin, hematoxylin, is_brown


def stained(height=300, width=40):
    """Squares of hematoxylin, half of them under DAB: the colour image (uint8), and where hematoxylin is."""
    stains = np.zeros((height, width, 3))
    stains[4:12, 4:12, 0] = stains[4:12, 24:32, 0] = stains[-9:-2, 4:12, 0] = 0.1
    stains[:, 20:, 2] = 0.08
    return (hed2rgb(stains) * 255).round().astype(np.uint8), stains[..., 0] > 0


def test_other_stains_are_gone_and_hematoxylin_stays():
    image, nuclei = stained()
    alone = hematoxylin(image)
    assert (alone.dtype, alone.shape) == (np.uint8, image.shape)
    bare, covered = alone[~nuclei].mean(1), alone[nuclei].mean(1)
    assert bare.min() > 245 > 220 > covered.max()
    assert image[~nuclei].min() < 200, "DAB is dark"


@pytest.mark.parametrize("change", [np.float32, np.uint16, "alpha"])
def test_types_of_pixels(change):
    image, _ = stained(20)
    if change == "alpha":
        other = np.dstack([image, image[..., :1]])
    else:
        other = image / np.float32(255) if change is np.float32 else image.astype(np.uint16) * 257
    np.testing.assert_allclose(hematoxylin(other), hematoxylin(image), atol=1)
    assert hematoxylin(np.full((2, 2, 3), np.nan)).shape == (2, 2, 3)


@pytest.mark.parametrize("colour", [(1, 0, 0), (1, 0.6, 0), (0.8, 0.8, 0)])
def test_fluorescence_in_warm_colours_is_not_brown(colour):
    nuclei = np.random.default_rng(0).normal(10, 3, (60, 60)).clip(0)
    nuclei[20:40, 10:50] += 150
    assert not is_brown((nuclei[..., None] * colour).astype(np.uint8))


def test_brown_images_are_known():
    brown, _ = stained()
    other = hed2rgb(np.dstack([np.eye(60), 0.1 * np.ones((60, 60)), np.zeros((60, 60))]))
    assert is_brown(brown)
    assert is_brown(np.tile(brown, (3, 30, 1)))
    assert not any(map(is_brown, (hematoxylin(brown), (other * 255).astype(np.uint8), brown[..., 0], brown[:0])))


def test_parts_are_those_of_the_whole():
    image, _ = stained()
    lazy, whole = Hematoxylin(image), hematoxylin(image)
    assert (lazy.shape, lazy.dtype) == (whole.shape, whole.dtype)
    np.testing.assert_array_equal(np.asarray(lazy), whole)
    np.testing.assert_array_equal(lazy[5:9, 3:7], whole[5:9, 3:7])
    np.testing.assert_array_equal(LazyPlane(lazy, "YXS").read((slice(5, 290), slice(3, 7))), whole[5:290, 3:7])


def test_files_are_read_so(tmp_path):
    image, _ = stained()
    whole = hematoxylin(image)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    Image.fromarray(image).save(tmp_path / "a.png")
    zarr.save_array(tmp_path / "a.zarr", image)
    for name in ("a.tif", "a.png"):
        np.testing.assert_array_equal(read_plane(tmp_path / name, "hematoxylin")[0], whole)
        np.testing.assert_array_equal(read_plane(tmp_path / name)[0], image)
    with open_plane(FilePlane(str(tmp_path / "a.zarr"), "hematoxylin")) as plane:
        np.testing.assert_array_equal(plane.read((slice(None), slice(2, 30))), whole[:, 2:30])
    tifffile.imwrite(tmp_path / "z.tif", np.stack([image, image[::-1]]), photometric="rgb")
    with open_stack(tmp_path / "z.tif", "hematoxylin") as stack:
        np.testing.assert_array_equal(stack.read((1,)), hematoxylin(image[::-1]))


def test_grey_images_have_no_stains(tmp_path):
    tifffile.imwrite(tmp_path / "grey.tif", np.zeros((20, 30), np.uint8))
    with pytest.raises(ImageError, match=r"grey.tif: is no colour image; choose one of its channels"):
        read_plane(tmp_path / "grey.tif", "hematoxylin")
