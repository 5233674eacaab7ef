"""Planes that are read window by window."""

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_pffnet.io.images import ImageError
from napari_pffnet.io.lazy import LazyPlane, Source, is_lazy, is_zarr, open_plane

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 999, (70, 90), np.uint16)
COLOUR = RANDOM.integers(0, 255, (70, 90, 3), np.uint8)
WINDOW = slice(10, 40), slice(50, 90)


def ome_zarr(path, array, axes, version="0.5", levels=1):
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level in range(levels):
        group.create_array(str(level), data=array[..., :: 2**level, :: 2**level])
        scale = [0.25 * 2**level] * len(axes)
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = [{"name": a, "type": "space", **({"unit": "micrometer"} if a in "yx" else {})} for a in axes]
    content = {"multiscales": [{"version": version, "axes": kinds, "datasets": datasets}]}
    group.attrs.update(content if version == "0.4" else {"ome": {"version": version, **content}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_at_any_level(tmp_path, version):
    path = ome_zarr(tmp_path / "a.zarr", np.stack([GREY * 0, GREY])[:, None], "czyx", version, levels=2)
    plane = open_plane(Source(str(path), channel=1))
    np.testing.assert_array_equal(plane.read(WINDOW), GREY[WINDOW])
    assert (plane.shape, plane.colours, plane.pixel_size) == ((70, 90), False, 0.25)
    smaller = open_plane(Source(str(path), channel=1, level=1))
    np.testing.assert_array_equal(smaller.read(WINDOW), GREY[::2, ::2][WINDOW])
    assert (smaller.shape, smaller.pixel_size) == ((35, 45), 0.5)
    with pytest.raises(ImageError, match="channel=0 to 1"):
        open_plane(Source(str(path)))
    with pytest.raises(ImageError, match="no level 2; give 0 to 1"):
        open_plane(Source(str(path), channel=1, level=2))


@pytest.mark.parametrize(
    "array",
    [COLOUR, COLOUR.transpose(2, 0, 1), da.from_array(COLOUR, (16, 16, 3)), np.dstack([COLOUR, COLOUR[..., 0]])],
)
def test_colours_first_or_last(array):
    plane = LazyPlane(array)
    assert plane.colours
    np.testing.assert_array_equal(plane.read(WINDOW), COLOUR[WINDOW])


@pytest.mark.parametrize("layout", [{"tile": (16, 32)}, {"tile": (16, 32), "compression": "zlib"}, {}])
def test_tiff(tmp_path, layout):
    tifffile.imwrite(tmp_path / "a.tif", GREY, **layout)
    with open_plane(Source(str(tmp_path / "a.tif"))) as plane:
        np.testing.assert_array_equal(plane.read(WINDOW), GREY[WINDOW])


def test_pyramidal_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(COLOUR, tile=(16, 16), subifds=1, photometric="rgb")
        file.write(COLOUR[::2, ::2], tile=(16, 16), subfiletype=1, photometric="rgb")
    for level, wanted in enumerate((COLOUR, COLOUR[::2, ::2])):
        with open_plane(Source(str(tmp_path / "a.tif"), level=level)) as plane:
            np.testing.assert_array_equal(plane.read(WINDOW), wanted[WINDOW])


def test_which_files_are_read_that_way(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    zarr.save_array(tmp_path / "b.zarr", GREY)
    assert [is_lazy(tmp_path / name, above=6299) for name in ("a.tif", "b.zarr", "c.tif", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert not is_lazy(tmp_path / "a.tif", above=6300)
    assert not is_zarr(tmp_path)


def test_what_is_no_image_is_said(tmp_path):
    zarr.create_group(tmp_path / "empty.zarr")
    for name, message in (("empty.zarr", "holds no image"), ("nothing.zarr", "no such file")):
        with pytest.raises(ImageError, match=message):
            open_plane(Source(str(tmp_path / name)))
