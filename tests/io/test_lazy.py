"""Planes that are read window by window."""

import gc
import warnings

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_pffnet.io.images import ImageError, read_image, to_plane
from napari_pffnet.io.lazy import LazyPlane, LazyStack, Source, is_lazy, is_zarr, levels_of, open_plane, open_stack

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
    with pytest.raises(ImageError, match="channel 0 to 1"):
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


def test_a_plane_that_nobody_closes_leaves_no_file_open(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, tile=(16, 16))
    plane = open_plane(Source(str(tmp_path / "a.tif")))
    plane.read((slice(0, 4), slice(0, 4)))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        del plane
        gc.collect()
    assert not heard


def test_what_is_no_image_is_said(tmp_path):
    zarr.create_group(tmp_path / "empty.zarr")
    for name, message in (("empty.zarr", "holds no image"), ("nothing.zarr", "no such file")):
        with pytest.raises(ImageError, match=message):
            open_plane(Source(str(tmp_path / name)))


class Counting:
    """An array that remembers how many pixels were asked for at once."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim, self.read = array, array.shape, array.dtype, array.ndim, []

    def __getitem__(self, place):
        part = self.array[place]
        self.read.append(part.size)
        return part


def test_planes_of_a_stack_are_read_one_at_a_time(tmp_path):
    array = Counting(RANDOM.integers(0, 99, (2, 3, 2, 70, 90), np.uint16))
    stack = LazyStack(tmp_path / "a.tif", array, "TZCYX", channel=1)
    assert (stack.axes, stack.shape) == ("TZ", (2, 3, 70, 90))
    assert [place for place in stack.places if stack.begins(place)] == [(0, 0), (1, 0)]
    for place in stack.places:
        np.testing.assert_array_equal(stack.read(place), array.array[(*place, 1)])
    assert array.read == [GREY.size] * 6
    with pytest.raises(ImageError, match="channel 0 to 1"):
        LazyStack(tmp_path / "a.tif", array, "TZCYX").read((0, 0))


@pytest.mark.parametrize(
    ("array", "axes"),
    [
        (np.stack([GREY, GREY + 1, GREY + 2]), "ZYX"),
        (np.stack([COLOUR, COLOUR // 2]), "ZYXS"),
        (np.stack([GREY] * 5), None),
        (GREY, "YX"),
        (COLOUR, "YXS"),
    ],
)
def test_planes_of_a_stack_are_those_of_the_image_in_memory(tmp_path, array, axes):
    kind = "rgb" if axes and "S" in axes else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=kind, metadata={"axes": axes} if axes else None)
    pixels, letters, _ = read_image(tmp_path / "a.tif")
    with open_stack(tmp_path / "a.tif") as stack:
        assert len(stack.places) == (len(array) if len(stack.axes) else 1)
        for number, place in enumerate(stack.places):
            np.testing.assert_array_equal(stack.read(place), to_plane(pixels, letters, plane=number))


def test_a_stack_that_is_damaged_is_said(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.stack([GREY, GREY]), photometric="minisblack", metadata={"axes": "ZYX"}, compression="zlib"
    )
    with tifffile.TiffFile(path) as file:
        start = file.pages[1].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 500] = bytes(500)
    path.write_bytes(content)
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read((0,)), GREY)
        with pytest.raises(ImageError, match=r"a\.tif: cannot be read"):
            stack.read((1,))
    path.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.tif: cannot be read"):
        open_stack(path)


def test_levels_of_pyramids_have_factors_and_sizes_of_pixels(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", np.stack([GREY, GREY]), "cyx", levels=3)
    assert levels_of(path) == [(1, 0.25), (2, 0.5), (pytest.approx(4, rel=0.05), 1)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, tile=(16, 16), subifds=1)
        file.write(GREY[::2, ::2], tile=(16, 16), subfiletype=1)
    assert levels_of(tmp_path / "a.tif") == [(1, None), (2, None)]
    zarr.save_array(tmp_path / "plain.zarr", GREY)
    assert levels_of(tmp_path / "plain.zarr") == [(1, None)]


def test_levels_that_cannot_be_read_are_said(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.attrs["multiscales"] = [{"version": "0.4", "axes": ["y", "x"]}]
    (tmp_path / "b.tif").write_bytes(b"no image")
    for name, message in (("a.zarr", "cannot be read"), ("b.tif", "cannot be read"), ("c.tif", "no such file")):
        with pytest.raises(ImageError, match=message):
            levels_of(tmp_path / name)
