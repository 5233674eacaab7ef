"""Where semantic map and nuclei differ."""

import numpy as np
import pytest

from napari_pffnet.curate.disagreement import disagreement


def test_sign_tells_which_of_the_two_sees_a_nucleus():
    labels = np.repeat(np.array([[0, 300]], np.uint16), 10, axis=1)
    semantic = labels / np.float16(300)
    semantic[0, [2, 17]] = 1, 0.25
    before = labels.copy()
    found = disagreement(labels, semantic)
    assert found[0, [2, 17]].tolist() == [1, -0.75]
    assert np.count_nonzero(found) == 2
    assert found.dtype == np.float16
    np.testing.assert_array_equal(labels, before)


def test_outlines_are_left_out():
    labels = np.zeros((20, 40), np.int32)
    labels[5:15, 5:15], labels[5:15, 15:25] = 1, 2
    found = disagreement(labels, np.full(labels.shape, 0.5, np.float16))
    assert set(np.unique(found[5:15, 5:25])) == {-0.5, 0}
    assert np.all(found[7:13, 7:23] == -0.5), "no outline against the background inside"
    assert found[10, 26] == found[10, 5] == 0
    assert found[10, 27] == 0.5


def test_empty_and_unequal_planes():
    assert disagreement(np.zeros((0, 3), np.uint8), np.zeros((0, 3))).shape == (0, 3)
    with pytest.raises(ValueError, match="of one plane"):
        disagreement(np.zeros((2, 3), np.uint8), np.zeros((3, 2)))
