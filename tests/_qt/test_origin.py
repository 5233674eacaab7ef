"""Which model a layer comes from."""

from dataclasses import replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.layers._source import layer_source
from panel_fakes import FakeEngine, FakeView, at_once, options

from model_files import write_model
from napari_pffnet._qt.layers.origin import layer_origin, made_of, model_origin
from napari_pffnet._qt.segment.controller import SegmentController
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library import add, available, remove, rename


def test_origin_is_name_and_hash_of_the_file(tmp_path):
    digest = add(write_model(tmp_path / "x.safetensors"), "mine").sha256
    assert model_origin("mine") == f"mine {digest[:8]}"
    assert model_origin(str(tmp_path / "x.safetensors")) == f"x {digest[:8]}"
    assert model_origin("default") == f"default {fingerprint(available()['default'])[:8]}"


def test_a_name_given_to_another_file_has_another_origin(tmp_path):
    add(write_model(tmp_path / "x.safetensors"), "mine")
    before = model_origin("mine")
    remove("mine")
    assert model_origin("mine") == "mine", "the name is all that is left"
    add(write_model(tmp_path / "y.safetensors", seed=1), "mine")
    assert model_origin("mine") not in ("mine", before)


def test_layers_made_elsewhere_have_none():
    layer = Labels(np.ones((2, 2), int))
    assert layer_origin(layer) == ""
    layer.metadata["napari-pffnet"] = {"model": "gone"}
    assert layer_origin(layer) == "gone"


def test_layers_of_ours_keep_the_origin_when_the_model_is_renamed(tmp_path):
    add(write_model(tmp_path / "x.safetensors"), "mine")
    viewer = ViewerModel()
    viewer.add_image(np.zeros((16, 16)))
    view = FakeView()
    view.now = replace(options(), model="mine")
    SegmentController(viewer, view, FakeEngine(), at_once).run()
    origin = model_origin("mine")
    rename("mine", "other")
    assert layer_origin(viewer.layers["nuclei"]) == origin != "mine"


def test_files_of_one_name_are_two_images():
    viewer = ViewerModel()

    def opened(file):
        with layer_source(path=file):
            return Image(np.zeros((16, 16)), name="img")

    first = viewer.add_layer(opened("one/img.tif"))
    SegmentController(viewer, FakeView(), FakeEngine(), at_once).run()
    nuclei = viewer.layers["nuclei"]
    first.name = "renamed"
    assert made_of(nuclei, first)
    assert made_of(nuclei, opened("two/img.tif")) is False
    assert made_of(nuclei, opened("one/img.tif"))
