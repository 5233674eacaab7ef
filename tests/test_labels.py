import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from napari_pffnet.config import SegmentConfig
from napari_pffnet.labels import BOXES_AT_ONCE, areas, centroids, compose, paste, renumber, share_inside

SHAPE = (20, 30)


def full(count):
    return np.ones((count, 28, 28), np.float32)


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def test_a_mask_covers_the_pixels_whose_centres_lie_in_its_box():
    labels, kept, _ = compose(boxes((1.4, 2, 4.6, 5)), full(1), np.ones(1), SHAPE, SegmentConfig())
    expected = np.zeros(SHAPE, np.int32)
    expected[2:5, 1:5] = 1
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert kept.tolist() == [0]


def test_masks_are_resized_bilinearly_with_repeated_edges():
    masks = np.random.default_rng(0).random((2, 28, 28))
    places = [(1.6, 2, 8, 9.3), (3.3, -1.2, 12.9, 17.7)]
    pasted = list(paste(boxes(*places), masks, SHAPE))
    assert pasted[1][0] == (slice(0, 18), slice(3, 13))
    for (x0, y0, x1, y1), mask, (window, values) in zip(places, masks, pasted, strict=True):
        y, x = np.mgrid[window] + 0.5
        source = [(y - y0) / (y1 - y0) * 28 - 0.5, (x - x0) / (x1 - x0) * 28 - 0.5]
        np.testing.assert_allclose(values, map_coordinates(mask, source, order=1, mode="nearest"), atol=1e-5)


def test_the_best_comes_first_and_others_get_what_is_free():
    labels, kept, _ = compose(
        boxes((0, 0, 10, 10), (5, 0, 15, 10)), full(2), np.array([0.6, 0.9]), SHAPE, SegmentConfig()
    )
    assert kept.tolist() == [1, 0]
    assert labels[0, 4:16].tolist() == [2] + 10 * [1] + [0]


@pytest.mark.parametrize(("threshold", "count"), [(0.7, 2), (0.69, 1)])
def test_a_mask_covered_beyond_the_overlap_threshold_is_dropped(threshold, count):
    covered_by_seven_tenths = boxes((0, 0, 10, 10), (3, 0, 13, 10))
    config = SegmentConfig(overlap_threshold=threshold)
    labels, kept, overlaps = compose(covered_by_seven_tenths, full(2), np.array([0.9, 0.8]), SHAPE, config)
    assert labels.max() == len(kept) == count
    assert overlaps.tolist() == pytest.approx([0, 0.7][:count])


def test_thresholds_of_score_mask_and_area():
    two = boxes((0, 0, 4, 4), (10, 0, 13, 3))
    scores = np.array([0.5, 0.49])
    assert compose(two, full(2), scores, SHAPE, SegmentConfig()).kept.tolist() == [0]
    assert compose(two, full(2), scores, SHAPE, SegmentConfig(score_threshold=0, min_area=10)).kept.tolist() == [0]
    assert compose(two, 0.6 * full(2), scores, SHAPE, SegmentConfig(mask_threshold=0.7)).labels.max() == 0


def test_the_smallest_area_counts_what_is_painted():
    half_hidden = boxes((0, 0, 10, 10), (5, 0, 15, 10))
    assert len(compose(half_hidden, full(2), np.array([0.9, 0.8]), SHAPE, SegmentConfig(min_area=51)).kept) == 1


def test_what_lies_outside_the_image_is_left_out():
    partly, outside, empty = (-5, 15, 5, 25), (40, 40, 50, 50), (8, 8, 8, 12)
    labels, kept, _ = compose(boxes(outside, partly, empty), full(3), np.ones(3), SHAPE, SegmentConfig())
    assert kept.tolist() == [1]
    assert labels.sum() == labels[15:, :5].sum() == 25


def test_no_detections():
    labels, kept, _ = compose(boxes(), full(0), np.ones(0), SHAPE, SegmentConfig())
    assert labels.shape == SHAPE
    assert len(kept) == labels.max() == 0


def test_many_detections_of_any_size_keep_their_order():
    count = BOXES_AT_ONCE + 44
    x = np.arange(count) * 3.0
    tall = np.stack([x, x * 0, x + 1 + np.arange(count) % 2, x * 0 + 1 + np.arange(count) % 5], 1)
    scores = np.linspace(0.5, 1, count)
    for values in (tall, scores):
        values.flags.writeable = False
    labels, kept, _ = compose(tall, full(count).astype(np.float16), scores, (5, 3 * count), SegmentConfig())
    np.testing.assert_array_equal(kept, np.arange(count)[::-1])
    np.testing.assert_array_equal(areas(labels)[::-1], (1 + np.arange(count) % 2) * (1 + np.arange(count) % 5))


def test_areas_and_centres_follow_the_ids():
    labels = np.array([[1, 1, 0], [0, 3, 3], [0, 3, 3]])
    assert areas(labels).tolist() == [2, 0, 4]
    np.testing.assert_array_equal(centroids(labels), [(0, 0.5), (np.nan, np.nan), (1.5, 1.5)])


def test_areas_and_centres_of_nothing():
    assert areas(np.zeros(SHAPE, int)).shape == (0,)
    assert centroids(np.zeros(SHAPE, int)).shape == (0, 2)


def test_the_share_of_each_id_that_lies_in_a_mask():
    labels, mask = np.array([[1, 1, 0], [0, 3, 3], [0, 3, 3]]), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
    assert share_inside(labels, mask).tolist() == [0, 1, 0, 0.25]
    assert share_inside(np.zeros(SHAPE, int), np.ones(SHAPE, bool)).tolist() == [1]
    assert share_inside(np.zeros((0, 3), int), np.ones((0, 3), bool)).tolist() == [0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
@pytest.mark.parametrize("highest", [5, 200])
def test_labels_of_any_type_are_renumbered_in_their_order(dtype, highest):
    numbers, ids = renumber(np.array([[0, highest, highest, 2]], dtype))
    assert numbers.tolist() == [[0, 2, 2, 1]]
    assert ids.tolist() == [2, highest]
