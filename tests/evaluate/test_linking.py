"""The same nucleus keeps its id through planes."""

import numpy as np
import pytest

from napari_pffnet.evaluate.linking import Linker, link_planes, pairs, relabel
from napari_pffnet.samples import u2os


def plane(*boxes, shape=(40, 60)):
    """Boxes (y0, x0, y1, x1) with ids 1, 2, …"""
    labels = np.zeros(shape, np.int32)
    for label, (y0, x0, y1, x1) in enumerate(boxes, 1):
        labels[y0:y1, x0:x1] = label
    return labels


LEFT, RIGHT, FAR = (5, 5, 15, 15), (5, 30, 15, 40), (25, 45, 35, 55)


def link(*planes):
    linker = Linker()
    return [linker.add(plane) for plane in planes]


def ids(*planes):
    return [linked.ids for linked in link(*planes)]


def test_shifted_nuclei_keep_their_ids_whatever_they_were_called():
    linked = link(plane(LEFT, RIGHT), plane((6, 31, 16, 41), (6, 6, 16, 16)))
    assert [each.ids for each in linked] == [{1: 1, 2: 2}, {1: 2, 2: 1}]
    assert linked[1].labels[10, 10] == 1
    assert linked[1].labels[10, 35] == 2
    assert np.count_nonzero(linked[1].labels) == 200


def test_of_a_division_the_better_overlap_keeps_the_id():
    assert ids(plane((0, 0, 10, 20)), plane((0, 0, 10, 8), (0, 8, 10, 20))) == [{1: 1}, {1: 2, 2: 1}]


def test_of_a_merger_the_better_overlap_gives_the_id():
    assert ids(plane((0, 0, 10, 8), (0, 8, 10, 20)), plane((0, 0, 10, 20))) == [{1: 1, 2: 2}, {1: 2}]


def test_pairs_have_the_largest_sum_of_overlaps():
    """The best pair alone (1 with 1, IoU 0.47) would leave the other two without one."""
    before = plane((0, 0, 10, 12), (0, 12, 10, 17))
    after = plane((0, 4, 10, 17), (0, 0, 10, 4))
    assert pairs(before, after) == {1: 2, 2: 1}


def test_a_nucleus_that_appears_gets_an_id_that_no_other_had():
    assert ids(plane(LEFT), plane(RIGHT), plane(RIGHT, FAR)) == [{1: 1}, {1: 2}, {1: 2, 2: 3}]


def test_a_nucleus_may_be_missing_on_one_plane_but_not_on_two():
    both, right = plane(LEFT, RIGHT), plane(RIGHT)
    assert ids(both, right, both) == [{1: 1, 2: 2}, {1: 2}, {1: 1, 2: 2}]
    assert ids(both, right, right, both)[3] == {1: 3, 2: 2}


def test_one_plane_may_be_empty():
    linked = link(plane(LEFT), plane(), plane(LEFT))
    assert [each.ids for each in linked] == [{1: 1}, {}, {1: 1}]
    assert not linked[1].labels.any()
    assert ids(plane(LEFT), plane(), plane(), plane(LEFT))[3] == {1: 2}


def test_what_goes_on_is_not_what_had_ended():
    """A nucleus that has moved on keeps its id; another one that comes to its former place gets a new one."""
    there, next_to, on = plane(LEFT), plane((5, 13, 15, 20)), plane((5, 16, 15, 23), LEFT)
    assert ids(there, next_to, on) == [{1: 1}, {1: 2}, {1: 2, 2: 1}], "which had ended"
    on = plane((5, 11, 15, 21), (5, 3, 15, 11))
    assert ids(there, plane((5, 9, 15, 19)), on) == [{1: 1}, {1: 1}, {1: 1, 2: 2}]


@pytest.mark.parametrize("shift", [(14, 0), (-9, 14), (20, -25)])
def test_a_shift_of_the_stage_keeps_all_ids(shift):
    rng = np.random.default_rng(0)
    field = np.zeros((400, 500), np.int32)
    for label, (y, x) in enumerate(rng.permutation(np.argwhere(np.ones((10, 12))))[:40], 1):
        y, x = 40 * y + rng.integers(20), 40 * x + rng.integers(20)
        field[y : y + 16, x : x + 12 + label % 5] = label
    first, second = (field[s : s + 300, t : t + 400] for s, t in ((50, 50), (50 - shift[0], 50 - shift[1])))
    assert all(new == old for new, old in pairs(first, second).items())
    both = np.intersect1d(first, second)
    assert len(pairs(first, second)) >= 0.9 * (len(both) - 1)


def test_different_fields_are_not_shifted_into_each_other():
    rng = np.random.default_rng(1)

    def field(count):
        labels = np.zeros((300, 300), np.int32)
        for label, (y, x) in enumerate(rng.integers(0, 280, (count, 2)), 1):
            labels[y : y + 12, x : x + 12] = label
        return labels

    assert all(len(pairs(field(25), field(25))) < 6 for _ in range(10))
    assert all(len(pairs(field(3), field(60))) < 3 for _ in range(20))


def test_nuclei_that_overlap_little_are_two():
    assert ids(plane(LEFT), plane((5, 10, 15, 20)))[1] == {1: 1}, "IoU 0.33"
    assert ids(plane(LEFT), plane((5, 11, 15, 21)))[1] == {1: 2}, "IoU 0.25"


def test_the_small_first_slice_of_a_nucleus_is_linked_to_the_next():
    cap, middle = (8, 8, 12, 12), (5, 5, 15, 15)
    assert ids(plane(cap), plane(middle), plane(cap)) == [{1: 1}, {1: 1}, {1: 1}], "IoU 0.16"
    assert ids(plane((3, 3, 7, 7)), plane(middle)) == [{1: 1}, {1: 2}], "a quarter of it lies inside"


def test_what_lies_inside_a_nucleus_does_not_take_its_id():
    assert ids(plane(LEFT), plane((5, 5, 15, 12), (8, 12, 11, 15))) == [{1: 1}, {1: 1, 2: 2}]


def test_planes_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="give planes of one shape"):
        link(plane(), plane(shape=(9, 9)))


def test_given_planes_are_not_changed():
    given = plane(LEFT) * 7
    assert ids(given) == [{7: 1}]
    assert given.max() == 7


def test_large_ids_and_gaps():
    labels = plane(LEFT, RIGHT).astype(np.int64) * 10**12
    (linked,) = link(labels)
    assert linked.ids == {10**12: 1, 2 * 10**12: 2}
    assert relabel(labels, {10**12: 5}).max() == 5, "an id without a new one becomes background"


def test_nuclei_of_a_real_image_are_followed_when_it_moves():
    labels = u2os()[1][0]
    rng = np.random.default_rng(0)
    names = np.unique(labels)[1:]
    others = dict(zip(names.tolist(), rng.permutation(names).tolist(), strict=True))
    shuffled = relabel(np.roll(labels, (2, 3), (0, 1)), others)
    still, moved = link(labels, shuffled)
    expected = np.roll(still.labels, (2, 3), (0, 1))
    inner = (slice(10, -10),) * 2
    assert len(names) > 20
    assert np.mean(moved.labels[inner] == expected[inner]) > 0.999


def test_another_stack_begins_with_new_ids():
    linker = Linker()
    linker.add(plane(LEFT))
    linker.part()
    assert linker.add(plane(LEFT)).ids == {1: 2}


def stack(*planes):
    return np.stack(planes)


def test_labels_that_are_numbered_by_themselves_are_linked_anew():
    labels = stack(plane(LEFT, RIGHT), plane(RIGHT, LEFT), plane(FAR, RIGHT, LEFT))
    linked, count = link_planes(labels, 3)
    assert count == 3
    assert [linked[i, 10, 10] for i in range(3)] == [1, 1, 1]
    assert [linked[i, 10, 35] for i in range(3)] == [2, 2, 2]
    assert np.array_equal(linked > 0, labels > 0)


def test_ids_that_go_on_stay_and_what_was_cut_is_joined():
    labels = stack(*[plane(LEFT, RIGHT, FAR)] * 6) * 10
    labels[2][labels[2] == 10] = 0  # missing on one plane, and called otherwise after
    labels[3:][labels[3:] == 10] = 7
    labels[4:][labels[4:] == 20] = 8  # called otherwise from one plane on
    labels[5][labels[5] == 30] = 0
    linked, count = link_planes(labels.astype(np.uint16), 6)
    assert count == 3
    assert linked.dtype == np.uint16
    expected = stack(*[plane(LEFT, RIGHT, FAR)] * 6) * 10
    assert np.array_equal(linked, np.where(labels > 0, expected, 0))
    again, _ = link_planes(linked, 6)
    assert np.array_equal(again, linked)


def test_two_tracks_that_share_a_plane_are_not_joined():
    labels = stack(plane(LEFT), plane((5, 6, 15, 16)), plane((5, 7, 15, 17), FAR))
    labels[1][labels[1] == 1] = 3
    labels[2][labels[2] == 1] = 3
    labels[2][labels[2] == 2] = 1  # the first id is used elsewhere on a later plane
    linked, count = link_planes(labels, 3)
    assert count == 2
    assert np.array_equal(linked, labels)


def test_large_ids_are_linked():
    labels = stack(plane(LEFT), plane(LEFT)).astype(np.uint32) * 3_000_000_000
    labels[1][labels[1] > 0] = 7
    linked, count = link_planes(labels, 2)
    assert count == 1
    assert linked.max((1, 2)).tolist() == [3_000_000_000] * 2


def test_stacks_of_a_series_are_not_linked_to_each_other():
    labels = stack(plane(LEFT), plane(LEFT) * 2, plane(LEFT) * 3, plane(LEFT) * 4)
    linked, count = link_planes(labels, 2)
    assert linked.max((1, 2)).tolist() == [1, 1, 3, 3]
    assert count == 2
