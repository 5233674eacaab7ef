"""Likely misses: detections and foreground that the labels do not hold."""

import numpy as np
import pytest

from napari_pffnet.curate.candidates import candidates

SHAPE = (40, 40)


def find(labels, boxes=(), scores=(), semantic=None, **options):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    masks = np.ones((len(boxes), 28, 28), np.float16)
    semantic = np.zeros(SHAPE, np.float16) if semantic is None else semantic
    return candidates(labels, boxes, masks, np.array(scores, np.float32), semantic, **options)


def one_nucleus():
    labels = np.zeros(SHAPE, np.int32)
    labels[5:15, 5:15] = 7
    return labels


def test_detection_under_the_threshold_on_background_is_offered_best_first():
    found = find(one_nucleus(), [[20, 5, 30, 15], [20, 20, 30, 30], [5, 5, 15, 15]], [0.2, 0.4, 0.45])
    assert [(round(c.score, 2), c.kind, c.box, c.area) for c in found] == [
        (0.4, "proposal", (20, 20, 30, 30), 100),
        (0.2, "proposal", (5, 20, 15, 30), 100),
    ]
    assert found[1].centre == (9.5, 24.5)


def test_only_free_pixels_are_offered_and_none_twice():
    labels = one_nucleus()
    found = find(labels, [[11, 5, 21, 15], [12, 5, 22, 15]], [0.4, 0.3])
    assert [c.box for c in found] == [(5, 15, 15, 21)]
    assert not labels[found[0].indices].any()


@pytest.mark.parametrize(
    ("box", "score", "why"),
    [([20, 20, 30, 30], 0.05, "weak"), ([8, 5, 18, 15], 0.4, "mostly taken"), ([20, 20, 24, 24], 0.4, "too small")],
)
def test_not_offered(box, score, why):
    assert find(one_nucleus(), [box], [score]) == [], why


def test_a_detection_that_is_cut_in_two_small_pieces_is_not_offered():
    labels = np.zeros(SHAPE, np.int32)
    labels[5:35, 14:20] = 7  # a candidate has 45 pixels or more
    assert find(labels, [[10, 10, 24, 20]], [0.4]) == []
    assert [c.box for c in find(labels, [[10, 8, 24, 20]], [0.4])] == [(8, 10, 20, 14)]


def test_foreground_without_a_nucleus_is_offered_but_no_thin_rim():
    semantic = np.zeros(SHAPE, np.float16)
    semantic[3:17, 3:17] = 0.9  # a rim of 2 px around the nucleus
    semantic[22:34, 22:34] = 0.8
    (found,) = find(one_nucleus(), semantic=semantic)
    assert found.kind == "foreground"
    assert found.score == pytest.approx(0.8, abs=1e-3)
    assert found.area == pytest.approx(144, abs=20)
    assert found.centre == (27.5, 27.5)


def test_nothing_in_an_empty_image():
    assert find(np.zeros(SHAPE, np.uint8)) == []
    assert find(np.zeros((0, 0), np.uint8), semantic=np.zeros((0, 0), np.float16)) == []
