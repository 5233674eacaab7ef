"""Planes that are read window by window."""

import gc
import warnings

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_pffnet.io import lazy
from napari_pffnet.io.images import ImageError, read_image, to_plane
from napari_pffnet.io.lazy import (
    FilePlane,
    LazyPlane,
    LazyStack,
    is_lazy,
    is_zarr,
    level_count,
    open_plane,
    open_stack,
    read_plane,
)

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 999, (70, 90), np.uint16)
COLOUR = RANDOM.integers(0, 255, (70, 90, 3), np.uint8)
WINDOW = slice(10, 40), slice(50, 90)


def ome_zarr(path, array, axes, version="0.5", levels=1, shrinking="yx"):
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level in range(levels):
        kept = tuple(slice(None, None, 2**level if axis in shrinking else 1) for axis in axes)
        zarr.create_array(path / str(level), data=array[kept], zarr_format=group.metadata.zarr_format)
        scale = [0.25 * 2**level] * len(axes)
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = [{"name": a, "type": "space", **({"unit": "micrometer"} if a in "yx" else {})} for a in axes]
    content = {"multiscales": [{"version": version, "axes": kinds, "datasets": datasets}]}
    group.attrs.update(content if version == "0.4" else {"ome": {"version": version, **content}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_at_any_level(tmp_path, version):
    path = ome_zarr(tmp_path / "a.zarr", np.stack([GREY * 0, GREY])[:, None], "czyx", version, levels=2)
    plane = open_plane(FilePlane(str(path), channel=1))
    np.testing.assert_array_equal(plane.read(WINDOW), GREY[WINDOW])
    assert (plane.shape, plane.colours, plane.pixel_size) == ((70, 90), False, 0.25)
    smaller = open_plane(FilePlane(str(path), channel=1, level=1))
    np.testing.assert_array_equal(smaller.read(WINDOW), GREY[::2, ::2][WINDOW])
    assert (smaller.shape, smaller.pixel_size) == ((35, 45), 0.5)
    with pytest.raises(ImageError, match="channel 0 to 1"):
        open_plane(FilePlane(str(path)))
    with pytest.raises(ImageError, match="no level 2; give 0 to 1"):
        open_plane(FilePlane(str(path), channel=1, level=2))


@pytest.mark.parametrize(
    "array",
    [COLOUR, da.from_array(COLOUR, (16, 16, 3)), np.dstack([COLOUR, COLOUR[..., 0]])],
)
def test_colours_come_last(array):
    plane = LazyPlane(array)
    assert plane.colours
    np.testing.assert_array_equal(plane.read(WINDOW), COLOUR[WINDOW])


def test_three_channels_of_8_bits_are_colours_in_a_zarr_only(tmp_path):
    channels = COLOUR.transpose(2, 0, 1)
    zarr.save_array(tmp_path / "a.zarr", channels)
    for path in (ome_zarr(tmp_path / "b.zarr", channels, "cyx"), tmp_path / "a.zarr"):
        np.testing.assert_array_equal(open_plane(FilePlane(str(path))).read(WINDOW), COLOUR[WINDOW])
        np.testing.assert_array_equal(open_plane(FilePlane(str(path), channel=2)).read(WINDOW), channels[2][WINDOW])
    tifffile.imwrite(tmp_path / "a.tif", channels, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match="choose channel 0 to 2"):
        open_plane(FilePlane(str(tmp_path / "a.tif")))


@pytest.mark.parametrize(
    ("third", "coloured"), [("0000FF", True), ("#0000FFFF", True), ("FFFFFF", False), (None, True)]
)
def test_colours_of_the_metadata_tell_stains_from_colours(tmp_path, third, coloured):
    path = ome_zarr(tmp_path / "a.zarr", COLOUR.transpose(2, 0, 1), "cyx", "0.4")
    channels = [{"color": "FF0000"}, {"color": "00ff00"}, {"color": third}]
    zarr.open_group(path).attrs["omero"] = {"channels": channels}
    if coloured:
        assert open_plane(FilePlane(str(path))).colours
    else:
        with pytest.raises(ImageError, match="choose channel 0 to 2"):
            open_plane(FilePlane(str(path)))


@pytest.mark.parametrize(
    "omero", [[1], None, {"channels": None}, {"channels": [1]}, {"channels": [{"color": "FFFFFF"}] * 3}]
)
def test_metadata_that_say_nothing_of_colours_do_no_harm(tmp_path, omero):
    path = ome_zarr(tmp_path / "a.zarr", COLOUR.transpose(2, 0, 1), "cyx", "0.4")
    attributes = zarr.open_group(path).attrs
    scales = {**attributes["multiscales"][0], "coordinateTransformations": None}
    attributes.update({"omero": omero, "multiscales": [scales]})
    assert open_plane(FilePlane(str(path))).colours


@pytest.mark.parametrize("layout", [{"tile": (16, 32)}, {"tile": (16, 32), "compression": "zlib"}, {}])
def test_tiff(tmp_path, layout):
    tifffile.imwrite(tmp_path / "a.tif", GREY, **layout)
    with open_plane(FilePlane(str(tmp_path / "a.tif"))) as plane:
        np.testing.assert_array_equal(plane.read(WINDOW), GREY[WINDOW])


def test_pyramidal_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(COLOUR, tile=(16, 16), subifds=1, photometric="rgb")
        file.write(COLOUR[::2, ::2], tile=(16, 16), subfiletype=1, photometric="rgb")
    for level, wanted in enumerate((COLOUR, COLOUR[::2, ::2])):
        with open_plane(FilePlane(str(tmp_path / "a.tif"), level=level)) as plane:
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
    plane = open_plane(FilePlane(str(tmp_path / "a.tif")))
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
            open_plane(FilePlane(str(tmp_path / name)))
    zarr.create_array(tmp_path / "flat.zarr", shape=(0, 10), dtype="uint8")
    with pytest.raises(ImageError, match=r"flat.zarr: has no pixels \(shape 0×10\)"):
        open_plane(FilePlane(str(tmp_path / "flat.zarr")))


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
    with pytest.raises(ImageError, match="channel=1 does not exist"):
        LazyStack(tmp_path / "a.tif", GREY[None], "ZYX", channel=1).read((0,))


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


def test_levels_of_pyramids_are_counted(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", np.stack([GREY, GREY]), "cyx", levels=3)
    assert level_count(path) == 3
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, tile=(16, 16), subifds=1)
        file.write(GREY[::2, ::2], tile=(16, 16), subfiletype=1)
    assert level_count(tmp_path / "a.tif") == 2
    zarr.save_array(tmp_path / "plain.zarr", GREY)
    assert level_count(tmp_path / "plain.zarr") == 1


def test_levels_that_cannot_be_read_are_said(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.attrs["multiscales"] = [{"version": "0.4", "axes": ["y", "x"]}]
    (tmp_path / "b.tif").write_bytes(b"no image")
    for name, message in (("a.zarr", "cannot be read"), ("b.tif", "cannot be read"), ("c.tif", "no such file")):
        with pytest.raises(ImageError, match=message):
            level_count(tmp_path / name)


@pytest.mark.parametrize("axes", ["TZYX", "QQYX", None])
def test_planes_are_counted_through_all_stack_axes(axes):
    stack = RANDOM.integers(0, 999, (6, 5, 70, 90), np.uint16)
    np.testing.assert_array_equal(LazyPlane(stack, axes, plane=13).read(WINDOW), stack[(2, 3, *WINDOW)])
    with pytest.raises(ImageError, match=r"30 planes .* choose plane 0 to 29"):
        LazyPlane(stack, axes)


def test_samples_of_a_tiff_that_are_no_colours_are_channels(tmp_path):
    samples = RANDOM.integers(0, 999, (70, 90, 12), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", planarconfig="contig")
    with open_plane(FilePlane(str(tmp_path / "a.tif"), channel=7)) as plane:
        np.testing.assert_array_equal(plane.read(WINDOW), samples[..., 7][WINDOW])
    with open_stack(tmp_path / "a.tif", channel=7) as stack:
        np.testing.assert_array_equal(stack.read(()), samples[..., 7])
    with pytest.raises(ImageError, match="choose channel 0 to 11"):
        open_plane(FilePlane(str(tmp_path / "a.tif")))


def test_a_channel_of_colours_is_the_sample(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb")
    np.testing.assert_array_equal(read_plane(path, channel=2)[0], COLOUR[..., 2])
    with open_plane(FilePlane(str(path), channel=1)) as plane, open_stack(path, channel=1) as stack:
        assert not plane.colours
        np.testing.assert_array_equal(plane.read(WINDOW), COLOUR[..., 1][WINDOW])
        np.testing.assert_array_equal(stack.read(()), COLOUR[..., 1])
    with pytest.raises(ImageError, match="channel=3 does not exist; the image has channel 0 to 2"):
        open_plane(FilePlane(str(path), channel=3))


@pytest.mark.parametrize("layout", [{"photometric": "rgb", "planarconfig": "separate"}, {"photometric": "minisblack"}])
def test_a_short_first_axis_is_one_of_planes_where_planes_are_asked_for(tmp_path, layout):
    path, stack = tmp_path / "a.tif", COLOUR.transpose(2, 0, 1)
    tifffile.imwrite(path, stack, **layout)
    np.testing.assert_array_equal(read_plane(path, plane=2)[0], stack[2])
    np.testing.assert_array_equal(read_plane(path, channel=1)[0], stack[1])
    with open_plane(FilePlane(str(path), plane=1)) as plane, open_stack(path) as opened:
        np.testing.assert_array_equal(plane.read(WINDOW), stack[(1, *WINDOW)])
        assert len(opened.places) == 3
        np.testing.assert_array_equal(opened.read((2,)), stack[2])
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match="choose channel 0 to 2"):
        read_plane(path, plane=0)


def test_axes_that_are_given_win(tmp_path):
    stack = RANDOM.integers(0, 999, (4, 3, 70, 90), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_plane(path, channel=3, plane=1, axes="CTYX")[0], stack[3, 1])
    with open_stack(path, channel=3, axes="CTYX") as opened:
        assert (opened.axes, len(opened.places)) == ("T", 3)
    with open_plane(FilePlane(str(path), plane=1, axes="TSYX")) as plane:
        np.testing.assert_array_equal(plane.read(WINDOW), stack[(1, slice(None), *WINDOW)].transpose(1, 2, 0))
    tifffile.imwrite(path, stack[:, 0].transpose(1, 0, 2), photometric="minisblack")
    np.testing.assert_array_equal(read_plane(path, plane=2, axes="YZX")[0], stack[2, 0])
    zarr.save_array(tmp_path / "a.zarr", COLOUR)
    plane = open_plane(FilePlane(str(tmp_path / "a.zarr"), channel=2, axes="YXC"))
    np.testing.assert_array_equal(plane.read(WINDOW), COLOUR[(*WINDOW, 2)])
    for bad in (path, tmp_path / "a.zarr"):
        with pytest.raises(ImageError, match="axes=YX names 2 axes, but the image has 3"):
            open_plane(FilePlane(str(bad), axes="YX"))


def test_a_number_of_a_plane_means_the_same_place_at_each_level(tmp_path):
    stack = RANDOM.integers(0, 999, (3, 6, 70, 90), np.uint16)
    path = ome_zarr(tmp_path / "a.zarr", stack, "tzyx", levels=3, shrinking="zyx")
    for level in range(3):
        plane = open_plane(FilePlane(str(path), plane=10, level=level))
        place = 1, 4 // 2**level * 2**level
        np.testing.assert_array_equal(plane.read(WINDOW), stack[place][:: 2**level, :: 2**level][WINDOW])
    with pytest.raises(ImageError, match="the image has plane 0 to 17"):
        open_plane(FilePlane(str(path), plane=18, level=2))


def test_an_array_has_one_level_only(tmp_path):
    zarr.save_array(tmp_path / "a.zarr", GREY)
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    for name in ("a.zarr", "a.tif"):
        with pytest.raises(ImageError, match=f"{name}: has no level 1; it is no pyramid, its only level is 0"):
            open_plane(FilePlane(str(tmp_path / name), level=1))


def test_of_a_tiff_one_plane_is_read(tmp_path, monkeypatch):
    stack = RANDOM.integers(0, 999, (9, 2, 70, 90), np.uint16)
    facts = {"axes": "ZCYX", "PhysicalSizeX": 0.25}
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", compression="zlib", ome=True, metadata=facts)
    decoded, decode = [], tifffile.TiffPage.decode.func

    def counting(page):
        inner = decode(page)
        return lambda *arguments, **options: decoded.append(1) or inner(*arguments, **options)

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(counting))
    plane, sizes = read_plane(tmp_path / "a.tif", channel=1, plane=5)
    np.testing.assert_array_equal(plane, stack[5, 1])
    assert (len(decoded), sizes) == (1, {"X": 0.25})


def test_one_large_piece_is_refused_only_where_it_would_not_be_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "LARGEST_CHUNK", GREY.nbytes - 1)
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zlib")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.tif")[0], GREY)
    monkeypatch.setattr(lazy, "LARGE", GREY.size - 1)
    with pytest.raises(ImageError, match=r"is stored in one piece of 0\.0 GB; save it as a tiled TIFF"):
        open_plane(FilePlane(str(tmp_path / "a.tif")))


def test_planes_know_where_their_pixels_lie(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "a.zarr" / "0", data=np.stack([GREY]))
    steps = [{"type": "scale", "scale": [9, 0.5, 0.25]}, {"type": "translation", "translation": [8, 100, 200]}]
    units = {"z": "meter", "y": "nanometer", "x": "pixel"}
    axes = [{"name": axis, "type": "space", "unit": unit} for axis, unit in units.items()]
    scales = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    plane = open_plane(FilePlane(str(tmp_path / "a.zarr")))
    assert plane.placement == ((0.5, 0.25), (100, 200), ("nanometer", "pixel"))
    whole = [{"type": "scale", "scale": [1, 2, 4]}, {"type": "translation", "translation": [0, 1, 2]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{**scales, "coordinateTransformations": whole}]}
    assert open_plane(FilePlane(str(tmp_path / "a.zarr"))).placement[:2] == ((1, 1), (201, 802))
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(GREY, tile=(16, 16), subifds=1, metadata={"axes": "YX", **sizes})
        file.write(GREY[::2, ::2], tile=(16, 16), subfiletype=1)
    with open_plane(FilePlane(str(tmp_path / "a.ome.tif"), level=1)) as plane:
        assert plane.placement == ((1, 0.5), (0, 0), ("micrometer", "micrometer"))
    assert LazyPlane(GREY, pixel_size=0.5).placement == ((0.5, 0.5), (0, 0), ("micrometer", "micrometer"))
    assert LazyPlane(GREY).placement == ((1, 1), (0, 0), (None, None))
