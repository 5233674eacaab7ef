"""Axes of images that napari opens are named as their files do."""

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image
from panel_fakes import FakeEngine, FakeView, at_once

from napari_pffnet._qt.layers.axes import channels, name_as_in_file
from napari_pffnet._qt.layers.planes import plane_count
from napari_pffnet._qt.segment.controller import SegmentController


@pytest.fixture(params=["OME", "ImageJ"])
def series(tmp_path, request):
    """A file of six frames in two channels, and its pixels as napari has them."""
    file, ome = tmp_path / ("a.ome.tif" if request.param == "OME" else "a.tif"), request.param == "OME"
    pixels = np.zeros((6, 2, 16, 20), np.uint16)
    tifffile.imwrite(file, pixels, ome=ome, imagej=not ome, metadata={"axes": "TCYX"}, photometric="minisblack")
    return file, pixels


def opened(file, pixels, **how):
    layer = Image(pixels, **how)
    layer._set_source(type(layer.source)(path=str(file)))
    return layer


def test_channels_of_a_series_are_no_planes(series):
    viewer = ViewerModel()
    _controller = SegmentController(viewer, FakeView(), FakeEngine(), at_once)
    viewer.add_layer(layer := opened(*series))
    assert layer.axis_labels == ("t", "c", "y", "x")
    assert [title for title, _ in channels(layer)] == ["the one in view", "1", "2"]
    assert plane_count(layer, viewer.dims.order) == 6


def test_names_that_are_there_and_other_pixels_stay(series):
    file, pixels = series
    for layer in (
        opened(file, pixels, axis_labels=("a", "b", "y", "x")),
        opened(file, pixels[:3]),
        opened(file.with_name("gone.tif"), pixels),
        Image(pixels),
    ):
        before = layer.axis_labels
        name_as_in_file(layer)
        assert layer.axis_labels == before


def test_other_images_are_not_named_like_the_file(series):
    viewer = ViewerModel()
    _controller = SegmentController(viewer, FakeView(), FakeEngine(), at_once)
    plain = viewer.add_image(np.zeros((9, 5, 16, 20)))
    before = plain.axis_labels
    viewer.add_layer(opened(*series))
    assert plain.axis_labels == before
    viewer.dims.axis_labels = ("t", "z", "y", "x")
    assert plain.axis_labels == ("t", "z", "y", "x"), "what the user names is meant"


def test_samples_that_are_no_colours_are_channels(tmp_path):
    pixels = np.zeros((6, 3, 16, 20), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels, metadata={"axes": "ZSYX"}, photometric="rgb", planarconfig="separate"
    )
    layer = opened(tmp_path / "a.ome.tif", pixels)
    name_as_in_file(layer)
    assert layer.axis_labels == ("z", "c", "y", "x")


def test_a_file_that_does_not_say_names_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels := np.zeros((6, 16, 20), np.uint16), photometric="minisblack")
    layer = opened(tmp_path / "a.tif", pixels)
    name_as_in_file(layer)
    assert layer.axis_labels == Image(pixels).axis_labels
