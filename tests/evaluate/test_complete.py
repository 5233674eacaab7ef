"""Only what somebody has annotated counts."""

import numpy as np
import pytest

from napari_pffnet.evaluate.complete import within_complete


def plane(*boxes):
    labels = np.zeros((20, 40), np.int32)
    for number, (x0, x1) in enumerate(boxes, start=1):
        labels[5:15, x0:x1] = number
    return labels


RIGHT = np.zeros((20, 40), bool)
RIGHT[:, 20:] = True


def left(predicted, truth, ignored=RIGHT):
    return set(np.unique(within_complete(truth, predicted, ignored)[1]).tolist()) - {0}


@pytest.mark.parametrize("ignored", [None, np.zeros((20, 40), bool)])
def test_everything_counts_in_an_image_that_is_complete(ignored):
    assert left(plane((2, 8), (30, 36)), plane(), ignored) == {1, 2}


def test_what_lies_where_nothing_is_annotated_does_not_count():
    assert left(plane((2, 8), (30, 36)), plane((2, 8))) == {1}


def test_a_false_nucleus_in_a_complete_area_counts():
    assert left(plane((2, 8), (10, 16)), plane((2, 8))) == {1, 2}


@pytest.mark.parametrize(("x0", "x1", "counts"), [(12, 22, True), (14, 24, False), (18, 28, False)])
def test_a_nucleus_that_the_edge_cuts_counts_only_if_little_of_it_is_beyond(x0, x1, counts):
    assert bool(left(plane((x0, x1)), plane())) is counts


def test_a_true_nucleus_that_sticks_out_is_found_by_what_lies_on_it():
    truth = plane((14, 26))
    assert left(plane((15, 27)), truth, RIGHT & (truth == 0)) == {1}


def test_a_true_nucleus_that_is_to_be_ignored_need_not_be_found():
    truth = plane((2, 8), (30, 36))
    assert set(np.unique(within_complete(truth, plane(), RIGHT)[0]).tolist()) == {0, 1}


@pytest.mark.parametrize("top", [900, 2**31 - 1])
def test_ids_with_gaps_and_large_ones_count_as_any_without_sorting_small_ones(monkeypatch, top):
    boxes = (2, 8), (14, 24), (30, 36)
    ids = np.array([0, 7, 500, top], np.int32)
    monkeypatch.setattr(np, "unique", np.unique if top > 900 else None)
    truth, predicted = within_complete(ids[plane(boxes[0], boxes[2])], ids[plane(*boxes)], RIGHT)
    assert predicted.dtype == np.int32
    monkeypatch.undo()
    assert [np.unique(each).tolist() for each in (predicted, truth)] == [[0, 7], [0, 7]]


def test_nothing_is_changed_and_empty_images_stay_empty():
    predicted = plane((30, 36))
    before = predicted.copy()
    _, result = within_complete(plane(), predicted, RIGHT)
    assert np.array_equal(predicted, before)
    assert result.dtype == predicted.dtype
    empty = np.zeros((0, 0), np.int32)
    assert within_complete(empty, empty, empty > 0)[1].shape == (0, 0)
