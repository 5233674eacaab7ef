"""Undo and redo tell what they did, whether or not the edits were listened to."""

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels

from label_planes import squares
from napari_pffnet._qt.layers.undo import KEPT, Beside, DoneStep, Undo


def paint(layer, place, label):
    layer.data_setitem(tuple(np.array([i]) for i in place), label)


def follow(layer):
    undo = Undo(layer)
    layer.events.paint.connect(lambda event: undo.note(event.value))
    return undo


def test_steps_are_those_that_were_told():
    layer = Labels(squares())
    undo, steps = follow(layer), []
    layer.events.paint.connect(lambda event: steps.append(event.value))
    paint(layer, (4, 4), 7)
    layer.brush_size = 1
    with layer.block_history():
        layer.paint((4, 5), 8)
        layer.paint((4, 5), 9)
    assert undo.edits == 2
    assert undo.undo() == steps[1][::-1]
    assert undo.undo() == steps[0]
    assert undo.undo() is None
    np.testing.assert_array_equal(layer.data, squares())
    assert undo.redo() == steps[0]
    assert undo.redo() == steps[1]
    assert undo.redo() is None
    assert layer.data[4, 4:6].tolist() == [7, 9]


def test_earlier_edits_are_seen_by_their_pixels():
    layer = Labels(squares())
    layer.fill((4, 4), 6)
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    undo.undo()
    [(places, old, new)] = undo.undo()
    assert len(places[0]) == len(old) == 36
    assert set(old.tolist()) == {1}
    assert set(new.tolist()) == {6}
    [(_, old, new)] = undo.redo()
    assert set(new.tolist()) == {6}
    assert layer.data[4, 4] == 6


def test_what_napari_undid_on_its_own_is_not_told_twice():
    layer = Labels(squares())
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    paint(layer, (0, 1), 4)
    layer.undo()
    [(places, _, new)] = undo.undo()
    assert [int(axis[0]) for axis in places] == [0, 0]
    assert np.ravel(new).tolist() == [3]
    assert undo.undo() is None


def test_no_more_steps_than_napari_keeps():
    layer = Labels(np.zeros((2, 200), int))
    undo = follow(layer)
    for column in range(KEPT + 20):
        paint(layer, (0, column), 1)
    count = 0
    while undo.undo():
        count += 1
    assert count == KEPT
    assert np.count_nonzero(layer.data) == 20


def test_new_data_has_no_history():
    layer = Labels(squares())
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    layer.data = squares()
    assert undo.undo() is None
    np.testing.assert_array_equal(layer.data, squares())


def test_edits_are_counted_beyond_what_napari_keeps():
    layer = Labels(squares())
    undo = follow(layer)
    for number in range(KEPT + 5):
        paint(layer, (0, 0), 1 + number % 2)
    assert undo.edits == KEPT + 5
    undo.undo()
    assert undo.edits == KEPT + 4


def beside(undo, log, name, lasting=False):
    """A step that changes no pixels; it notes in `log` that it was undone or redone."""
    undo.add(Beside(DoneStep(name, [], None), lambda: log.append(f"-{name}"), lambda: log.append(f"+{name}"), lasting))


def pixels(layer):
    return layer.data[0, :3].tolist()


def test_steps_beside_the_edits_are_undone_and_redone_in_their_turn():
    layer, log = Labels(squares()), []
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    beside(undo, log, "a")
    paint(layer, (0, 1), 4)
    beside(undo, log, "b")
    beside(undo, log, "c")
    seen = []
    for turn in (undo.undo, undo.redo):
        while turn():
            seen.append((pixels(layer), "".join(log)))
        log.clear()
    backwards, forwards = seen[:5], seen[5:]
    assert [row for row, _ in backwards] == [[3, 4, 0], [3, 4, 0], [3, 0, 0], [3, 0, 0], [0, 0, 0]]
    assert [text for _, text in backwards] == ["-c", "-c-b", "-c-b", "-c-b-a", "-c-b-a"]
    assert [row for row, _ in forwards] == [[3, 0, 0], [3, 0, 0], [3, 4, 0], [3, 4, 0], [3, 4, 0]]
    assert [text for _, text in forwards] == ["", "+a", "+a", "+a+b", "+a+b+c"]


def test_after_a_new_step_of_either_kind_nothing_is_redone():
    layer, log = Labels(squares()), []
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    undo.undo()
    beside(undo, log, "a")
    assert undo.redo() is None
    assert pixels(layer) == [0, 0, 0]
    undo.undo()
    assert undo.redo().done.text == "a"
    undo.undo()
    paint(layer, (0, 1), 4)
    assert undo.redo() is None
    assert log == ["-a", "+a", "-a"]


def test_steps_keep_their_turn_where_napari_undid_and_redid_on_its_own():
    layer, log = Labels(squares()), []
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    beside(undo, log, "a")
    paint(layer, (0, 1), 4)
    layer.undo()
    undo.undo()
    assert (pixels(layer), log) == ([3, 0, 0], ["-a"])
    undo.undo()
    layer.redo()
    undo.redo()
    assert (pixels(layer), log) == ([3, 0, 0], ["-a", "+a"])
    undo.redo()
    assert pixels(layer) == [3, 4, 0]


def test_an_edit_after_what_napari_undid_on_its_own_is_undone_and_redone():
    layer, log = Labels(squares()), []
    undo = follow(layer)
    paint(layer, (0, 0), 3)
    beside(undo, log, "a")
    layer.undo()
    paint(layer, (0, 1), 4)
    assert undo.edits == 1
    undo.undo()
    assert (pixels(layer), log) == ([0, 0, 0], [])
    undo.redo()
    assert pixels(layer) == [0, 4, 0]
    undo.undo()
    undo.undo()
    assert (pixels(layer), log) == ([0, 0, 0], ["-a"])
    assert undo.undo() is None


@pytest.mark.parametrize("label", [0, 4])
def test_an_edit_of_the_same_pixels_takes_no_step_away(label):
    layer = Labels(squares())
    undo = follow(layer)
    layer.brush_size = 1
    for each in (3, label):
        with layer.block_history():
            layer.paint((0, 0), each)
            layer.paint((0, 1), each)
    assert undo.edits == 2
    assert pixels(layer) == [label, label, 0]
    undo.undo()
    assert pixels(layer) == [3, 3, 0]
    layer.undo()
    layer.paint((0, 0), 5)
    assert undo.edits == 1
    undo.undo()
    assert pixels(layer) == [0, 0, 0]


def test_other_pixels_have_no_steps():
    layer, log = Labels(squares()), []
    undo = follow(layer)
    beside(undo, log, "a")
    layer.data = squares()
    undo.forget()
    assert undo.undo() is None
    assert log == []


def test_of_other_pixels_those_steps_stay_that_last():
    layer, log = Labels(squares()), []
    undo = follow(layer)
    layer.events.data.connect(undo.forget)
    paint(layer, (0, 0), 3)
    for name in "abc":
        beside(undo, log, name, lasting=name != "b")
    layer.data = squares()
    paint(layer, (0, 1), 4)
    while undo.undo():
        log.append(pixels(layer))
    assert log == [[0, 0, 0], "-c", [0, 0, 0], "-a", [0, 0, 0]]
    beside(undo, log, "d", lasting=True)
    layer.data = np.stack([squares(), squares()])
    assert undo.undo() is None


@pytest.mark.parametrize("multiscale", [False, True])
def test_labels_that_are_not_in_memory_have_no_steps_and_are_not_read(multiscale):
    read = []

    def block(block_info):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((64, 64), np.int32)

    labels = da.map_blocks(block, chunks=((64,) * 4, (64,) * 4), dtype=np.int32, meta=np.zeros((0, 0), np.int32))
    layer = Labels([labels, labels[::2, ::2]] if multiscale else labels, multiscale=multiscale)
    undo = follow(layer)
    read.clear()
    assert undo.undo() is None
    assert undo.redo() is None
    assert read == []
