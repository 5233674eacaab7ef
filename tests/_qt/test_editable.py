"""Copies of Labels layers that cannot be edited."""

import dask.array as da
import numpy as np
import pytest
import zarr
from correct_fakes import make, press, status
from napari.layers import Labels

from napari_pffnet._qt.layers import editable
from napari_pffnet._qt.layers.editable import hindrance
from napari_pffnet.readers import IN_PROJECT


def pixels():
    labels = np.zeros((3, 16, 16), np.uint16)
    labels[1, 2:6, 3:9] = 7
    labels[2, 8:12, 8:12] = 300
    return labels


def frozen(labels):
    labels.flags.writeable = False
    return labels


@pytest.mark.parametrize(
    "data",
    [
        [pixels(), pixels()[:, ::2, ::2]],
        [da.from_array(pixels()), da.from_array(pixels()[:, ::2, ::2])],
        da.from_array(pixels()),
        zarr.array(pixels()),
        frozen(pixels()),
    ],
    ids=["pyramid", "dask pyramid", "dask", "zarr", "frozen"],
)
def test_a_copy_can_be_corrected(data):
    facts = {"napari-pffnet": {"image": "cells"}, IN_PROJECT: {"folder": "somewhere"}}
    layer = Labels(
        data,
        name="theirs",
        scale=(2, 0.5, 0.5),
        translate=(1, 2, 3),
        units=("um", "um", "um"),
        metadata=facts,
        features={"index": [7, 300], "score": [0.5, 0.7]},
    )
    assert hindrance(layer)
    controller = make(layer)
    assert "edit a copy" in status(controller)
    controller.copy()
    copy = controller.active.layer
    assert controller.viewer.layers[-1] is copy
    assert copy is not layer
    assert not hindrance(copy)
    assert (copy.name, copy.visible, layer.visible) == ("theirs copy", True, False)
    np.testing.assert_array_equal(copy.data, pixels())
    np.testing.assert_allclose(copy.data_to_world((1, 2, 3)), (3, 3, 4.5))
    assert copy.units == layer.units
    assert copy.metadata == {"napari-pffnet": {"image": "cells"}}
    assert copy.features["score"].tolist() == [0.5, 0.7]
    assert controller.view.set_layer.call_args.kwargs == {"editable": True}
    controller.viewer.dims.set_point(0, 5)
    press(controller, "delete", 2, 9, 9)
    assert not (copy.data == 300).any()
    assert (np.asarray(layer.data[0] if layer.multiscale else layer.data) == 300).any(), "the layer stays as it is"


def test_ids_that_need_64_bits_are_kept():
    labels = frozen(np.full((4, 4), 2**40))
    assert editable.editable_copy(Labels(labels)).data.max() == 2**40


def test_a_copy_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(editable, "LARGEST", 100)
    controller = make(Labels(da.from_array(pixels()), name="theirs"))
    controller.copy()
    assert "segment what is in view" in status(controller)
    assert len(controller.viewer.layers) == 1
