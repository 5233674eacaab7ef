import numpy as np
import pytest
import tifffile
from imageio.v3 import imread
from PIL import Image

from napari_pffnet.io.images import ImageError, pixel_sizes_of, read_image, to_plane

GREY = np.arange(12 * 10).reshape(12, 10)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_keeps_its_type(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(dtype))
    array, axes, pixel_size = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(array, GREY.astype(dtype), strict=True)
    assert (axes, pixel_size) == ("YX", None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_keeps_its_type(tmp_path, dtype):
    Image.fromarray(GREY.astype(dtype)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], GREY.astype(dtype), strict=True)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_pictures_lie_as_napari_shows_them_whatever_the_camera_noted(tmp_path, suffix):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(GREY.astype(np.uint8)).save(tmp_path / f"a.{suffix}", exif=turned)
    assert read_image(tmp_path / f"a.{suffix}")[0].shape == imread(tmp_path / f"a.{suffix}").shape == GREY.shape


def test_palette_gives_colours_or_its_indices(tmp_path):
    picture = Image.new("P", (10, 12), 1)
    picture.putpalette([0, 0, 0, 255, 128, 0])
    picture.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0][0, 0].tolist() == [255, 128, 0]
    assert read_image(tmp_path / "a.png", indices=True)[0][0, 0] == 1


def test_pixel_size_of_ome_and_imagej_in_micrometres(tmp_path):
    pixels = GREY.astype(np.uint16)
    ome = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 250, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(tmp_path / "o.ome.tif", pixels, metadata={"axes": "YX", **ome})
    tifffile.imwrite(tmp_path / "j.tif", pixels, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    tifffile.imwrite(tmp_path / "dpi.tif", pixels, resolution=(72, 72), resolutionunit="INCH")
    sizes = [read_image(tmp_path / name)[2] for name in ("o.ome.tif", "j.tif", "dpi.tif")]
    assert sizes == [pytest.approx(0.25), pytest.approx(0.5), None]


@pytest.mark.parametrize("inside", ["", '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/>'])
def test_ome_without_an_image_has_no_pixel_size(tmp_path, inside):
    ome = f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{inside}</OME>'
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.uint8), description=ome, metadata=None)
    pixels, _, size = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, GREY.astype(np.uint8))
    assert size is None


@pytest.mark.parametrize(
    ("unit", "size"), [("Å", 2000), ("\N{ANGSTROM SIGN}", 2000), ("pm", 2e5), ("m", 2e-7), ("in", 0.2 / 25400)]
)
def test_units_of_ome(tmp_path, unit, size):
    facts = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY.astype(np.uint8), metadata=facts)
    assert read_image(tmp_path / "a.ome.tif")[2] == pytest.approx(0.2)


def test_sizes_of_pixels_along_each_axis(tmp_path):
    stack = np.zeros((3, 12, 10), np.uint16)
    ome = {"PhysicalSizeY": 250, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2, "PhysicalSizeX": 1}
    tifffile.imwrite(tmp_path / "o.ome.tif", stack, photometric="minisblack", metadata={"axes": "ZYX", **ome})
    facts = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "j.tif", stack, imagej=True, resolution=(1, 4), metadata=facts)
    for name in ("o.ome.tif", "j.tif"):
        with tifffile.TiffFile(tmp_path / name) as file:
            assert pixel_sizes_of(file) == {"X": 1, "Y": 0.25, "Z": 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", None, "a.png: no such file"),
        ("a.xyz", b"", r"a.xyz: .xyz is not a known image format; convert it"),
        ("a.png", b"no image", "a.png: damaged, or not a PNG file"),
        ("a.tif", b"no image", "a.tif: cannot be read"),
    ],
)
def test_errors_name_the_file(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("shape", "axes", "choice", "expected"),
    [
        ((12, 10), None, {}, (12, 10)),
        ((12, 10, 3), None, {}, (12, 10, 3)),
        ((12, 10, 4), "YXS", {}, (12, 10, 3)),
        ((12, 10, 1), "YXS", {}, (12, 10)),
        ((3, 12, 10), "SYX", {}, (12, 10, 3)),
        ((1, 12, 10), "ZYX", {}, (12, 10)),
        ((2, 12, 10), "CYX", {"channel": 1}, (12, 10)),
        ((2, 12, 10), "QYX", {"channel": 1}, (12, 10)),
        ((5, 2, 12, 10), "ZCYX", {"channel": 1, "plane": 4}, (12, 10)),
        ((5, 12, 10, 3), "TYXS", {"plane": 4}, (12, 10, 3)),
        ((12, 10, 3), "QYX", {}, (12, 10, 3)),
        ((12, 10, 12), "YXC", {"channel": 11}, (12, 10)),
        ((12, 10, 1), "YXQ", {}, (12, 10)),
        ((5, 12, 10, 2), "QQQQ", {"channel": 1, "plane": 4}, (12, 10)),
        ((12, 10, 2), None, {"channel": 1}, (12, 10)),
    ],
)
def test_to_plane(shape, axes, choice, expected):
    assert to_plane(np.zeros(shape), axes, **choice).shape == expected


def test_to_plane_takes_the_chosen_pixels():
    stack = np.arange(5 * 2 * 12 * 10).reshape(5, 2, 12, 10)
    np.testing.assert_array_equal(to_plane(stack, "ZCYX", channel=1, plane=4), stack[4, 1])


@pytest.mark.parametrize(("axes", "place"), [("YXS", (..., 2)), ("SYX", (2,)), ("ZYXS", (1, ..., 2)), (None, (..., 2))])
def test_a_channel_of_colours_is_the_sample(axes, place):
    shape = tuple({"Z": 5, "Y": 12, "X": 10, "S": 3}[axis] for axis in axes or "YXS")
    colours = np.arange(np.prod(shape)).reshape(shape)
    plane = 1 if "Z" in (axes or "") else None
    np.testing.assert_array_equal(to_plane(colours, axes, channel=2, plane=plane), colours[place])
    with pytest.raises(ImageError, match="channel=3 does not exist; the image has channel 0 to 2"):
        to_plane(colours, axes, channel=3, plane=plane)


@pytest.mark.parametrize("axes", ["TZYX", "QQYX", None])
def test_planes_are_counted_through_all_stack_axes(axes):
    stack = np.arange(6 * 5 * 12 * 10).reshape(6, 5, 12, 10)
    np.testing.assert_array_equal(to_plane(stack, axes, plane=13), stack[2, 3])


@pytest.mark.parametrize(
    ("shape", "axes", "choice", "message"),
    [
        ((2, 12, 10), "CYX", {}, r"2 channels \(axis C\); choose channel 0 to 1"),
        ((5, 12, 10), "ZYX", {"plane": 5}, "plane=5 does not exist; the image has plane 0 to 4"),
        ((12, 10), "YX", {"plane": 3}, "plane=3 does not exist; the image has one plane only"),
        ((12, 10), "YX", {"channel": 7}, "channel=7 does not exist; the image has one channel only"),
        ((4, 5, 12, 10), "TZYX", {}, r"20 planes \(axes T and Z\); choose plane 0 to 19"),
        ((4, 5, 12, 10), "TZYX", {"plane": 20}, "plane=20 does not exist; the image has plane 0 to 19"),
        ((4, 1, 12, 10), "TZYX", {}, r"4 planes \(axis T\); choose plane 0 to 3"),
        ((12,), None, {}, "at least two dimensions"),
    ],
)
def test_to_plane_says_what_to_choose(shape, axes, choice, message):
    with pytest.raises(ImageError, match=message):
        to_plane(np.zeros(shape), axes, **choice)


@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [
        ((12, 10, 12), {"photometric": "minisblack", "planarconfig": "contig"}, "YXC"),
        ((12, 12, 10), {"photometric": "minisblack", "planarconfig": "separate"}, "CYX"),
        ((12, 10, 2), {"photometric": "minisblack", "planarconfig": "contig"}, "YXC"),
        ((12, 10, 2), {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}, "YXS"),
        ((12, 10, 3), {"photometric": "rgb"}, "YXS"),
        ((12, 10, 4), {"photometric": "rgb"}, "YXS"),
        ((12, 10, 4), {"photometric": "minisblack", "planarconfig": "contig"}, "YXC"),
        ((12, 10, 3), {"photometric": "minisblack", "planarconfig": "contig"}, "YXS"),
        ((3, 12, 10), {"photometric": "rgb", "planarconfig": "separate"}, "SYX"),
    ],
)
def test_samples_of_a_tiff_that_are_no_colours_are_channels(tmp_path, shape, layout, axes):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **layout)
    assert read_image(tmp_path / "a.tif")[1] == axes


def test_four_samples_of_more_than_8_bits_are_channels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((12, 10, 4), np.uint16), photometric="rgb")
    assert read_image(tmp_path / "a.tif")[1] == "YXC"
