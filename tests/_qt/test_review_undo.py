"""Undo in a review: exact, whichever step it is asked of, and it goes back to what was undone."""

import numpy as np
import pytest
from correct_fakes import make as make_corrector
from napari.layers import Labels
from review_fakes import features, insight, nuclei, review, square

from napari_pffnet._qt.layers.camera import camera
from napari_pffnet._qt.review.rows import ALL, CANDIDATES, Wanted
from napari_pffnet.curate.calibration import keep_prediction


def start(known=None, wanted=Wanted()):  # noqa: B008
    layer = Labels(nuclei(), features=features())
    controller = review(layer, known, opened=False)
    controller.view.now = wanted
    controller.set_open(True)
    return controller, layer, controller.view


def states(layer):
    return layer.features.set_index("index")["state"].to_dict()


def paint(layer, window, value):
    layer.data_setitem(tuple(axis.ravel() for axis in np.mgrid[window]), value)


def middle(controller):
    return camera(controller.viewer).center[-2:]


def test_what_correct_undoes_is_what_was_done_last_in_the_review_too():
    corrector = make_corrector(Labels(nuclei(), features=features()))
    layer, rows = corrector.active.layer, corrector.active.rows
    paint(layer, np.s_[0:10, 50:60], 0)
    rows.set_state([2], "accepted")
    corrector.undo()
    assert states(layer)[2] == ""
    assert 3 not in layer.data, "the edit before stays"
    corrector.redo()
    assert states(layer)[2] == "accepted"
    corrector.undo()
    corrector.undo()
    np.testing.assert_array_equal(layer.data, nuclei())


def test_undo_goes_back_to_the_row_and_says_what_it_was():
    controller, _, view = start()
    controller.next()
    camera(controller.viewer).zoom = 25  # one nucleus fills the view
    controller.accept()
    assert middle(controller) == (44.5, 14.5)
    controller.undo()
    assert view.last("set_status") == "Undone: nucleus 2 accepted."
    assert controller._present.key.number == 2
    assert view.last("set_current") == 0
    assert middle(controller) == (14.5, 34.5)
    controller.remove()
    controller.undo()
    assert view.last("set_status") == "Undone: nucleus 2 deleted."
    assert controller._present.key.number == 2
    controller.next()
    assert controller._present.key.number == 9


def test_undo_leaves_the_camera_where_the_row_is_in_view():
    controller, _, _ = start()
    controller.next()
    controller.accept()
    camera(controller.viewer).zoom = 1
    before = camera(controller.viewer).center
    controller.undo()
    assert controller._present.key.number == 2
    assert camera(controller.viewer).center == before


def test_undo_goes_back_to_a_candidate():
    controller, _, view = start(insight(), Wanted(show=CANDIDATES))
    controller.next()
    controller.remove()
    assert controller._present.key.number == 1
    controller.undo()
    assert view.last("set_status") == "Undone: candidate set aside."
    assert controller._present.key.number == 0
    controller.accept()
    controller.undo()
    assert view.last("set_status") == "Undone: nucleus 10 added."
    assert controller._present.key.number == 0


def test_undo_of_a_stroke_that_touched_a_neighbour_stays_at_the_row_and_keeps_the_brush():
    controller, layer, view = start()
    controller.choose(view.listed.index("9"))
    controller.edit()
    paint(layer, np.s_[15:45, 12:16], 9)
    for turn in (controller.undo, controller.active.redo):
        turn()
        assert (controller._present.key.number, layer.mode) == (9, "paint")


def test_what_was_set_aside_can_come_back_after_another_threshold():
    controller, layer, view = start(insight())
    controller.choose(view.listed.index("c0"))
    controller.remove()
    layer.data = nuclei()
    assert "c0" not in view.listed
    controller.undo()
    assert view.last("set_status") == "Undone: candidate set aside."
    assert "c0" in view.listed


def test_redo_does_it_all_again():
    controller, layer, _ = start(insight())
    controller.next()
    for do in (controller.accept, controller.remove, controller.remove, controller.candidate, controller.accept):
        do()
    after, listed, known = layer.data.copy(), controller.view.listed, states(layer)
    for _ in range(2):
        while controller.active.rows.undo():
            pass
        np.testing.assert_array_equal(layer.data, nuclei())
        assert set(states(layer).values()) == {""}
        assert controller.view.listed == ["2", "c0", "9", "c1", "1", "3"]
        while controller.active.rows.redo():
            pass
        np.testing.assert_array_equal(layer.data, after)
        assert (controller.view.listed, states(layer)) == (listed, known)


@pytest.mark.parametrize(
    "leave",
    [
        lambda controller: (controller.set_open(False), controller.set_open(True)),
        lambda controller: controller.viewer.add_image(np.zeros((60, 80))),
        lambda controller: controller.viewer.add_labels(nuclei(), name="another"),
    ],
)
def test_what_was_set_aside_stays_so_and_can_come_back_after_the_review_was_left(leave):
    controller, layer, view = start(insight())
    controller.choose(view.listed.index("c0"))
    controller.remove()
    controller.choose(view.listed.index("1"))
    controller.accept()
    leave(controller)
    controller.viewer.layers.selection.active = layer
    assert view.listed == ["2", "9", "c1", "3"]
    assert controller.viewer.layers["candidates"].data[45, 45] != 2
    controller.undo()
    assert states(layer)[1] == ""
    controller.undo()
    assert view.listed == ["2", "c0", "9", "c1", "1", "3"]


def test_what_was_set_aside_stays_so_where_edits_change_the_candidates():
    controller, layer, view = start(insight(square(20, 60, 0.3), square(40, 40, 0.45)))
    controller.choose(view.listed.index("c1"))
    controller.remove()
    controller.set_open(False)
    paint(layer, np.s_[40:50, 40:42], 7)
    rows, columns = np.mgrid[40:50, 42:50]
    cut = square(40, 40, 0.45).__class__((rows.ravel(), columns.ravel()), 0.45, "proposal")
    controller.insight = lambda _layer, _plane: insight(cut, square(20, 60, 0.3))
    controller.set_open(True)
    assert "c0" not in view.listed
    assert "c1" in view.listed


def test_accepting_what_was_edited_keeps_it_edited(tmp_path):
    controller, layer, view = start(wanted=Wanted(show=ALL, column="index", ascending=True))
    paint(layer, np.s_[10:20, 20:25], 1)
    paint(layer, np.s_[30:35, 30:35], 12)
    for row in (0, 1, 4):
        controller.choose(row)
        controller.accept()
    assert states(layer) == {1: "edited", 2: "accepted", 3: "", 9: "", 12: "new"}
    assert view.last("set_counts") == "1 accepted · 1 edited · 1 new · 0 deleted of 4"
    table = layer.features.set_index("index", drop=False)
    assert keep_prediction(tmp_path, "cells", layer.data, table.to_dict("index"))
    assert "\n1," not in (tmp_path / "journal" / "cells" / "predicted.csv").read_text(), "it is no prediction any more"
    for state in ("", ""):
        controller.undo()
        assert states(layer)[2] == state
    assert states(layer)[1] == "edited"


def test_an_edit_after_the_acceptance_and_undo_bring_back_the_acceptance():
    controller, layer, _ = start()
    controller.next()
    controller.accept()
    paint(layer, np.s_[10:12, 30:40], 0)
    assert states(layer)[2] == "edited"
    controller.undo()
    assert states(layer)[2] == "accepted"
    controller.undo()
    assert states(layer)[2] == ""


def test_a_nucleus_deleted_before_the_review_and_brought_back_is_not_new():
    controller = review(Labels(nuclei(), features=features()), opened=False)
    layer, view = controller.active.layer, controller.view
    paint(layer, np.s_[0:10, 50:60], 0)
    controller.set_open(True)
    assert view.last("set_counts") == "0 accepted · 0 edited · 0 new · 0 deleted of 3"
    controller.next()
    controller.remove()
    controller.undo()
    controller.undo()
    assert view.last("set_counts") == "0 accepted · 0 edited · 0 new · 0 deleted of 4"
    paint(layer, np.s_[30:35, 30:35], 12)
    paint(layer, np.s_[0:10, 50:60], 0)
    assert view.last("set_counts") == "0 accepted · 0 edited · 1 new · 1 deleted of 4"
