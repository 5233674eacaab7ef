import dataclasses

import numpy as np

from napari_pffnet.config import SegmentConfig
from napari_pffnet.segment import Prediction

PREDICTION = Prediction(
    boxes=np.array([[0, 0, 4, 4], [10, 10, 20, 16], [10, 11, 20, 16]], np.float32),
    scores=np.array([0.6, 0.9, 0.8], np.float32),
    quality=np.array([1, 0.8, 0.5], np.float32),
    masks=np.ones((3, 28, 28), np.float16),
    semantic=np.tile(np.linspace(0, 1, 30, dtype=np.float16), (20, 1)),
)


def test_table_has_a_row_per_label_best_first():
    labels, semantic, table = PREDICTION.compose()
    assert table.columns.tolist() == ["index", "y", "x", "area", "score", "quality", "mask_score", "overlap"]
    np.testing.assert_allclose(
        table.values, [[1, 12.5, 14.5, 60, 0.9, 0.8, 0.72, 0], [2, 1.5, 1.5, 16, 0.6, 1, 0.6, 0]], rtol=1e-6
    )
    assert (labels[10:16, 10:20] == 1).all()
    assert (labels[:4, :4] == 2).all()
    assert np.count_nonzero(labels) == 76
    assert semantic.dtype == np.uint8
    np.testing.assert_array_equal(semantic, np.tile(np.arange(30) >= 15, (20, 1)))


def test_thresholds_apply_to_what_was_found():
    def areas(**thresholds):
        return PREDICTION.compose(SegmentConfig(**thresholds)).table["area"].tolist()

    assert areas(score_threshold=0.7) == [60]
    assert areas(score_threshold=0.0, overlap_threshold=0.7) == [60, 16]
    assert areas(min_area=17) == [60]
    assert areas(score_threshold=0.99) == []


def test_its_own_thresholds_apply_unless_others_are_given():
    strict = dataclasses.replace(PREDICTION, config=SegmentConfig(score_threshold=0.7))
    assert strict.compose().table["area"].tolist() == [60]
    assert strict.compose(SegmentConfig()).table["area"].tolist() == [60, 16]


def test_semantic_map_gives_the_shape():
    assert PREDICTION.shape == (20, 30)


def test_nuclei_that_lie_mostly_outside_are_left_out():
    inside = np.zeros((20, 30), bool)
    inside[10:16, :15] = True
    whole = PREDICTION.compose()
    labels, semantic, table = whole.within(inside)
    assert table["index"].tolist() == [1]
    assert np.count_nonzero(labels) == 60, "half of it is enough, and it stays whole"
    np.testing.assert_array_equal(semantic, whole.semantic * inside)
    inside[10:16, 14] = False
    assert whole.within(inside).table.empty
    assert not whole.within(inside).labels.any()
    assert whole.within(None) is whole
