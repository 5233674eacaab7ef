"""Old and new model side by side, without a screen."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_pffnet._qt.layers.camera import camera
from napari_pffnet._qt.train.compare_layers import (
    FALSE,
    FOUND,
    GONE,
    LOST,
    CompareLayers,
    compare_labels,
    with_difference,
)


def squares(*columns):
    """Squares of 8 pixels, one per column; their ids are not consecutive."""
    labels = np.zeros((20, 100), np.int32)
    for x in columns:
        labels[4:12, x : x + 8] = x + 1
    return labels


IMAGE = np.random.default_rng(0).random((20, 100))
TRUTH, OLD, NEW = squares(0, 20, 40), squares(0, 21, 60, 80), squares(0, 40, 61, 90)


def test_what_differs_is_found_and_placed():
    difference = compare_labels(TRUTH, OLD, NEW)
    assert [(mark.kind, mark.x, mark.diameter) for mark in difference.marks] == [
        (FOUND, 43.5, 8),
        (LOST, 23.5, 8),
        (GONE, 83.5, 8),
        (FALSE, 93.5, 8),  # the false one at 60 is false in both
    ]
    assert (
        difference.headline() == "1 found only by the new model · 1 lost by the new model · 1 false gone · 1 more false"
    )


def test_equal_and_empty_results_do_not_differ():
    empty = squares()
    assert compare_labels(TRUTH, OLD, OLD).headline() == "the same nuclei; their outlines may differ"
    assert compare_labels(empty, empty, empty).marks == ()


def test_layers_are_named_and_lie_side_by_side():
    viewer = ViewerModel()
    CompareLayers(viewer).show("a", *with_difference(IMAGE, TRUTH, OLD, NEW))
    assert [layer.name for layer in viewer.layers] == [
        "a: old (left), new (right)",
        "a: truth",
        "a: old model",
        "a: new model",
        "a: better and worse",
    ]
    picture, truth, old, new, marks = viewer.layers
    offset = int(new.translate[1])
    assert offset > IMAGE.shape[1]
    assert np.array_equal(picture.data[:, offset:], IMAGE)
    assert np.array_equal(truth.data[:, offset:], TRUTH)
    assert not old.translate.any()
    assert marks.data[[0, 4], 1].tolist() == [43.5, 43.5 + offset]
    assert marks.symbol[0] == marks.symbol[2] != marks.symbol[1] == marks.symbol[3]
    assert marks.text.values.tolist() == ["", "", "", "", "", LOST, "", FALSE]
    assert all(layer.contour for layer in (truth, old, new))
    colours = [tuple(layer.get_color(layer.data.max())) for layer in (truth, old, new)]
    assert len(set(colours)) == 3


@pytest.mark.parametrize("image", [IMAGE, np.zeros((20, 100), np.uint8), np.zeros((20, 100, 3), np.uint8)])
def test_any_image_and_no_difference_can_be_shown(image):
    viewer = ViewerModel()
    CompareLayers(viewer).show("a", *with_difference(image, TRUTH, TRUTH, TRUTH))
    assert len(viewer.layers) == 5
    assert len(viewer.layers[-1].data) == 0


def test_one_call_brings_back_the_users_layers():
    viewer = ViewerModel()
    shown, hidden = viewer.add_image(IMAGE), viewer.add_labels(TRUTH, visible=False)
    viewer.layers.selection = {shown, hidden}
    compare = CompareLayers(viewer)
    view = camera(viewer)
    view.center, view.zoom = (0.0, 3.0, 4.0), 7.0
    for name in ("a", "b"):
        compare.show(name, *with_difference(IMAGE, TRUTH, OLD, NEW))
        assert not shown.visible
        assert set(viewer.layers.selection) == {shown, hidden}
        assert len(viewer.layers) == 7
    viewer.layers.selection.active = compare.layers["new"]
    compare.remove()
    compare.remove()
    assert list(viewer.layers) == [shown, hidden]
    assert (shown.visible, hidden.visible) == (True, False)
    assert set(viewer.layers.selection) == {shown, hidden}
    assert (tuple(view.center), view.zoom) == ((0, 3, 4), 7)


def test_layers_that_the_user_removed_do_no_harm():
    viewer = ViewerModel()
    mine = viewer.add_image(IMAGE)
    compare = CompareLayers(viewer)
    compare.show("a", *with_difference(IMAGE, TRUTH, OLD, NEW))
    viewer.layers.remove(mine)
    viewer.layers.remove(compare.layers["truth"])
    compare.remove()
    assert len(viewer.layers) == 0
