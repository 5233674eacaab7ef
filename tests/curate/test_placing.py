"""Putting found masks among the objects of a plane."""

import tracemalloc

import numpy as np
import pytest

from label_planes import INTEGERS, applied, check, plane
from napari_pffnet.curate.change import OperationError
from napari_pffnet.curate.placing import place, redraw

PLANE = """
111..
111..
.....
22222
"""


def square(y, x, side=3):
    rows, columns = np.indices((side, side)).reshape(2, -1)
    return rows + y, columns + x


@pytest.mark.parametrize("dtype", INTEGERS)
def test_new_object_takes_background_only(dtype):
    before = plane(PLANE, dtype)
    check(before, place(before, square(0, 2)), "11133 11133 ..333 22222")
    assert set(place(before, square(0, 2), used_up_to=8).values.tolist()) == {9}


def test_replacing_takes_pixels_and_objects_that_lose_most_vanish():
    before = plane(PLANE)
    check(before, place(before, square(0, 2), replace=True), "11333 11333 ..333 22222")
    check(before, place(before, square(0, 1), replace=True), ".333. .333. .333. 22222")


@pytest.mark.parametrize(
    "edit", [lambda plane, found: redraw(plane, 1, found), lambda plane, found: place(plane, found, replace=True)]
)
def test_the_plane_is_never_copied(edit):
    before = np.zeros((1000, 1000), np.int32)
    before[900:910, 900:910], before[912:915, 900:910], before[0, 0] = 1, 2, 3
    tracemalloc.start()
    edited = edit(before, square(902, 902, 10))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < before.nbytes
    assert applied(edited, before)[0, 0] == 3


def test_no_free_pixel_and_no_free_id_are_said():
    with pytest.raises(OperationError, match="another nucleus is there"):
        place(plane(PLANE), square(0, 0, 2))
    with pytest.raises(OperationError, match="convert the layer"):
        place(plane(PLANE, np.uint8), square(0, 3, 2), used_up_to=255)


def test_redrawn_object_keeps_its_id_and_leaves_neighbours_alone():
    before = plane(PLANE)
    check(before, redraw(before, 1, square(1, 1)), "..... .111. .111. 22222")
    with pytest.raises(OperationError, match="no nucleus of its own"):
        redraw(before, 1, square(3, 0, 1))
    for label in (0, 7):
        with pytest.raises(OperationError, match="no nucleus"):
            redraw(before, label, square(1, 1))
