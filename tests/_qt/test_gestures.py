"""Mouse and keys on a layer, read as gestures."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from app_model.types import KeyBinding
from correct_fakes import make, mouse, point, status, waiting
from napari.layers import Labels
from napari.settings import get_settings

from label_planes import TURNED, squares
from napari_pffnet._qt.correct.keys import napari_keys
from napari_pffnet._qt.correct.tools import Tool


def start(*gestures, layer=None, **facts):
    """A controller whose only own tool takes the gestures; it waits."""
    tool = Tool("mine", "W", "Mine", "Do something.", "", gestures, Mock(return_value="Done."), **facts)
    controller = make(layer or Labels(squares(), **TURNED), tools=[tool])
    controller.choose("mine")
    return controller, tool


def made(tool):
    """Kind and points of the gestures that the tool was given."""
    return [(call.args[1].kind, call.args[1].points.round(6).tolist()) for call in tool.do.call_args_list]


def key(controller, name):
    return controller.active.layer.keymap.get(KeyBinding.from_str(name))


def press(controller, name):
    return key(controller, name)(controller.active.layer)


def shown(controller, number):
    """The line (0) or the points (1) drawn last, as rows and columns."""
    world = controller.gestures.canvas.show.call_args.args[number]
    return [np.round(controller.active.layer.world_to_data(each), 6).tolist() for each in world]


@pytest.mark.parametrize(
    ("kind", "points", "line"),
    [
        ("path", [[5, 1], [9, 4], [3, 8]], [[5, 1], [9, 4], [3, 8]]),
        ("lasso", [[5, 1], [9, 4], [3, 8]], [[5, 1], [9, 4], [3, 8], [5, 1]]),
        ("box", [[3, 1], [5, 8]], [[3, 1], [3, 8], [5, 8], [5, 1], [3, 1]]),
    ],
)
def test_drag_is_the_gesture_that_the_tool_takes_and_is_shown(kind, points, line):
    controller, tool = start(kind, "click")
    assert controller.active.layer.mouse_pan is False
    mouse(controller, (5, 1), (9, 4), (3, 8))
    assert made(tool) == [(kind, points)]
    assert shown(controller, 0) == line
    assert controller.gestures.canvas.method_calls[-1][0] == "clear"
    assert status(controller) == "Done."
    mouse(controller, (7, 7), (7, 8), still=True)
    assert made(tool)[1:] == [("click", [[7, 7]])]


def test_click_that_is_not_taken_says_what_to_do():
    controller, tool = start("box")
    mouse(controller, (5, 1))
    assert status(controller) == "Do something."
    tool.do.assert_not_called()


def test_other_buttons_and_zooming_are_not_ours():
    controller, tool = start("path", "click")
    mouse(controller, (5, 1), (9, 4), button=2)
    mouse(controller, (5, 1), (9, 4), modifiers=("Alt",))
    tool.do.assert_not_called()


def test_gesture_on_a_plane_of_a_rolled_stack():
    layer = Labels(np.stack([squares()] * 3), scale=(3, 1, 1))
    controller, tool = start("box", layer=layer)
    controller.viewer.dims.order = (1, 0, 2)
    controller.viewer.dims.set_point(1, 4)
    mouse(controller, (0, 4, 8), (2, 4, 3))
    assert made(tool) == [("box", [[0, 3], [2, 8]])]
    assert tool.do.call_args.args[0].pixels.shape == (3, 24)


def test_seeds_are_placed_one_by_one_and_enter_takes_them():
    controller, tool = start("seeds")
    assert key(controller, "Enter") is None
    for place in [(3, 3), (7, 7), (30, -4)]:
        mouse(controller, place)
    assert shown(controller, 1) == [[3, 3], [7, 7], [30, -4]]
    assert status(controller).startswith("3 points")
    tool.do.assert_not_called()
    press(controller, "Enter")
    assert made(tool) == [("seeds", [[3, 3], [7, 7], [30, -4]])]
    assert key(controller, "Enter") is None
    assert waiting(controller) == "mine"


def test_escape_forgets_the_seeds_and_then_ends_the_tool():
    controller, tool = start("seeds")
    mouse(controller, (3, 3))
    press(controller, "Escape")
    assert status(controller) == "Do something."
    mouse(controller, (7, 7))
    press(controller, "Enter")
    assert made(tool) == [("seeds", [[7, 7]])]
    press(controller, "Escape")
    assert waiting(controller) is None
    assert key(controller, "Escape") is None


def test_seeds_belong_to_their_plane():
    controller, _ = start("seeds", layer=Labels(np.stack([squares()] * 3)))
    mouse(controller, (1, 3, 3))
    controller.viewer.dims.set_current_step(0, 2)
    assert key(controller, "Enter") is None
    assert controller.gestures.canvas.method_calls[-1][0] == "clear"


def test_double_click_is_another_click_and_does_not_zoom():
    controller, tool = start("click")
    zoomers = controller.viewer.mouse_double_click_callbacks
    assert zoomers == []
    layer = controller.active.layer
    event = SimpleNamespace(button=1, position=point(controller, 3, 3), modifiers=())
    layer.mouse_double_click_callbacks[-1](layer, event)
    assert made(tool) == [("click", [[3, 3]])]
    controller.gestures.end()
    assert len(zoomers) == 1


@pytest.mark.parametrize("number", [0, -1])
def test_napari_s_keys_for_panning_end_the_tool(number):
    controller, _ = start("lasso")
    layer = controller.active.layer
    pan = napari_keys("activate_labels_pan_zoom_mode")[number]
    press(controller, pan)
    assert waiting(controller) is None
    assert layer.mouse_pan
    assert layer.mode == "pan_zoom"
    assert key(controller, pan) is None, "it is napari's again"


def test_keys_of_napari_that_are_none_here_are_passed_over(monkeypatch):
    action = "napari:activate_labels_pan_zoom_mode"
    shortcuts = {
        **get_settings().shortcuts.shortcuts,
        action: [KeyBinding.from_str("Shift+5"), KeyBinding.from_str("Y")],
    }
    monkeypatch.setattr(get_settings().shortcuts, "shortcuts", shortcuts)
    assert napari_keys("activate_labels_pan_zoom_mode") == ["Y"]
    controller, _ = start("lasso")
    press(controller, "Y")
    assert waiting(controller) is None


def test_space_moves_the_camera_while_it_is_down():
    controller, tool = start("lasso")
    layer = controller.active.layer
    down = press(controller, "Space")
    next(down)
    assert layer.mouse_pan is True
    mouse(controller, (3, 3), (9, 9), (3, 9))
    tool.do.assert_not_called()
    next(down, None)
    assert layer.mouse_pan is False
    down = press(controller, "Space")
    next(down)
    controller.gestures.end()
    next(down, None)
    assert layer.mouse_pan is True
    assert key(controller, "Space") is None


def test_tool_that_ends_during_a_drag_does_nothing():
    controller, tool = start("path")
    layer = controller.active.layer
    (callback,) = layer.mouse_drag_callbacks
    event = SimpleNamespace(type="mouse_press", button=1, pos=(0, 0), position=point(controller, 3, 3), modifiers=())
    steps = callback(layer, event)
    next(steps)
    controller.gestures.end()
    event.type, event.pos = "mouse_move", (50, 50)
    next(steps)
    event.type = "mouse_release"
    next(steps, None)
    tool.do.assert_not_called()
