"""Nuclei of a part among those of the whole image."""

import numpy as np

from label_planes import applied
from napari_pffnet.curate.joining import join

WINDOW = (slice(10, 30), slice(10, 30))


def square(labels, y, x, label, size=6):
    labels[y : y + size, x : x + size] = label
    return labels


def test_found_nuclei_get_new_ids_at_their_place():
    plane = square(np.zeros((40, 40), np.int32), 0, 0, 7)
    found = square(np.zeros((20, 20), np.int64), 2, 3, 1)
    joined = join(plane, found, WINDOW, None, [])
    assert joined.ids == {1: 8}
    np.testing.assert_array_equal(applied(joined.change, plane), square(plane.copy(), 12, 13, 8))


def test_what_may_be_replaced_makes_room_and_the_rest_stays():
    plane = np.zeros((40, 40), np.int32)
    for y, x, label in ((12, 12, 1), (22, 12, 2), (12, 22, 3), (5, 12, 4)):
        square(plane, y, x, label)
    found = square(square(np.zeros((20, 20), np.int32), 1, 2, 1, size=7), 12, 2, 2)
    joined = join(plane, found, WINDOW, None, [1, 4])
    after = applied(joined.change, plane)
    assert joined.ids == {1: 5}, "the second one lies on a nucleus that stays"
    assert set(np.unique(after)) == {0, 2, 3, 4, 5}, "4 lies mostly outside"
    assert (after == 5).sum() == 49
    for label in (2, 3, 4):
        np.testing.assert_array_equal(after == label, plane == label)


def test_what_lies_where_none_is_wanted_is_left_out():
    plane = np.zeros((20, 20), np.int32)
    found = square(square(np.zeros((20, 20), np.int32), 2, 2, 1), 12, 12, 2)
    unwanted = np.zeros((20, 20), bool)
    unwanted[2:8, 2:5] = unwanted[12:18, 12:14] = True
    joined = join(plane, found, (slice(0, 20), slice(0, 20)), None, [], unwanted)
    np.testing.assert_array_equal(applied(joined.change, plane) > 0, found == 2)


def test_only_what_was_looked_at_makes_room():
    plane = square(square(np.zeros((40, 40), np.int32), 12, 12, 1), 22, 22, 2)
    inside = np.zeros((20, 20), bool)
    inside[:10, :10] = True
    joined = join(plane, np.zeros((20, 20), np.int32), WINDOW, inside, [1, 2])
    assert joined.ids == {}
    np.testing.assert_array_equal(applied(joined.change, plane), np.where(plane == 1, 0, plane))


def test_of_a_nucleus_the_free_half_is_painted():
    plane = square(np.zeros((40, 40), np.int32), 12, 12, 9)
    found = square(np.zeros((20, 20), np.int32), 2, 5, 1)
    joined = join(plane, found, WINDOW, None, [])
    after = applied(joined.change, plane)
    assert (after == 9).sum() == 36
    assert (after == joined.ids[1]).sum() == 18


def test_nothing_is_left_of_a_nucleus_that_crosses_the_edge():
    plane = square(np.zeros((40, 40), np.int32), 20, 12, 1, size=16)
    joined = join(plane, np.zeros((20, 20), np.int32), WINDOW, None, [1])
    assert not applied(joined.change, plane).any()
