from dataclasses import astuple
from itertools import permutations

import numpy as np
import pytest

from napari_pffnet.evaluate.metrics import (
    THRESHOLDS,
    aji,
    aji_plus,
    average_precision,
    count_matches,
    dice,
    evaluate_pair,
    overlaps,
    panoptic_quality,
    pool,
)

# IoU: 1-1 is 8/10, 1-2 is 2/13, 2-2 is 3/6; object 3 is missed, prediction 3 is false.
TRUTH = np.array([10 * [1] + 4 * [2] + 2 * [0] + 4 * [3]])
FOUND = np.array([8 * [1] + 5 * [2] + 1 * [0] + 2 * [3] + 4 * [0]])


def row(*runs):
    """One-row label image of (id, length) runs."""
    return np.array([[number for number, length in runs for _ in range(length)]])


def test_counts_by_hand():
    scores = evaluate_pair(TRUTH, FOUND)
    assert scores.true_positives == (2, 1, 1, 1, 1, 1, 1, 0, 0)
    assert scores.false_positives == scores.false_negatives == (1, 2, 2, 2, 2, 2, 2, 3, 3)


def test_figures_by_hand():
    scores = evaluate_pair(TRUTH, FOUND)
    assert scores.aji == scores.aji_plus == pytest.approx((8 + 3) / (10 + 6 + 4 + 2))
    assert scores.dice == pytest.approx(2 * 13 / (18 + 15))
    assert (scores.dq, scores.sq, scores.pq) == pytest.approx((1 / 3, 0.8, 0.8 / 3))


def test_aji_takes_objects_in_turn_and_aji_plus_takes_the_best_pairs():
    table = overlaps(row((1, 4), (2, 6)), row((0, 2), (1, 8)))
    assert aji(table) == pytest.approx(2 / (10 + 6))
    assert aji_plus(table) == pytest.approx(6 / (8 + 4))


def test_of_two_halves_only_one_is_a_match():
    assert count_matches(overlaps(row((1, 4)), row((1, 2), (2, 2))), 0.5) == (1, 1, 0)
    assert panoptic_quality(overlaps(row((1, 4)), row((1, 2), (2, 2)))) == (0, 0, 0)


def test_empty_images():
    nothing, something = row((0, 4)), row((0, 1), (7, 3))
    assert {f for f in astuple(evaluate_pair(nothing, nothing)) if isinstance(f, float)} == {1.0}
    assert {f for f in astuple(evaluate_pair(nothing, something)) if isinstance(f, float)} == {0.0}
    assert {f for f in astuple(evaluate_pair(something, nothing)) if isinstance(f, float)} == {0.0}
    assert evaluate_pair(nothing, something).false_positives == 9 * (1,)
    assert evaluate_pair(something, nothing).false_negatives == 9 * (1,)
    assert evaluate_pair(np.zeros((0, 3), int), np.zeros((0, 3), int)).pq == 1


def test_inputs_stay_as_they_are_and_ids_may_have_gaps():
    truth, found = (TRUTH * 9000).astype(np.uint16), (FOUND * 70_000).astype(np.uint32)
    truth.flags.writeable = found.flags.writeable = False
    assert evaluate_pair(truth, found) == evaluate_pair(TRUTH, FOUND)
    table = overlaps(truth, found)
    assert table.truth_ids.tolist() == [9000, 18_000, 27_000]
    assert table.prediction_ids.tolist() == [70_000, 140_000, 210_000]


def test_images_must_have_one_size():
    with pytest.raises(ValueError, match=r"\(1, 20\), prediction \(1, 19\)"):
        overlaps(TRUTH, FOUND[:, 1:])


def test_average_precision_is_pooled_and_the_rest_are_means():
    good, bad = evaluate_pair(TRUTH, TRUTH), evaluate_pair(row((1, 4), (0, 2)), row((0, 4), (1, 2)))
    assert average_precision([good, bad]) == dict.fromkeys(THRESHOLDS, 3 / 5)
    assert average_precision([]) == dict.fromkeys(THRESHOLDS, 1)
    figures = pool([good, bad])
    assert [figures[f"ap{percent}"] for percent in range(50, 91, 5)] == [3 / 5] * 9
    assert figures["ap50"] == figures["mean_ap"] == pytest.approx(0.6)
    assert figures["aji"] == figures["pq"] == figures["dice"] == 0.5


def blobs(rng):
    """Up to four overlapping rectangles with ids that have gaps, 12×12."""
    image = np.zeros((12, 12), np.int64)
    for number in rng.permutation(20)[: rng.integers(0, 5)]:
        y, x = rng.integers(0, 9, 2)
        height, width = rng.integers(2, 8, 2)
        image[y : y + height, x : x + width] = number + 1
    return image


def naive_masks(image):
    return [image == number for number in np.unique(image) if number]


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def naive_jaccard(truth, found, pairs):
    common = sum((truth[t] & found[p]).sum() for t, p in pairs)
    union = sum((truth[t] | found[p]).sum() for t, p in pairs)
    union += sum(m.sum() for t, m in enumerate(truth) if t not in [pair[0] for pair in pairs])
    union += sum(m.sum() for p, m in enumerate(found) if p not in [pair[1] for pair in pairs])
    return common / union if union else 1.0


def naive_aji(truth, found):
    pairs = []
    for t, mask in enumerate(truth):
        free = [p for p in range(len(found)) if p not in [pair[1] for pair in pairs] and (mask & found[p]).any()]
        if free:
            pairs.append((t, max(free, key=lambda p: iou(mask, found[p]))))
    return naive_jaccard(truth, found, pairs)


def pairings(truth, found):
    """All ways to pair objects that touch, one to one."""
    slots = [*range(len(found)), *[None] * len(truth)]
    return [
        [(t, p) for t, p in enumerate(chosen) if p is not None and (truth[t] & found[p]).any()]
        for chosen in set(permutations(slots, len(truth)))
    ]


def naive_aji_plus(truth, found):
    """The values of all pairings that share the largest total IoU."""
    ways = pairings(truth, found)
    totals = [sum(iou(truth[t], found[p]) for t, p in pairs) for pairs in ways]
    best = max(totals) - 1e-9
    return [naive_jaccard(truth, found, pairs) for pairs, total in zip(ways, totals, strict=True) if total > best]


def naive_panoptic(truth, found):
    matched = [value for t in truth for p in found if (value := iou(t, p)) > 0.5]
    if not truth and not found:
        return 1.0
    return sum(matched) / (len(matched) + (len(truth) + len(found) - 2 * len(matched)) / 2)


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_naive_implementations(seed):
    rng = np.random.default_rng(seed)
    truth = blobs(rng)
    found = np.roll(truth, rng.integers(-2, 3, 2), (0, 1)) if seed % 2 else blobs(rng)
    table, t, p = overlaps(truth, found), naive_masks(truth), naive_masks(found)
    assert aji(table) == pytest.approx(naive_aji(t, p))
    assert min(abs(aji_plus(table) - value) for value in naive_aji_plus(t, p)) < 1e-9
    assert panoptic_quality(table)[2] == pytest.approx(naive_panoptic(t, p))
    a, b = truth > 0, found > 0
    assert dice(table) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1)
    for threshold in (0.3, 0.5, 0.75):
        most = max(sum(iou(t[i], p[j]) >= threshold for i, j in pairs) for pairs in pairings(t, p))
        assert count_matches(table, threshold) == (most, len(p) - most, len(t) - most)


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.uint8, np.int16])
def test_the_type_and_the_numbers_of_ids_change_nothing(kind):
    truth, found = ((40 * image).astype(kind) for image in (TRUTH, FOUND))
    assert evaluate_pair(truth, found) == evaluate_pair(TRUTH, FOUND)
