"""Edit operations on small planes worked out by hand."""

import numpy as np
import pytest

from label_planes import INTEGERS, applied, check, plane
from napari_pffnet.curate import OperationError
from napari_pffnet.curate.operations import (
    delete,
    fill_holes,
    grow,
    merge,
    mostly_inside,
    new_label,
    paint_class,
    relabel,
    shrink,
    smooth,
)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_delete_takes_only_the_named_objects(dtype):
    before = plane("1122 1133 ...3", dtype)
    check(before, delete(before, [1, 3]), "..22 .... ....")
    check(before, delete(before, [0, 9, 300]), "1122 1133 ...3")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_merge_keeps_the_first_id(dtype):
    before = plane("11.22 33.22", dtype)
    check(before, merge(before, [2, 1, 3]), "22.22 22.22")


def test_merge_of_one_object_is_refused():
    with pytest.raises(OperationError, match="click a second"):
        merge(plane("112"), [1, 1, 0])


def test_holes_are_filled_but_not_what_lies_in_them():
    before = plane("1111111 1.121.1 1111111 ......1 1111111")
    check(before, fill_holes(before, 1), "1111111 1112111 1111111 ......1 1111111")


def test_bay_at_the_edge_of_the_image_is_no_hole():
    before = plane("1.1 1.1 111")
    check(before, fill_holes(before, 1), "1.1 1.1 111")


def test_smooth_removes_a_spur_and_a_notch_and_keeps_the_area():
    before = np.zeros((30, 40), np.uint16)
    before[5:25, 5:25] = 7
    before[14, 25:32] = 7
    before[15, 5:8] = 0
    before[:, 34:] = 2
    after = applied(smooth(before, 7), before)
    assert np.all(after[14, 26:32] == 0)
    assert np.all(after[15, 6:8] == 7)
    assert np.count_nonzero(after == 7) == pytest.approx(400, rel=0.05)
    np.testing.assert_array_equal(after == 2, before == 2)


def test_smooth_never_deletes_nor_leaves_the_edge_of_the_image():
    before = plane(".1.. .... ....")
    assert applied(smooth(before, 1), before).any()
    corner = np.zeros((20, 20), np.uint8)
    corner[:12, :12] = 1
    assert applied(smooth(corner, 1), corner)[0, 0] == 1


def test_grow_takes_background_only():
    before = plane("..... .1.2. ..... .....")
    check(before, grow(before, 1), ".1... 1112. .1... .....")
    check(before, grow(before, 1, 1.5), "111.. 1112. 111.. .....")


def test_shrink_keeps_the_edge_of_the_image():
    before = plane("1111 1111 1111 2222")
    check(before, shrink(before, 1), "1111 1111 .... 2222")


def test_shrink_to_nothing_is_refused():
    with pytest.raises(OperationError, match="delete it"):
        shrink(plane("... .1. ..."), 1)


def test_shrink_of_an_object_that_fills_the_image_changes_nothing():
    check(plane("11 11"), shrink(plane("11 11"), 1), "11 11")


def test_grow_and_shrink_of_a_rectangle_are_inverse():
    before = np.zeros((40, 40), np.int32)
    before[10:30, 12:28] = 5
    grown = applied(grow(before, 5, 3), before)
    np.testing.assert_array_equal(applied(shrink(grown, 5, 3), grown), before)


@pytest.mark.parametrize("operation", [fill_holes, smooth, grow, shrink])
@pytest.mark.parametrize("before", [np.zeros((0, 0), np.int32), np.zeros((4, 5), np.uint8), plane("11 22")])
def test_absent_object_changes_nothing(operation, before):
    for label in (0, 9, 1000):
        assert len(operation(before, label).values) == 0


@pytest.mark.parametrize("dtype", INTEGERS)
def test_polygon_becomes_a_new_object_around_the_others(dtype):
    before = plane("..... .4... ..... .....", dtype)
    corners = np.array([(-3, -3), (-3, 2.4), (2.4, 2.4), (2.4, -3)])
    check(before, new_label(before, corners), "555.. 545.. 555.. .....")
    check(before, new_label(before, corners, replace=True, used_up_to=7), "888.. 888.. 888.. .....")


def test_polygon_cut_by_a_neighbour_becomes_its_largest_piece():
    everything = np.array([(-1, -1), (-1, 9), (9, 9), (9, -1)])
    before = plane("..4... ..4... ..4...")
    check(before, new_label(before, everything), "..4555 ..4555 ..4555")
    check(before, new_label(before, everything, replace=True), "555555 555555 555555")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_lasso_takes_what_lies_mostly_in_it(dtype):
    before = plane("11.222 11.222 ...... 33.4.. 33....", dtype)
    assert mostly_inside(before, np.array([(-1, -1), (-1, 3.5), (9, 3.5), (9, -1)])) == [1, 3, 4]
    assert mostly_inside(before, np.array([(-1, -1), (-1, 4.5), (3.4, 4.5), (3.4, -1)])) == [2, 1, 4]
    assert mostly_inside(before, np.array([(30, 30), (30, 40), (40, 40)])) == []
    assert mostly_inside(np.zeros((0, 0), dtype), np.array([(0, 0), (0, 4), (4, 4)])) == []


def test_polygon_without_a_free_pixel_is_refused():
    square = np.array([(0, 0), (0, 1), (1, 1), (1, 0)]) * 0.8 - 0.4
    for before, corners in [(plane("1. .."), square), (plane("1. .."), square + 50), (plane("1. .."), square[:2])]:
        with pytest.raises(OperationError, match=r"draw a larger|three corners"):
            new_label(before, corners)


def test_ids_do_not_overflow():
    corners = np.array([(0.9, 0.9), (0.9, 3), (3, 3), (3, 0.9)])
    before = np.zeros((4, 4), np.uint8)
    before[0, 0] = 255
    with pytest.raises(
        OperationError, match="id 256 does not fit into a layer of type uint8; convert the layer to int"
    ):
        new_label(before, corners)
    assert new_label(before.astype(np.int32), corners).values[0] == 256


@pytest.mark.parametrize("dtype", INTEGERS)
def test_relabel_closes_gaps_in_order(dtype):
    before = plane("9.4 9.4 222", dtype)
    check(before, relabel(before), "3.2 3.2 111")
    check(np.zeros((2, 2), dtype), relabel(np.zeros((2, 2), dtype)), ".. ..")


def test_what_is_negative_is_no_nucleus_when_numbered():
    change = relabel(np.array([[-1, 5, 0], [-7, 9, 9]], np.int16))
    assert np.transpose(change.indices).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]]
    assert change.values.tolist() == [0, 1, 0, 2, 2]


def test_relabel_changes_only_what_has_to_change():
    before = plane("11.3")
    assert relabel(before).indices[1].tolist() == [3]


def test_semantic_classes_are_painted():
    before = np.array([[0, 1, 255], [0, 1, 255]], np.uint8)
    everything = np.array([(-1, -1), (-1, 4), (3, 4), (3, -1)])
    for value in (0, 1, 255):
        change = paint_class(before, everything, value)
        assert np.all(applied(change, before) == value)
        assert len(change.values) == 4


def test_semantic_class_must_exist_and_fit():
    triangle = np.array([(0, 0), (0, 2), (2, 0)])
    with pytest.raises(OperationError, match="2 is no class"):
        paint_class(np.zeros((3, 3), np.uint8), triangle, 2)
    with pytest.raises(OperationError, match="convert the layer to int32"):
        paint_class(np.zeros((3, 3), np.int8), triangle, 255)
