"""The step Correct without a screen, for tests: a viewer, a cursor, a mouse."""

from types import SimpleNamespace
from unittest.mock import Mock

from napari.components import ViewerModel

from napari_pffnet._qt.correct.controller import CorrectController
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.layers.active_labels import ActiveLabels


def make(layer, *images, tools=()):
    """A controller on `layer`, which is selected, over `images`."""
    viewer = ViewerModel()
    for each in (*images, layer):
        viewer.add_layer(each)
    view = Mock()
    view.pixels.return_value = 1
    view.replace_neighbours.return_value = False
    active = ActiveLabels(viewer)
    return CorrectController(active, view, Keys(active), Mock(), tools)


def point(controller, *place):
    """Put the cursor over a pixel of the layer, by its indices."""
    controller.viewer.cursor.position = tuple(controller.active.layer.data_to_world(place))
    return controller.viewer.cursor.position


def press(controller, name, *place):
    """Press the key of a tool over a pixel."""
    point(controller, *place)
    controller.press(name)


def mouse(controller, *places, still=False, button=1, modifiers=()):
    """Press at the first place, move over the others, release."""
    layer = controller.active.layer
    event = SimpleNamespace(
        type="mouse_press", button=button, pos=(0, 0), position=point(controller, *places[0]), modifiers=modifiers
    )
    (callback,) = layer.mouse_drag_callbacks
    steps = callback(layer, event)
    if next(steps, "not ours") == "not ours":
        return
    for number, place in enumerate(places[1:], start=1):
        event.type, event.pos, event.position = (
            "mouse_move",
            (0 if still else 20 * number, 0),
            point(controller, *place),
        )
        next(steps)
    event.type = "mouse_release"
    next(steps, None)


def status(controller):
    """What the status says."""
    return controller.view.set_status.call_args.args[0]


def waiting(controller):
    """The tool whose button is shown as pressed."""
    return controller.view.set_tool.call_args.args[0] if controller.view.set_tool.called else None
