"""The layer being corrected, its rows, and what they tell of every edit."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from label_planes import squares
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.label_rows import ACCEPTED


def follow(layer):
    viewer = ViewerModel()
    viewer.add_layer(layer)
    return viewer, ActiveLabels(viewer)


def test_follows_the_selection():
    viewer, active = follow(Labels(squares()))
    first, seen = viewer.layers[0], []
    active.switched.connect(seen.append)
    image = viewer.add_image(np.zeros((8, 8)))
    assert active.layer is active.rows is None
    viewer.layers.selection.active = first
    assert active.rows.layer is first
    assert seen == [None, first]
    active.close()
    viewer.layers.selection.active = image
    assert seen == [None, first, None]


def brush(layer):
    layer.brush_size = 3
    with layer.block_history():
        layer.paint((4, 4), 5)
        layer.paint((4, 6), 8)


def write(layer):
    layer.data_setitem((np.array([2, 2, 11]), np.array([2, 9, 11])), np.array([7, 0, 8]))


@pytest.mark.parametrize("edit", [brush, write, lambda layer: layer.fill((4, 4), 2)])
def test_writes_replay_every_edit_undo_and_redo(edit):
    layer = Labels(squares())
    _, active = follow(layer)
    copy = layer.data.copy()

    def replay(change):
        for write in change.writes:
            copy[write.indices] = write.values

    active.rows.changed.connect(replay)
    for step in (lambda: edit(layer), active.rows.undo, active.rows.redo):
        before = layer.data.copy()
        step()
        assert np.any(layer.data != before)
        np.testing.assert_array_equal(copy, layer.data)


def test_state_of_objects_can_be_set():
    layer = Labels(squares(), features={"index": [1, 5], "score": [0.9, 0.7], "area": [36, 35]})
    _, active = follow(layer)
    active.rows.set_state([0, 2, 5], ACCEPTED)
    rows = layer.features.set_index("index")
    assert rows["state"].to_dict() == {1: "", 2: "accepted", 5: "accepted"}
    assert rows["area"].to_dict() == {1: 36, 2: 36, 5: 35}
    assert rows["score"][5] == 0.7


def test_a_layer_selected_again_has_its_history():
    layer = Labels(squares(), features={"index": [1, 2], "score": [0.9, 0.8]})
    viewer, active = follow(layer)
    write(layer)
    other = viewer.add_labels(np.zeros((8, 8), int))
    assert active.layer is other
    viewer.layers.selection.active = layer
    active.rows.undo()
    np.testing.assert_array_equal(layer.data, squares())
    assert layer.features.set_index("index")["score"].dropna().to_dict() == {1: 0.9, 2: 0.8}
    assert set(layer.features["state"]) <= {""}
    rows = active.rows
    viewer.layers.remove(layer)
    viewer.add_layer(layer)
    assert active.rows is not rows
