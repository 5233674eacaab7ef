"""The plane that is in view, and where results on it belong."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_pffnet._qt.layers.axes import channels, pixel_size
from napari_pffnet._qt.layers.planes import PlaneError, plane_count, take_plane, take_stack
from napari_pffnet._qt.project.pairing import sizes_of
from napari_pffnet._qt.segment.facts import describe
from napari_pffnet.io.stains import hematoxylin

STACK = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


def test_grey_image_is_taken_as_it_is():
    plane = take_plane(Image(STACK[0]), (0, 0), (0, 1))
    np.testing.assert_array_equal(plane.read(), STACK[0])
    assert plane.shape == (4, 5)


def test_stack_gives_the_plane_of_the_slider():
    layer = Image(STACK, axis_labels=("z", "y", "x"), scale=(2, 1, 1))
    plane = take_plane(layer, (4.2, 0, 0), (0, 1, 2))
    np.testing.assert_array_equal(plane.read(), STACK[2])
    assert plane.shape == (1, 4, 5)
    assert plane.position == {"z": 2}
    assert describe(layer, plane).replace("\N{NO-BREAK SPACE}", " ") == "16-bit grey, 4 × 5, z: 2 (0 to 2)"


def test_unnamed_axes_are_numbered():
    layer = Image(np.zeros((9, 4, 5), np.float32))
    text = describe(layer, take_plane(layer, (8, 0, 0), (0, 1, 2)))
    assert text.replace("\N{NO-BREAK SPACE}", " ") == "float grey, 4 × 5, axis 0: 8 (0 to 8)"


def test_rolled_axes_give_the_plane_on_the_screen():
    plane = take_plane(Image(STACK, axis_labels=("z", "y", "x")), (0, 3, 0), (1, 0, 2))
    np.testing.assert_array_equal(plane.read(), STACK[:, 3])
    assert plane.shape == (3, 1, 5)


def test_image_with_fewer_axes_than_the_viewer():
    np.testing.assert_array_equal(take_plane(Image(STACK[1]), (7, 0, 0), (0, 1, 2)).read(), STACK[1])


def test_colour_image_keeps_its_colours():
    plane = take_plane(Image(np.zeros((2, 6, 7, 3), np.uint8), rgb=True), (1, 0, 0), (0, 1, 2))
    assert plane.read().shape == (6, 7, 3)
    assert plane.shape == (1, 6, 7)


def test_multiscale_image_is_taken_at_full_resolution():
    layer = Image([np.ones((8, 8)), np.zeros((4, 4))], multiscale=True)
    assert take_plane(layer, (0, 0), (0, 1)).read().shape == (8, 8)


@pytest.mark.parametrize(
    ("channel", "expected"), [("view", STACK[1]), (2, STACK[2]), ("colour", np.moveaxis(STACK, 0, -1))]
)
def test_channel_is_chosen(channel, expected):
    layer = Image(STACK, axis_labels=("c", "y", "x"))
    plane = take_plane(layer, (1, 0, 0), (0, 1, 2), channel)
    np.testing.assert_array_equal(plane.read(), expected)
    assert plane.shape == (4, 5), "nuclei belong to all channels"


def test_channel_axis_behind_a_stack():
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    layer = Image(data, axis_labels=("z", "c", "y", "x"))
    plane = take_plane(layer, (1, 0, 0, 0), (0, 1, 2, 3), "colour")
    np.testing.assert_array_equal(plane.read(), np.moveaxis(data[1], 0, -1))


def test_channels_are_found():
    assert [value for _, value in channels(Image(STACK))] == ["view", 0, 1, 2, "colour"]
    assert channels(Image(STACK, axis_labels=("z", "y", "x"))) == []
    assert channels(Image(np.zeros((20, 4, 5)))) == []
    assert [value for _, value in channels(Image(np.zeros((4, 5, 3), np.uint8), rgb=True))] == ["view", "hematoxylin"]


def test_of_colours_hematoxylin_alone_can_be_taken():
    image = np.random.default_rng(0).integers(0, 255, (2, 8, 9, 3), np.uint8)
    layer = Image(image, rgb=True)
    plane = take_plane(layer, (1, 0, 0), (0, 1, 2), "hematoxylin")
    np.testing.assert_array_equal(plane.read(), hematoxylin(image[1]))
    assert plane.channel == "hematoxylin"
    stack = take_stack(layer, (1, 0, 0), (0, 1, 2), "hematoxylin")
    np.testing.assert_array_equal(stack.plane(stack.places[0]).read(), hematoxylin(image[0]))
    grey = Image(image[..., 0])
    np.testing.assert_array_equal(take_plane(grey, (1, 0, 0), (0, 1, 2), "hematoxylin").read(), image[1, ..., 0])


def test_slider_outside_the_image_is_named():
    with pytest.raises(PlaneError, match="slider 'z' is outside 'stack'; move it back"):
        take_plane(Image(STACK, name="stack", axis_labels=("z", "y", "x")), (3, 0, 0), (0, 1, 2))


def test_all_planes_can_be_taken_wherever_the_slider_is():
    stack = take_stack(Image(STACK, axis_labels=("z", "y", "x")), (30, 0, 0), (0, 1, 2))
    assert [place[0] for place in stack.places] == [0, 1, 2]


def test_image_seen_from_its_edge_is_refused():
    with pytest.raises(PlaneError, match="roll the dimensions"):
        take_plane(Image(STACK[0]), (0, 0, 0), (1, 0, 2))


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize(
    "transform",
    [
        {},
        {"scale": (3, 0.5, 0.25), "translate": (10, -5, 3)},
        {"scale": (3, -1, 2), "translate": (10, -5, 3)},
        {"scale": (-3, 1, -2)},
        {"scale": (3, -1, 2), "rotate": (0, 20, 30)},
        {"scale": (3, 2, 2), "rotate": (0, 20, 30), "shear": (0.1, 0, 0.2), "translate": (1, 2, 3)},
        {"affine": np.array([[1, 0, 0, 4], [0, 0, 2, 5], [0, 3, 0, 6], [0, 0, 0, 1.0]]), "scale": (2, 1, 1)},
    ],
)
def test_results_lie_on_the_plane_in_the_world(transform):
    layer = Image(STACK, axis_labels=("z", "y", "x"), units=("um", "um", "um"), **transform)
    plane = take_plane(layer, layer.data_to_world((2, 0, 0)), (0, 1, 2))
    result = Labels(np.zeros(plane.shape, int), **plane.placement)
    for y, x in [(0, 0), (3, 4), (1.5, 2)]:
        np.testing.assert_allclose(result.data_to_world((0, y, x)), layer.data_to_world((2, y, x)), atol=1e-9)
    assert result.units == layer.units
    assert result.axis_labels == layer.axis_labels


def test_results_on_a_channel_lie_on_all_channels():
    layer = Image(STACK, axis_labels=("c", "y", "x"), scale=(1, 2, 3), translate=(0, 5, 6), units=("pixel", "um", "um"))
    plane = take_plane(layer, (0, 5, 6), (0, 1, 2), 1)
    result = Labels(np.zeros(plane.shape, int), **plane.placement)
    np.testing.assert_allclose(result.data_to_world((1, 1)), layer.data_to_world((0, 1, 1))[1:])
    assert result.units == layer.units[1:]


def test_pixels_that_cannot_be_read_are_said():
    broken = Mock(__array__=Mock(side_effect=RuntimeError("bad chunk")))
    plane = replace(take_plane(Image(STACK[0]), (0, 0), (0, 1)), pixels=broken)
    with pytest.raises(PlaneError, match=r"cannot be read \(bad chunk\); check the file"):
        plane.read()


def test_pixel_size_is_read_from_the_units():
    assert pixel_size(Image(STACK[0], scale=(325, 325), units=("nm", "nm"))) == pytest.approx(0.325)
    assert pixel_size(Image(STACK[0], scale=(2, 2))) is None
    assert pixel_size(Image(STACK[0], scale=(-0.5, 0.5), units=("um", "um"))) == 0.5, "flipped"


@pytest.mark.parametrize(
    ("order", "height", "width"),
    [((0, 1, 2), 0.5, 0.25), ((1, 0, 2), 5, 0.25), ((1, 2, 0), 5, 0.25), ((2, 0, 1), 5, 0.5)],
)
def test_pixel_size_is_that_of_the_axes_on_the_screen(order, height, width):
    layer = Image(STACK, scale=(5, 0.5, 0.25), units=("um", "um", "um"))
    plane = take_plane(layer, (0, 0, 0), order)
    assert plane.pixel_size == height
    assert sizes_of(layer, order, plane.part) == {"Y": height, "X": width}


def test_what_is_asked_of_pixels_on_disk_does_not_touch_them(monkeypatch):
    class OnDisk:
        shape, dtype, ndim = (3, 4, 5), np.dtype(np.uint16), 3

        def __getitem__(self, place):
            return STACK[place]

    layer = Image(OnDisk(), contrast_limits=(0, 9))
    monkeypatch.setattr("napari_pffnet._qt.layers.axes.da.from_array", Mock(side_effect=AssertionError))
    assert len(channels(layer)) == 5
    assert plane_count(layer, (0, 1, 2)) == 1
