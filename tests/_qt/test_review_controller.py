"""The step Review without a screen."""

import re

import numpy as np
import pytest
from app_model.types import KeyBinding
from correct_fakes import make as make_corrector
from napari.layers import Labels
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from review_fakes import FakeView, features, insight, nuclei, review, square

from label_planes import TURNED
from napari_pffnet._qt.correct.keys import napari_has
from napari_pffnet._qt.layers.active_labels import NO_LAYER
from napari_pffnet._qt.layers.axes import is_image
from napari_pffnet._qt.layers.camera import camera, canvas_size
from napari_pffnet._qt.review.controller import ReviewController
from napari_pffnet._qt.review.protocol import KEYS
from napari_pffnet._qt.review.rows import ALL, CANDIDATES, EDITED, Wanted
from napari_pffnet._qt.review.texts import LARGE, NOTHING_LEFT
from napari_pffnet.curate.calibration import Calibration

COUNTS = "{} accepted · {} edited · {} new · {} deleted of 4"


def start(known=None, wanted=Wanted(), **arguments):  # noqa: B008
    layer = Labels(nuclei(), features=features(), **arguments)
    controller = review(layer, known, opened=False)
    controller.view.now = wanted
    controller.set_open(True)
    return controller, layer, controller.view


def states(layer):
    return layer.features.set_index("index")["state"].to_dict()


def view_of(controller):
    found = camera(controller.viewer)
    return found.center[-2:], found.zoom


def show(controller, **wanted):
    controller.view.now = Wanted(**wanted)
    controller._list_again()


def paint(layer, window, value):
    """Write pixels as napari's own tools do."""
    layer.data_setitem(tuple(axis.ravel() for axis in np.mgrid[window]), value)


def test_costs_nothing_until_it_is_opened():
    controller = review(Labels(nuclei()), insight(), opened=False)
    assert len(controller.viewer.layers) == 1
    controller.view.set_rows.assert_not_called()


def test_lists_the_worst_first_with_the_reason():
    _, _, view = start()
    assert view.listed == ["2", "9", "1", "3"]
    assert view.last("set_rows")["reason"][0] == "predicted fit 0.50"
    assert view.last("set_counts") == COUNTS.format(0, 0, 0, 0)


def test_candidates_stand_in_the_list_and_are_outlined():
    controller, layer, view = start(insight())
    assert view.listed == ["2", "c0", "9", "c1", "1", "3"]
    outlines = controller.viewer.layers["candidates"]
    assert set(np.unique(outlines.data).tolist()) == {0, 2, 3}
    assert outlines.contour
    assert not outlines.editable
    assert controller.viewer.layers.selection.active is layer
    controller.set_open(False)
    assert list(controller.viewer.layers) == [layer]


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_next_moves_the_camera_and_overview_brings_it_back(arguments):
    controller, layer, view = start(**arguments)
    before = view_of(controller)
    controller.next()
    assert view.last("set_current") == 0
    assert view.last("set_status") == "Nucleus 2: predicted fit 0.50."
    np.testing.assert_allclose(view_of(controller)[0], layer.data_to_world((14.5, 34.5)))
    controller.next()
    np.testing.assert_allclose(view_of(controller)[0], layer.data_to_world((44.5, 14.5)))
    controller.previous()
    controller.previous()
    np.testing.assert_allclose(view_of(controller)[0], layer.data_to_world((4.5, 54.5)))
    controller.overview()
    assert view_of(controller) == before


def test_zoom_is_comfortable_and_then_the_users():
    controller, _, _ = start()
    controller.next()
    diameter = 2 * np.sqrt(100 / np.pi)
    in_view = min(canvas_size(controller.viewer)) / view_of(controller)[1] / diameter
    assert 6 <= in_view <= 8
    camera(controller.viewer).zoom *= 1.5
    chosen = view_of(controller)[1]
    controller.next()
    assert view_of(controller)[1] == chosen


def test_large_object_is_shown_whole():
    labels = nuclei()
    labels[25:35, 0:80] = 5
    controller = review(Labels(labels))
    controller.next()
    assert controller._present.key.number == 5
    assert view_of(controller)[1] * 80 < min(canvas_size(controller.viewer))


def test_accepting_goes_on_and_counts():
    controller, layer, view = start()
    controller.next()
    controller.accept()
    assert states(layer)[2] == "accepted"
    assert controller._present.key.number == 9
    assert view.listed == ["9", "1", "3"]
    controller.accept()
    controller.accept()
    controller.accept()
    assert view.listed == []
    assert view.last("set_counts") == COUNTS.format(4, 0, 0, 0)
    assert view.last("set_status") == NOTHING_LEFT


def test_list_of_all_goes_on_too():
    controller, _, view = start(wanted=Wanted(show=ALL))
    controller.next()
    controller.accept()
    assert controller._present.key.number == 9
    assert view.listed == ["9", "1", "3", "2"]


def test_accepting_again_takes_it_back():
    controller, layer, view = start(wanted=Wanted(show=ALL, column="index", ascending=True))
    controller.choose(1)
    controller.accept()
    assert view.listed == ["1", "2", "3", "9"]
    controller.choose(1)
    controller.accept()
    assert states(layer)[2] == ""


def test_delete_goes_on_and_undo_restores():
    controller, layer, view = start()
    controller.next()
    controller.remove()
    assert not np.any(layer.data == 2)
    assert view.listed == ["9", "1", "3"]
    assert controller._present.key.number == 9
    assert view.last("set_counts") == COUNTS.format(0, 0, 0, 1)
    controller.undo()
    np.testing.assert_array_equal(layer.data, nuclei())
    assert view.listed == ["2", "9", "1", "3"]
    assert view.last("set_counts") == COUNTS.format(0, 0, 0, 0)


def test_undo_takes_the_last_thing_back_whatever_it_was():
    controller, layer, view = start()
    controller.next()
    controller.remove()
    controller.accept()
    layer.fill((4, 55), 0)
    controller.undo()
    assert np.any(layer.data == 3)
    controller.undo()
    assert states(layer)[9] == ""
    controller.undo()
    assert np.any(layer.data == 2)
    controller.undo()
    assert view.last("set_status") == "Nothing to undo."


def test_accepted_candidate_is_painted_as_a_new_nucleus():
    controller, layer, view = start(insight())
    controller.choose(view.listed.index("c0"))
    controller.accept()
    assert np.all(layer.data[40:50, 40:50] == 10)
    assert states(layer)[10] == "new"
    assert layer.features.set_index("index")["origin"][10] == "candidate"
    assert "c0" not in view.listed
    assert controller.viewer.layers["candidates"].data[45, 45] == 0
    assert view.last("set_counts") == COUNTS.format(0, 0, 1, 0)
    controller.undo()
    np.testing.assert_array_equal(layer.data, nuclei())
    assert "c0" in view.listed
    assert controller.viewer.layers["candidates"].data[45, 45] == 1, "it is the present one"


def test_a_candidate_in_a_linked_stack_goes_on_with_the_nucleus_beside():
    stack = np.stack([nuclei()] * 3)
    for z in (0, 2):
        stack[z, 40:50, 40:50] = 12
    layer = Labels(stack)
    controller = review(layer, insight(), opened=False)
    controller.viewer.dims.set_current_step(0, 1)
    controller.set_open(True)
    controller.choose(controller.view.listed.index("c0"))
    controller.accept()
    assert np.all(layer.data[:, 40:50, 40:50] == 12)


def test_key_c_accepts_candidates_one_after_the_other():
    controller, layer, view = start(insight())
    controller.viewer.cursor.position = (0, 0)
    controller.candidate()
    assert np.all(layer.data == nuclei()), "the first is shown before it is accepted"
    controller.candidate()
    controller.candidate()
    assert np.all(layer.data[40:50, 40:50] == 10)
    assert np.all(layer.data[40:50, 60:70] == 11)
    assert view.last("set_status") == "No candidate left."


def test_key_c_accepts_the_candidate_under_the_cursor():
    controller, layer, _ = start(insight(), **TURNED)
    before = view_of(controller)
    controller.viewer.cursor.position = layer.data_to_world((45, 65))
    controller.candidate()
    assert set(np.unique(layer.data)) == {0, 1, 2, 3, 9, 10}
    assert layer.data[45, 65] == 10
    assert view_of(controller) == before


def test_candidate_set_aside_can_come_back():
    controller, _, view = start(insight())
    outlines = controller.viewer.layers["candidates"]
    controller.choose(view.listed.index("c0"))
    controller.remove()
    assert "c0" not in view.listed
    assert outlines.data[45, 45] == 0
    controller.undo()
    assert "c0" in view.listed
    assert outlines.data[45, 45] == 1, "it is the present one"
    controller.next()
    assert outlines.data[45, 45] == 2
    controller.choose(view.listed.index("c0"))
    controller.remove()
    show(controller, show=CANDIDATES)
    assert view.listed == ["c1", "c0"]
    assert view.last("set_rows")["reason"][1] == "dismissed"


def test_candidate_covered_by_hand_leaves_the_list():
    _, layer, view = start(insight())
    paint(layer, np.s_[40:50, 40:48], 7)
    assert "c0" not in view.listed
    assert view.last("set_counts") == COUNTS.format(0, 0, 1, 0)


def test_a_candidate_that_is_gone_is_not_painted():
    controller, layer, view = start(insight())
    controller.choose(view.listed.index("c0"))
    paint(layer, np.s_[40:50, 40:47], 20)
    now = layer.data.copy()
    controller.accept()
    np.testing.assert_array_equal(layer.data, now)
    assert controller._present.key.number == 9, "the next one"
    controller, layer, view = start(insight(square(40, 40, 0.45)))
    for _ in range(4):
        controller.candidate()
    assert set(np.unique(layer.data)) == {0, 1, 2, 3, 9, 10}
    assert view.last("set_status") == "No candidate left."


def test_edit_takes_the_brush():
    controller, layer, view = start(insight())
    controller.next()
    controller.edit()
    assert (layer.mode, layer.selected_label) == ("paint", 2)
    controller.choose(view.listed.index("c0"))
    controller.edit()
    assert layer.selected_label == 10
    assert np.all(layer.data[40:50, 40:50] == 10)


def test_list_follows_edits_from_anywhere():
    controller, layer, view = start()
    paint(layer, np.s_[10:20, 30:35], 12)
    assert view.listed == ["9", "1", "3"]
    assert view.last("set_counts") == COUNTS.format(0, 1, 1, 0)
    show(controller, show=EDITED)
    rows = view.last("set_rows").set_index("index")
    assert rows["area"].to_dict() == {2: 50, 12: 50}
    assert (rows["left"][12], rows["left"][2]) == (30, 35)
    layer.features = layer.features.assign(state="accepted")
    assert view.last("set_counts") == COUNTS.format(4, 0, 1, 0)


def test_an_edit_and_a_new_state_are_listed_once():
    controller, layer, view = start(insight())
    controller.next()
    for change in (
        controller.accept,
        lambda: paint(layer, np.s_[10:20, 30:32], 0),
        lambda: paint(layer, np.s_[30:35, 30:35], 12),
        controller.undo,
    ):
        view.set_rows.reset_mock()
        change()
        assert view.set_rows.call_count == 1


def test_other_labels_in_the_layer_are_reviewed_afresh():
    _, layer, view = start()
    layer.data = np.where(nuclei() == 9, 4, 0)
    assert view.listed == ["4"]
    assert view.last("set_counts") == "0 accepted · 0 edited · 0 new · 0 deleted of 1"


@pytest.mark.parametrize(
    ("wanted", "listed"),
    [
        (Wanted("border"), ["3"]),
        (Wanted("FIT 0.7"), ["9"]),
        (Wanted(show=CANDIDATES), ["c0", "c1"]),
        (Wanted(column="index", ascending=True), ["1", "2", "3", "9", "c0", "c1"]),
        (Wanted(column="mask_score", within=("mask_score", 0.6, 0.93)), ["1", "9"]),
    ],
)
def test_filter_and_order(wanted, listed):
    _, _, view = start(insight(), wanted)
    assert view.listed == listed


def test_very_large_stack_lists_the_plane_in_view_only(monkeypatch):
    monkeypatch.setattr("napari_pffnet._qt.review.rows.MOST_PIXELS", 5000)
    layer = Labels(np.stack([nuclei(), nuclei()]))
    controller = review(layer)
    assert len(controller.view.listed) == 4
    assert controller.view.last("set_status") == LARGE
    paint(layer, np.s_[1 - controller._list.here : 2 - controller._list.here, 10:20, 10:20], 7)
    assert "7" not in controller.view.listed


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_layer_made_elsewhere_is_reviewed_from_its_labels(dtype):
    layer = Labels(nuclei(dtype))
    controller = review(layer)
    view = controller.view
    assert view.listed == ["3", "1", "2", "9"]
    view.set_network.assert_called_with(False)
    controller.next()
    controller.accept()
    controller.remove()
    assert states(layer) == {3: "accepted"}
    assert view.listed == ["2", "9"]


def test_stack_lists_all_planes_and_moves_the_slider():
    stack = np.stack([nuclei(), np.zeros_like(nuclei()), np.where(nuclei() == 9, 7, 0)])
    stack[2, 40:50, 20:40] = 7
    layer = Labels(stack, scale=(2, 1, 1), translate=(10, 0, 0))
    controller = review(layer)
    assert controller.view.listed == ["7", "3", "1", "2", "9"]
    controller.next()
    assert controller.viewer.dims.point[0] == 14
    controller.next()
    assert controller.viewer.dims.point[0] == 10
    controller.choose(0)
    controller.remove()
    assert not layer.data[2].any()
    np.testing.assert_array_equal(layer.data[0], nuclei())
    assert controller.view.listed == ["3", "1", "2", "9"]


def test_present_object_is_marked():
    controller, layer, _ = start()
    controller.next()
    marks = controller.viewer.layers["candidates"]
    np.testing.assert_array_equal(marks.data == 1, layer.data == 2)
    paint(layer, np.s_[10:20, 30:35], 0)
    np.testing.assert_array_equal(marks.data == 1, layer.data == 2)
    controller.next()
    np.testing.assert_array_equal(marks.data == 1, layer.data == 9)


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_disagreement_lies_on_the_nuclei_and_is_not_selected(arguments):
    known = insight()
    known.semantic = np.zeros((60, 80), np.float16)
    controller, layer, _ = start(known, **arguments)
    controller.show_disagreement(True)
    difference = controller.viewer.layers["disagreement"]
    assert (difference.data[15, 15], difference.data[30, 30]) == (-1, 0)
    place = (40, 11)
    np.testing.assert_allclose(difference.data_to_world(place), layer.data_to_world(place))
    assert controller.viewer.layers.selection.active is layer
    assert not is_image(difference), "not offered to be segmented"
    controller.show_disagreement(False)
    assert "disagreement" not in controller.viewer.layers


def test_other_kind_of_layer_selected_meanwhile():
    controller, layer, view = start(insight())
    controller.next()
    controller.viewer.add_image(np.zeros((60, 80)))
    assert len(view.listed) == 6
    controller.accept()
    assert controller.viewer.layers.selection.active is layer
    assert states(layer)[2] == "accepted"
    assert view.listed[0] == "c0"


def test_layer_taken_away():
    controller, layer, view = start(insight())
    controller.viewer.layers.remove(layer)
    assert view.listed == []
    assert len(controller.viewer.layers) == 0
    controller.next()
    assert view.last("set_status") == NO_LAYER


def test_what_cannot_be_reviewed_is_told():
    controller = review(Labels([np.ones((8, 8), int), np.ones((4, 4), int)], multiscale=True))
    assert "Edit a copy" in controller.view.last("set_status")
    controller.next()
    taken = np.full((60, 80), 255, np.uint8)
    taken[40:50, 40:50] = 0
    full = review(Labels(taken), insight())
    full._candidates.paint(0)
    assert "convert the layer to int32" in full.view.last("set_status")


def test_keys_are_free_in_napari_and_given_back():
    controller, layer, view = start()
    assert {key for key, _ in KEYS.values() if napari_has(key, controller.viewer)} == set()
    assert view.last("set_keys")["remove"] == "Shift-D"
    layer.keymap[KeyBinding.from_str("N")](layer)
    assert controller._present.key.number == 2
    controller.close()
    controller.keys.close()
    assert layer.keymap == {}
    assert list(controller.viewer.layers) == [layer]
    layer.fill((14, 14), 0)
    assert view.listed == ["2", "9", "1", "3"], "no longer told"


def test_a_calibration_replaces_the_predicted_fit():
    controller = review(Labels(nuclei(), features=features()), opened=False)
    controller.calibration = lambda: Calibration(
        (0.0, 1.0), (0.0, 0.0), 60
    )  # nothing of it came true: half is believed
    controller.set_open(True)
    fits = controller._list.nuclei().set_index("index")["mask_score"]
    known = controller._list.layer.features.set_index("index")["mask_score"]
    assert fits.to_dict() == pytest.approx((known / 2).to_dict(), nan_ok=True)


def test_layer_taken_away_while_an_image_is_there():
    controller, layer, view = start(insight())
    controller.viewer.add_image(np.zeros((60, 80)))
    controller.viewer.layers.selection.active = layer
    controller.next()
    controller.viewer.layers.selection.clear()  # as napari's layer list does before it removes a layer
    controller.viewer.layers.remove(layer)
    assert view.listed == []
    assert "candidates" not in controller.viewer.layers
    controller.choose(0)
    assert controller.viewer.layers.selection.active is not layer


def test_a_review_that_could_not_start_starts_later():
    controller, layer, view = start(visible=False)
    assert "'Labels' is hidden; show it first" in view.last("set_status")
    layer.visible = True
    controller.next()
    assert view.listed == ["2", "9", "1", "3"]
    assert controller._present.key.number == 2


def test_a_layer_that_is_hidden_or_locked_meanwhile_is_not_edited():
    controller, layer, view = start(insight())
    controller.next()
    for name, reason in (("visible", "is hidden; show it first"), ("editable", "is locked")):
        setattr(layer, name, False)
        for do in (controller.remove, controller.accept, controller.edit, controller.candidate):
            do()
            assert reason in view.last("set_status")
        np.testing.assert_array_equal(layer.data, nuclei())
        assert set(states(layer).values()) == {""}
        setattr(layer, name, True)
    controller.remove()
    assert 2 not in layer.data


def test_next_brings_the_sliders_back_onto_the_layer():
    layer = Labels(np.stack([nuclei(), nuclei()]))
    controller = review(layer)
    controller.viewer.add_image(np.zeros((9, 60, 80)))
    controller.viewer.layers.selection.active = layer
    controller.viewer.dims.set_point(0, 8)
    controller.next()
    assert controller.viewer.dims.point[0] <= 1


def test_counts_begin_anew_with_another_result():
    controller, layer, view = start()
    controller.set_open(False)
    layer.data = np.where(layer.data == 9, 0, layer.data)
    layer.metadata = {"napari-pffnet": {"image": "another run"}}
    controller.set_open(True)
    assert view.last("set_counts") == COUNTS.format(0, 0, 0, 0).replace("of 4", "of 3")


def test_candidates_of_a_stack_are_those_of_the_plane_in_view():
    layer = Labels(np.stack([nuclei(), nuclei(), nuclei()]))
    controller = review(layer, insight(square(30, 60, 0.4)))
    known = controller.insight
    assert controller.view.last("set_status").endswith("Candidates are those of plane 1.")
    viewer = controller.viewer
    viewer.dims.set_current_step(0, 2)
    viewer.cursor.position = (2, 35, 65)
    controller.insight = lambda _layer, _plane: None
    controller.candidate()
    assert "nothing is known of this one" in controller.view.last("set_status")
    assert (layer.data == nuclei()).all(), "nothing is painted on a plane that nobody sees"
    controller.insight = known
    controller.candidate()
    assert controller.view.last("set_status").startswith("These are the candidates of plane 2")
    assert (layer.data == nuclei()).all()
    controller.candidate()
    assert (layer.data[2, 30:40, 60:70] == 10).all()
    assert (layer.data[:2] == nuclei()).all()


def test_brush_is_let_go_where_the_user_goes_on():
    controller, layer, _ = start(insight())
    for go_on in (controller.accept, controller.next, controller.remove, lambda: controller.choose(0)):
        controller.next()
        controller.edit()
        assert (layer.mode, layer.preserve_labels) == ("paint", True)
        go_on()
        assert (layer.mode, layer.preserve_labels) == ("pan_zoom", False)
    for leave in (layer.keymap.get, lambda _key: controller.set_open(False)):
        controller.next()
        controller.edit()
        escape = leave(KeyBinding.from_str("Escape"))
        if escape:
            escape(layer)
        assert (layer.mode, layer.preserve_labels) == ("pan_zoom", False)
        assert KeyBinding.from_str("Escape") not in layer.keymap


def test_brush_spares_the_neighbours_and_gives_back_the_users_choice():
    controller, layer, _ = start()
    layer.brush_size = 1
    controller.next()
    controller.edit()
    layer.paint((14, 10), layer.selected_label)
    layer.paint((14, 45), layer.selected_label)
    assert (layer.data[14, 10], layer.data[14, 45]) == (1, 2)
    controller.next()
    layer.preserve_labels = True
    controller.edit()
    controller.next()
    assert layer.preserve_labels


def test_brush_does_not_come_back_with_the_end_of_a_tool():
    layer = Labels(nuclei(), features=features())
    corrector = make_corrector(layer)
    controller = ReviewController(corrector.active, FakeView(), corrector.keys)
    controller.next()
    controller.edit()
    corrector.choose("split")
    controller.next()
    layer.keymap.get(KeyBinding.from_str("Escape"), lambda _layer: None)(layer)
    assert layer.mode == "pan_zoom"


def test_hint_names_the_keys_of_napari():
    controller, layer, view = start()
    controller.next()
    controller.edit()
    for title, mode in (("brush", "paint"), ("eraser", "erase"), ("pan and zoom", "pan_zoom")):
        key = re.search(rf"(\S+): {title}", view.last("set_status"))[1]
        action = f"napari:activate_labels_{mode}_mode"
        assert key in map(str, get_settings().shortcuts.shortcuts[action])
        action_manager._actions[action].command(layer)
        assert layer.mode == mode


def test_outlines_show_the_image_under_the_nuclei():
    controller, layer, view = start()
    switched = []
    controller.contours.changed.connect(switched.append)
    controller.outlines()
    assert layer.contour > 0
    assert view.last("set_outlines")
    controller.outlines()
    assert layer.contour == 0
    assert switched == [True, False]
    layer.contour = 1
    assert view.last("set_outlines"), "whoever did it"


def linked():
    """Nucleus 1 on three planes, small on the first and the last one; 2 on one; 3 is small on its only one."""
    stack = np.zeros((3, 60, 80), int)
    stack[1, 10:20, 10:20], stack[[0, 2], 14:16, 14:16] = 1, 1
    stack[1, 30:40, 30:40], stack[1, 50:54, 50:53] = 2, 3
    return stack


def test_in_a_stack_it_is_said_what_is_done_on_all_planes_and_what_on_one():
    layer = Labels(linked())
    controller = review(layer)
    view = controller.view
    assert "Accept is for all of them, Delete for the one that is shown" in view.last("set_status")
    controller.choose(view.listed.index("1"))
    controller.accept()
    assert view.last("set_status").startswith("Nucleus 1 is accepted on its 3 planes. Nucleus ")
    assert "1" not in view.listed
    controller.undo()
    controller.remove()
    assert view.last("set_status").startswith("Nucleus 1 is deleted on plane 0, and still on 2 other planes. Nucleus ")
    assert (layer.data == 1).any((1, 2)).tolist() == [False, True, True]
    controller.accept()
    assert view.last("set_status").startswith("Nucleus "), "nothing is said of planes where there is one"
    assert "planes" not in view.last("set_status")


def test_in_a_very_large_stack_it_is_said_that_a_nucleus_may_lie_on_planes_that_are_not_listed(monkeypatch):
    monkeypatch.setattr("napari_pffnet._qt.review.rows.MOST_PIXELS", 10)
    controller = review(Labels(linked()[[1, 1, 2]]))
    view = controller.view
    controller.choose(view.listed.index("1"))
    controller.accept()
    assert view.last("set_status").startswith("Nucleus 1 is accepted on all its planes. Nucleus ")
    controller.undo()
    controller.remove()
    assert view.last("set_status").startswith("Nucleus 1 is deleted on plane 1 only. Nucleus ")
    controller = review(Labels(nuclei()))
    controller.next()
    controller.accept()
    assert "planes" not in controller.view.last("set_status"), "it has but one"


def test_in_a_stack_the_size_of_a_nucleus_is_that_of_its_largest_plane():
    layer = Labels(linked())
    controller = review(layer)
    view = controller.view
    rows = view.last("set_rows")
    assert view.listed[0] == "3"
    assert rows["reason"].tolist() == ["0.12 × usual size", *["nothing unusual"] * 4]
    assert set(rows["size"][1:]) == {1.0}
    paint(layer, np.s_[1:2, 12:20, 10:20], 0)
    sizes = controller._list.nuclei().groupby("index")["size"].unique()
    assert {label: found.tolist() for label, found in sizes.items()} == {1: [0.2], 2: [1.0], 3: [0.12]}
    controller.undo()
    assert view.last("set_rows")["size"].tolist() == [0.12, *[1.0] * 4]
