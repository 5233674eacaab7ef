"""Splitting by line, seeds and waist."""

import numpy as np
import pytest

from label_planes import INTEGERS, applied, check, plane
from napari_pffnet.curate import OperationError
from napari_pffnet.curate.operations import merge
from napari_pffnet.curate.split import split_at_waist, split_by_line, split_by_seeds, split_each_by_seeds


def two_discs(dtype=np.int32, label=3):
    """Two discs of radius 10 that overlap by a neck, centres (15, 15) and (15, 32)."""
    y, x = np.indices((31, 48))
    mask = ((y - 15) ** 2 + (x - 15) ** 2 <= 100) | ((y - 15) ** 2 + (x - 32) ** 2 <= 100)
    return np.where(mask, label, 0).astype(dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_line_splits_and_loses_no_pixel(dtype):
    before = plane("111111 111111 111111 111111 222222", dtype)
    change = split_by_line(before, np.array([(-1, 4), (3, 4)]))
    after = applied(change, before)
    assert change.values.dtype == dtype
    np.testing.assert_array_equal(after != 0, before != 0)
    np.testing.assert_array_equal(after[4], before[4])
    np.testing.assert_array_equal(after[:4, :4], 1)
    np.testing.assert_array_equal(after[:4, 5], 3)


def test_diagonal_line_leaks_nowhere():
    before = np.ones((20, 20), np.int32)
    after = applied(split_by_line(before, np.array([(0, 0), (19, 19)])), before)
    assert np.unique(after).tolist() == [1, 2]
    assert after[0, 19] != after[19, 0]


def test_line_that_ends_inside_is_drawn_on():
    before = np.zeros((12, 12), np.int32)
    before[1:11, 1:11] = 1
    after = applied(split_by_line(before, np.array([(4.0, 5.0), (7.0, 5.0)])), before)
    assert after[1, 1] != after[1, 10]
    assert after[10, 1] != after[10, 10]


def test_shaking_at_the_ends_does_not_turn_the_line():
    before = np.zeros((42, 42), np.int32)
    before[1:41, 1:41] = 1
    hand = [(10, 21), (10, 20), (11, 20), *((y, 20) for y in range(12, 30)), (30, 20), (30, 19)]
    after = applied(split_by_line(before, np.array(hand, float)), before)
    assert np.unique(after[1:41, 1:15]).tolist() == [2]
    assert np.unique(after[1:41, 26:41]).tolist() == [1]


def test_line_that_strays_into_a_neighbour_leaves_it_whole():
    before = np.zeros((10, 24), np.int32)
    before[1:9, 1:12], before[1:9, 12:23] = 1, 2
    for start in (-1, 2):
        after = applied(split_by_line(before, np.array([(5, start), (5, 14)])), before)
        assert np.unique(after[before == 1]).tolist() == [1, 3]
        np.testing.assert_array_equal(after == 2, before == 2)


def test_line_crosses_several_objects_with_ids_of_their_own():
    before = np.zeros((10, 20), np.uint8)
    before[1:9, 1:9], before[1:9, 11:19] = 1, 4
    after = applied(split_by_line(before, np.array([(5, 0), (5, 19)]), used_up_to=6), before)
    assert np.unique(after).tolist() == [0, 1, 4, 7, 8]


def test_bent_line():
    before = np.ones((11, 11), np.int32)
    after = applied(split_by_line(before, np.array([(-1, 5), (5, 5), (5, 11)])), before)
    assert after[0, 10] == 2
    assert after[0, 0] == after[10, 0] == after[10, 10] == 1


def test_line_beside_everything_changes_nothing():
    before = two_discs()
    assert len(split_by_line(before, np.array([(0, 0), (0, 47)])).values) == 0
    assert len(split_by_line(before, np.array([(-50, 0), (-50, 47)])).values) == 0
    assert len(split_by_line(np.zeros((0, 0), int), np.array([(0, 0), (1, 1)])).values) == 0


def test_component_that_the_line_does_not_touch_keeps_the_id():
    before = plane("111111..11 111111..11 111111..11")
    after = applied(split_by_line(before, np.array([(-1, 2), (3, 2)])), before)
    np.testing.assert_array_equal(after[:, 8:], 1)
    assert after[0, 0] != after[0, 5]


def test_corner_of_a_pixel_is_no_part():
    before = plane("1111 1111 1111 1111")
    assert len(split_by_line(before, np.array([(-1, 1), (1, -1)])).values) == 0


def test_one_point_is_no_line():
    with pytest.raises(OperationError, match="draw it across"):
        split_by_line(two_discs(), np.array([(15, 15)]))


def test_seeds_split_at_the_neck():
    before = two_discs()
    after = applied(split_by_seeds(before, 3, np.array([(15.2, 15), (15, 32), (0, 0)])), before)
    assert after[15, 15] == 3
    assert after[15, 32] == 4
    assert np.all(after[:, :22][before[:, :22] > 0] == 3)
    assert np.all(after[:, 26:][before[:, 26:] > 0] == 4)


def test_seeds_beside_the_middle_split_in_the_middle():
    before = np.zeros((12, 42), np.int32)
    before[1:11, 1:41] = 1
    for seed in [(5, 4), (3, 6), (9, 12)]:
        after = applied(split_by_seeds(before, 1, np.array([seed, (5, 41 - seed[1])])), before)
        assert np.count_nonzero(after == 1) == pytest.approx(200, abs=30)


def test_seeds_side_by_side_split_too():
    before = np.ones((9, 9), np.int32)
    after = applied(split_by_seeds(before, 1, np.array([(4, 4), (4, 5)])), before)
    assert (after[4, 4], after[4, 5]) == (1, 2)


def test_intensity_moves_the_border():
    before = np.zeros((12, 42), np.int32)
    before[1:11, 1:41] = 1
    bright = np.where(before, 1.0, 0.2)
    bright[:, 9:12] = 0.3
    seeds = np.array([(5, 4), (5, 36)])
    for intensity in (bright, 1 - bright, (200 * bright).astype(np.uint8)):
        after = applied(split_by_seeds(before, 1, seeds, intensity), before)
        assert np.all(after[1:11, 14:41] == 2)
        assert np.all(after[1:11, 1:7] == 1)


@pytest.mark.parametrize("seeds", [[(15, 15)], [(15, 15), (15, 15)], [(15, 15), (0, 0)], [(15, 15), (99, -4)]])
def test_seeds_must_be_two_inside(seeds):
    with pytest.raises(OperationError, match="two points inside"):
        split_by_seeds(two_discs(), 3, np.array(seeds))


def test_seeds_in_several_objects_split_each():
    before = np.zeros((31, 96), np.uint8)
    before[:, :48], before[:, 48:] = two_discs(np.uint8, 3), two_discs(np.uint8, 7)
    seeds = np.array([(15, 32), (15, 15), (15, 63), (15, 80), (0, 0), (-9, 400)])
    after = applied(split_each_by_seeds(before, seeds), before)
    assert [after[15, x] for x in (15, 32, 63, 80)] == [8, 3, 7, 9]
    one = applied(split_each_by_seeds(before, seeds[:3]), before)
    np.testing.assert_array_equal(one[:, 48:], before[:, 48:])
    for few in (seeds[1:2], seeds[1:3], seeds[4:], np.zeros((0, 2))):
        with pytest.raises(OperationError, match="two points inside"):
            split_each_by_seeds(before, few)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_waist_is_found(dtype):
    before = two_discs(dtype)
    change = split_at_waist(before, 3)
    after = applied(change, before)
    assert change.values.dtype == dtype
    assert {int(after[15, 10]), int(after[15, 37])} == {3, 4}
    np.testing.assert_array_equal(after != 0, before != 0)
    assert np.count_nonzero(after == 3) == pytest.approx(np.count_nonzero(after == 4), rel=0.1)


@pytest.mark.parametrize("axes", [(10, 10), (8, 16), (5, 20)])
def test_ellipse_has_no_waist(axes):
    y, x = np.indices((51, 51)) - 25
    ellipse = ((y / axes[0]) ** 2 + (x / axes[1]) ** 2 <= 1).astype(np.int32)
    with pytest.raises(OperationError, match="draw a line"):
        split_at_waist(ellipse, 1)


def test_absent_object_is_told():
    with pytest.raises(OperationError, match="there is no nucleus 8"):
        split_at_waist(two_discs(), 8)


@pytest.mark.parametrize(
    "split",
    [
        lambda p: split_by_line(p, np.array([(0, 23), (30, 23)])),
        lambda p: split_by_seeds(p, 255, np.array([(15, 15), (15, 32)])),
        lambda p: split_at_waist(p, 255),
    ],
)
def test_ids_do_not_overflow(split):
    check_me = two_discs(np.uint8, 255)
    with pytest.raises(OperationError, match="convert the layer to int32"):
        split(check_me)
    assert split(check_me.astype(np.uint16)).values.max() == 256


def test_split_then_merge_restores():
    before = plane("1111 1111 1111 1111")
    split = applied(split_by_line(before, np.array([(-1, 2), (4, 2)])), before)
    check(split, merge(split, [1, 2]), "1111 1111 1111 1111")


@pytest.mark.parametrize("place", [(15, 5), (4, 4)])
def test_seeds_split_also_where_a_pixel_has_no_value(place):
    before, image = two_discs(), np.random.default_rng(0).random((31, 48))
    image[place] = np.nan
    seeds = np.array([(15, 15), (15, 32)])
    np.testing.assert_array_equal(
        applied(split_by_seeds(before, 3, seeds, image), before), applied(split_by_seeds(before, 3, seeds), before)
    )
