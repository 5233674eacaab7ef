"""The tools that ask the network, with a network that always sees the same square."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from correct_fakes import mouse, point, press, status
from napari.components import ViewerModel
from napari.layers import Image, Labels
from panel_fakes import FakeEngine, at_once, options

from label_planes import TURNED, ids, squares
from napari_pffnet._qt.correct.controller import CorrectController
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.correct.point_tools import ELSEWHERE, LOOKING, NO_IMAGE, NOT_SEEN, PointTools
from napari_pffnet._qt.engine import Request
from napari_pffnet._qt.insight import Insights
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.planes import take_plane
from napari_pffnet.library import LibraryError
from napari_pffnet.segment import FoundNucleus


class FakePointer:
    """Sees a square of 5 × 5 pixels with its corner at `corner`, whatever it is asked."""

    def __init__(self, corner=(9, 1), warm=True, score=0.8):
        self.corner, self.warm, self.score, self.asked = corner, warm, score, []

    def ready(self, box):
        return self.warm

    def prepare(self, box):
        self.warm = True

    def _found(self, *place):
        self.asked.append(place)
        if self.corner is None:
            return None
        rows, columns = np.indices((5, 5)).reshape(2, -1)
        return FoundNucleus((rows + self.corner[0], columns + self.corner[1]), self.score, 0.9)

    nucleus_at = _found

    def nucleus_in(self, box):
        return self._found(*box)


def make(layer, pointer=None, placing=None, known=True, background=at_once, settings=()):
    """A controller with the tools, over an image that was segmented, if `known`; `settings` of the configuration."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(layer.data.shape), **(placing or {}))
    viewer.add_layer(layer)
    insights, engine, view = Insights(viewer), FakeEngine(), Mock()
    view.replace_neighbours.return_value = False
    view.pixels.return_value = 1
    pointer = pointer or FakePointer()
    engine.pointer = Mock(return_value=pointer)

    def request(wanted, part=None):
        plane = take_plane(wanted, viewer.dims.point, viewer.dims.order, part=part)
        return Request(plane, "default", "cpu", options(**dict(settings)).config)

    if known:
        insights.remember(image, SimpleNamespace(request=request(image), pointer=pointer))
    active = ActiveLabels(viewer)
    tools = PointTools(insights, engine, request, background, view.replace_neighbours).tools()
    return CorrectController(active, view, Keys(active), Mock(), tools), engine


@pytest.mark.parametrize("placing", [{}, TURNED])
def test_click_paints_the_nucleus_as_a_new_label_and_undo_takes_it_back(placing):
    layer, pointer = Labels(squares(np.uint16), **placing), FakePointer()
    controller, engine = make(layer, pointer, placing)
    press(controller, "here", 11, 3)
    assert np.argwhere(layer.data == 6).tolist() == [[y, x] for y in range(9, 14) for x in range(1, 6)]
    assert pointer.asked == [pytest.approx((11, 3))]
    assert status(controller) == "Nucleus 6: fit 0.90, score 0.80."
    row = layer.features.set_index("index").loc[6]
    assert row["area"] == 25
    assert row["origin"].startswith("default ")
    assert row["origin"].endswith(", pointed at")
    controller.undo()
    np.testing.assert_array_equal(layer.data, squares())
    assert not engine.pointer.called


def test_box_is_given_in_pixel_edges_inside_the_image():
    layer, pointer = Labels(squares()), FakePointer()
    controller, _ = make(layer, pointer)
    controller.choose("box")
    mouse(controller, (15, -3), (9, 4))
    assert pointer.asked == [pytest.approx((9.5, 0, 15.5, 4.5))]
    assert 6 in ids(layer)


def test_new_nucleus_is_trimmed_or_replaces_by_choice():
    layer = Labels(squares())
    controller, _ = make(layer, FakePointer((2, 6)))
    press(controller, "here", 4, 7)
    assert status(controller).startswith("Not done: another nucleus is there already")
    controller.view.replace_neighbours.return_value = True
    press(controller, "here", 4, 7)
    assert np.count_nonzero(layer.data == 6) == 25
    assert ids(layer) == {1, 2, 5, 6}


def test_fit_redraws_in_place_and_asks_with_the_box_of_the_nucleus():
    layer, pointer = Labels(squares()), FakePointer((10, 12))
    controller, _ = make(layer, pointer)
    press(controller, "fit", 14, 14)
    assert pointer.asked == [(10, 10, 16, 16)]
    assert np.argwhere(layer.data == 5).min(0).tolist() == [10, 12]
    assert np.count_nonzero(layer.data == 5) == 25
    press(controller, "fit", 19, 0)
    assert status(controller) == "No nucleus there."


def test_without_features_the_tile_is_computed_in_the_background_once():
    jobs, layer = [], Labels(squares())
    controller, engine = make(
        layer, FakePointer(warm=False), known=False, background=lambda *a, **k: jobs.append((a, k))
    )
    press(controller, "here", 11, 3)
    assert status(controller) == LOOKING
    assert controller.view.set_busy.call_args.args == (True,)
    assert 6 not in ids(layer)
    (arguments, callbacks) = jobs.pop()
    at_once(*arguments, **callbacks)
    assert 6 in ids(layer)
    assert controller.view.set_busy.call_args.args == (False,)
    controller.undo()
    press(controller, "here", 11, 3)
    assert 6 in ids(layer)
    assert not jobs
    assert engine.pointer.call_count == 1


def test_who_selects_another_layer_meanwhile_loses_no_origin():
    jobs, layer = [], Labels(squares())
    controller, _ = make(layer, known=False, background=lambda *a, **k: jobs.append((a, k)))
    press(controller, "here", 11, 3)
    controller.viewer.layers.selection.active = controller.viewer.layers[0]
    (arguments, callbacks) = jobs.pop()
    at_once(*arguments, **callbacks)
    assert layer.features.set_index("index")["origin"][6].endswith(", pointed at")


def test_what_was_computed_of_other_pixels_or_settings_is_not_used():
    settings = {}
    controller, engine = make(Labels(squares()), known=False, settings=settings)
    image = controller.viewer.layers[0]

    def looks():
        press(controller, "here", 11, 3)
        controller.undo()
        return engine.pointer.call_count

    assert looks() == looks() == 1
    image.data = np.ones(image.data.shape)
    assert looks() == looks() == 2
    settings["diameter"] = 80.0
    assert looks() == looks() == 3
    assert engine.pointer.call_args.args[0].config.diameter == 80


def test_what_goes_wrong_is_said():
    layer = Labels(squares())
    controller, engine = make(layer, FakePointer(None))
    press(controller, "here", 11, 3)
    assert status(controller) == NOT_SEEN
    controller.choose("box")
    mouse(controller, (9, 1), (9.2, 1.2))
    assert status(controller).startswith("Drag a box")
    controller.gestures.end()
    press(controller, "here", -2, 3)
    assert status(controller) == "No nucleus there."

    controller, engine = make(layer, known=False)
    engine.pointer.side_effect = LibraryError("no model 'mine'")
    press(controller, "here", 11, 3)
    assert status(controller) == "Not done: no model 'mine'."
    assert controller.view.set_busy.call_args.args == (False,)
    controller.viewer.layers.remove(next(x for x in controller.viewer.layers if isinstance(x, Image)))
    point(controller, 11, 3)
    controller.press("here")
    assert status(controller) == NO_IMAGE
    np.testing.assert_array_equal(layer.data, squares())


def test_a_nucleus_is_not_redrawn_as_what_resembles_none():
    layer = Labels(squares())
    controller, _ = make(layer, FakePointer((1, 1), score=0.001))
    press(controller, "fit", 3, 3)
    assert status(controller) == NOT_SEEN
    np.testing.assert_array_equal(layer.data, squares())


def test_an_image_of_the_same_size_that_lies_elsewhere_is_named():
    controller, _ = make(Labels(squares()), placing={"scale": (0.3, 0.3), "name": "cells"})
    press(controller, "here", 11, 3)
    assert status(controller) == ELSEWHERE.format("cells")
    controller.viewer.layers["cells"].visible = False
    press(controller, "here", 11, 3)
    assert status(controller) == NO_IMAGE


def test_stack_is_edited_in_the_plane_in_view():
    layer = Labels(np.stack([squares(), squares()]))
    controller, _ = make(layer)
    controller.viewer.dims.set_point(0, 1)
    press(controller, "here", 1, 11, 3)
    assert 6 in layer.data[1]
    np.testing.assert_array_equal(layer.data[0], squares())


def test_a_nucleus_under_the_cursor_is_not_painted_again():
    layer = Labels(squares(np.uint16))
    controller, _ = make(layer, FakePointer(corner=(2, 2)))
    y, x = np.argwhere(layer.data == 1)[0]
    press(controller, "here", y, x)
    np.testing.assert_array_equal(layer.data, squares())
    assert status(controller).startswith("Not done: another nucleus is there already")
    layer.visible = False
    press(controller, "here", 11, 3)
    assert "is hidden; show it first" in status(controller)
