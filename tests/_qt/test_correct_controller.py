"""The step Correct without a screen."""

from unittest.mock import Mock

import numpy as np
import pytest
from app_model.types import KeyBinding
from correct_fakes import make, mouse, press, status, waiting
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.action_manager import action_manager
from napari.utils.shortcuts import _default_shortcuts

from label_planes import TURNED, ids, squares
from napari_pffnet._qt.correct.controller import CorrectController
from napari_pffnet._qt.correct.edit_tools import class_tools, nucleus_tools
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.layers.active_labels import NO_LAYER, ActiveLabels
from napari_pffnet._qt.layers.camera import camera

TOOLS = [*nucleus_tools(Mock(), Mock()), *class_tools()]


@pytest.mark.parametrize("arguments", [{}, TURNED])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
@pytest.mark.parametrize(
    ("tool", "area"), [("delete", 0), ("fill_holes", 36), ("grow", 60), ("shrink", 11), ("smooth", 36)]
)
def test_key_edits_what_is_under_the_cursor_and_undo_restores(arguments, dtype, tool, area):
    layer = Labels(squares(dtype), **arguments)
    controller = make(layer)
    press(controller, tool, 14, 14)
    after = layer.data.copy()
    assert np.count_nonzero(after == 5) == pytest.approx(area, abs=6 if tool == "smooth" else 0)
    np.testing.assert_array_equal(np.isin(after, (1, 2)), squares() % 5 > 0)
    controller.undo()
    np.testing.assert_array_equal(layer.data, squares())
    controller.redo()
    np.testing.assert_array_equal(layer.data, after)
    assert layer.data.dtype == dtype


def test_merge_by_key_and_by_click():
    layer = Labels(squares())
    controller = make(layer)
    press(controller, "merge", 4, 4)
    assert status(controller) == "Nucleus 1: now click those that belong to it, Esc when done."
    mouse(controller, (4, 10))
    mouse(controller, (11, 11))
    assert ids(layer) == {1}
    controller.gestures.end()
    controller.undo()
    assert ids(layer) == {1, 5}


def test_the_key_begins_another_merge():
    four = squares()
    four[0:3, 17:20] = 8
    layer = Labels(four)
    controller = make(layer)
    press(controller, "merge", 4, 4)
    mouse(controller, (4, 10))
    press(controller, "merge", 13, 14)
    assert status(controller) == "Nucleus 5: now click those that belong to it, Esc when done."
    mouse(controller, (1, 18))
    assert ids(layer) == {1, 5}
    assert layer.data[1, 18] == 5


def test_a_layer_that_is_locked_offers_its_copy_at_once():
    layer = Labels(squares())
    controller = make(layer)
    layer.editable = False
    assert controller.view.set_layer.call_args.kwargs["editable"] is False
    layer.editable = True
    assert controller.view.set_layer.call_args.kwargs["editable"] is True
    controller.close()
    controller.view.reset_mock()
    layer.editable = False
    controller.view.set_layer.assert_not_called()


def test_drawn_line_splits_what_it_crosses_in_one_step():
    layer = Labels(squares(), **TURNED)
    controller = make(layer)
    controller.choose("split")
    assert layer.mouse_pan is False
    mouse(controller, (5, 0), (5, 5), (5, 15))
    assert ids(layer) == {1, 2, 5, 6, 7}
    assert status(controller) == "Split: 2 new nuclei."
    controller.undo()
    np.testing.assert_array_equal(layer.data, squares())
    controller.gestures.end()
    assert layer.mouse_pan is True
    assert layer.mouse_drag_callbacks == []


def test_click_splits_at_the_waist():
    y, x = np.indices((31, 48))
    discs = ((y - 15) ** 2 + (x - 15) ** 2 <= 100) | ((y - 15) ** 2 + (x - 32) ** 2 <= 100)
    layer = Labels(discs.astype(np.uint16))
    controller = make(layer)
    controller.choose("split")
    mouse(controller, (15, 15), (15, 16), still=True)
    assert layer.data[15, 15] != layer.data[15, 32]


def test_chosen_tool_works_by_click_but_not_by_drag():
    layer = Labels(squares())
    controller = make(layer)
    controller.choose("grow")
    assert waiting(controller) == "grow"
    assert layer.mouse_pan is True
    mouse(controller, (13, 13), (9, 9))
    mouse(controller, (13, 13), button=2)
    mouse(controller, (13, 13), modifiers=("Alt",))
    np.testing.assert_array_equal(layer.data, squares())
    mouse(controller, (13, 13))
    assert np.count_nonzero(layer.data == 5) == 60
    controller.choose("grow")
    assert waiting(controller) is None


def test_napari_mode_ends_the_tool_and_escape_returns_to_the_mode_before():
    layer = Labels(squares())
    controller = make(layer)
    layer.mode = "paint"
    controller.choose("merge")
    assert layer.mode == "pan_zoom"
    layer.keymap[KeyBinding.from_str("Escape")](layer)
    assert layer.mode == "paint"
    assert KeyBinding.from_str("Escape") not in layer.keymap
    controller.choose("merge")
    layer.mode = "erase"
    assert waiting(controller) is None
    assert layer.mode == "erase"


def test_plane_in_view_of_a_stack_is_edited_with_ids_new_to_the_stack():
    stack = np.stack([squares(), squares(), np.full_like(squares(), 9)])
    layer = Labels(stack.copy(), scale=(2, 1, 1), translate=(5, 0, 0))
    controller = make(layer)
    controller.viewer.dims.set_point(0, layer.data_to_world((1, 0, 0))[0])
    press(controller, "delete", 1, 11, 11)
    controller.choose("split")
    mouse(controller, (1, 5, 0), (1, 5, 7))
    np.testing.assert_array_equal(layer.data[[0, 2]], stack[[0, 2]])
    assert set(np.unique(layer.data[1]).tolist()) == {0, 1, 2, 10}
    controller.undo()
    controller.undo()
    np.testing.assert_array_equal(layer.data, stack)


def test_rolled_stack_is_edited_on_the_plane_on_the_screen():
    layer = Labels(np.stack([squares()] * 3))
    controller = make(layer)
    controller.viewer.dims.order = (1, 0, 2)
    controller.viewer.dims.set_point(1, 4)
    press(controller, "delete", 1, 4, 4)
    assert not np.any(layer.data[:, 4] == 1)
    assert np.all(layer.data[:, 3, 2:8] == 1)


def test_rows_follow_edits_undo_and_redo():
    layer = Labels(squares(), features={"index": [1, 2, 5], "score": [0.9, 0.8, 0.7], "area": [36, 36, 35]})
    controller = make(layer)
    press(controller, "merge", 4, 4)
    mouse(controller, (4, 10))
    table = layer.features.set_index("index")
    assert table["area"].to_dict() == {1: 72, 5: 35}
    assert table["state"].to_dict() == {1: "edited", 5: ""}
    assert table["score"].to_dict() == {1: 0.9, 5: 0.7}
    controller.undo()
    assert layer.features["area"].tolist() == [36, 36, 35]
    assert layer.features["score"].tolist() == [0.9, 0.8, 0.7]
    assert layer.features["state"].tolist() == ["", "", ""]
    controller.redo()
    assert layer.features["area"].tolist() == [72, 35]
    assert layer.features["state"].tolist() == ["edited", ""]


def test_rows_follow_the_brush_and_its_undo():
    layer = Labels(squares())
    controller = make(layer)
    layer.brush_size, layer.selected_label = 1, 8
    layer.paint((17, 3), 8)
    assert layer.features[["index", "area", "state"]].to_dict("list") == {"index": [8], "area": [1], "state": ["new"]}
    layer.fill((4, 4), 2)
    assert layer.features.set_index("index")["area"].to_dict() == {2: 72, 8: 1}
    controller.undo()
    controller.undo()
    assert len(layer.features) == 0
    np.testing.assert_array_equal(layer.data, squares())


def test_stroke_of_several_writes_is_counted_once():
    layer = Labels(squares())
    controller = make(layer)
    layer.brush_size = 1
    with layer.block_history():
        for column in (3, 4, 4, 5):
            layer.paint((4, column), 5)
    assert layer.features.set_index("index")["area"].to_dict() == {1: 33, 5: 38}
    controller.undo()
    assert len(layer.features) == 0
    controller.redo()
    assert layer.features["area"].tolist() == [33, 38]
    assert np.count_nonzero(layer.data == 5) == 38


def test_view_of_outlines_follows():
    layer = Labels(squares())
    layer.contour = 1
    controller = make(layer)
    press(controller, "delete", 4, 4)
    shown = np.asarray(layer._slice.image.view)
    layer.refresh()
    np.testing.assert_array_equal(shown, layer._slice.image.view)
    assert not shown[2, 2]


def test_edits_from_before_the_panel_can_be_undone_too():
    layer = Labels(squares())
    layer.fill((4, 4), 0)
    controller = make(layer)
    controller.undo()
    np.testing.assert_array_equal(layer.data, squares())
    assert layer.features["area"].tolist() == [36]
    controller.undo()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Labels([np.ones((8, 8), int), np.ones((4, 4), int)], multiscale=True), "Edit a copy"),
        (Labels(np.ones((8, 8), int), metadata={"napari-pffnet": {"content": "semantic"}}), "layer of the nuclei"),
        (Labels(np.full((8, 8), 255, np.uint8)), "convert the layer to int32"),
        (Labels(np.broadcast_to(np.int32(1), (8, 8))), "locked"),
    ],
)
def test_what_cannot_be_done_is_told(layer, reason):
    controller = make(layer)
    controller.choose("split")
    if waiting(controller):
        mouse(controller, (4, 0), (4, 7))
    assert reason in status(controller)


def test_three_dimensional_view_is_told():
    controller = make(Labels(np.stack([squares()] * 3)))
    controller.viewer.dims.ndisplay = 3
    press(controller, "delete", 1, 4, 4)
    assert "switch to the 2D view" in status(controller)


def test_background_and_outside_are_no_nucleus():
    layer = Labels(squares())
    controller = make(layer)
    for place in [(0, 0), (-5, 3), (500, 500)]:
        press(controller, "grow", *place)
        assert status(controller) == "No nucleus there."
    assert ids(layer) == {1, 2, 5}


def test_keys_are_free_in_napari():
    mine = {KeyBinding.from_str(tool.key) for tool in TOOLS if tool.key}
    assert len(mine) == len(TOOLS) - 2, "all but Relabel and Link planes"
    taken = {
        KeyBinding.from_int(key)
        for name, keys in _default_shortcuts.items()
        for key in keys
        if action_manager._actions[name].keymapprovider in (Labels, ViewerModel)
    }
    assert KeyBinding.from_str("M") in taken
    assert mine.isdisjoint(taken | set(Labels.class_keymap) | set(ViewerModel.class_keymap))


def test_keys_come_and_go_with_the_layer():
    first, second = Labels(squares()), Labels(squares())
    own = Mock()
    first.bind_key("D", own)
    controller = make(first)
    assert first.keymap[KeyBinding.from_str("D")] is not own
    controller.viewer.add_layer(second)
    assert first.keymap == {KeyBinding.from_str("D"): own}
    assert len(second.keymap) == len([tool for tool in TOOLS if tool.key]) + 2
    controller.choose("split")
    controller.close()
    controller.keys.close()
    assert second.keymap == {}
    assert second.mouse_drag_callbacks == []


def test_without_a_labels_layer_it_says_so():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((8, 8)))
    active = ActiveLabels(viewer)
    controller = CorrectController(active, Mock(), Keys(active), Mock())
    controller.choose("delete")
    controller.undo()
    assert status(controller) == NO_LAYER
    assert controller.view.set_layer.call_args.args[0] is None


def test_undo_says_what_it_was_and_goes_there_only_where_it_is_not_in_view():
    controller = make(Labels(np.stack([squares(), squares(), squares() + 10 * (squares() > 0), squares() * 20])))
    viewer, view = controller.viewer, camera(controller.viewer)
    for plane in (2, 3):
        viewer.dims.set_current_step(0, plane)
        press(controller, "delete", plane, 4, 4)
    view.center, view.zoom = (0, 5, 5), 30
    before = view.center, view.zoom
    controller.undo()
    assert status(controller) == "Undone: nucleus 20 deleted."
    assert (viewer.dims.current_step[0], view.center, view.zoom) == (3, *before)
    controller.undo()
    assert (viewer.dims.current_step[0], view.center) == (2, before[0])
    view.center = (0, 400, 400)
    controller.redo()
    assert status(controller) == "Redone: nucleus 11 deleted."
    assert view.center[-2:] == (4.5, 4.5)
    assert view.zoom == 30
    view.center = (0, 400, 400)
    controller.redo()
    assert (viewer.dims.current_step[0], view.center[-2:]) == (3, (4.5, 4.5))
    controller.redo()
    assert status(controller) == "Nothing to redo."
