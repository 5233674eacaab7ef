"""Metrics of instance segmentation, all from one sparse table of overlaps.

Label images are int H×W, 0 is background, ids need not be consecutive. Nothing changes its input. Where both images are
empty every metric is 1 (nothing to find, nothing false); where one is empty every metric is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

Array = np.ndarray[Any, Any]
THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(9))


@dataclass(frozen=True)
class Overlaps:
    """Pairs of objects that share pixels.

    Attributes
    ----------
    truth_areas, prediction_areas : ndarray
        int64, area of each object, pixels.
    truth, prediction : ndarray
        int64 P, rows of the pair's objects in the arrays above.
    common : ndarray
        int64 P, shared pixels, at least 1.
    """

    truth_areas: Array
    prediction_areas: Array
    truth: Array
    prediction: Array
    common: Array

    @property
    def union(self) -> Array:
        """Pixels in either object of each pair, int64 P."""
        both = self.truth_areas[self.truth] + self.prediction_areas[self.prediction]
        return np.asarray(both - self.common)

    @property
    def iou(self) -> Array:
        """Intersection over union of each pair, float64 P in (0, 1]."""
        return np.asarray(self.common / self.union)


@dataclass(frozen=True)
class ImageScores:
    """Everything about one image; `true_positives` and the like are counts at each of `THRESHOLDS`."""

    true_positives: tuple[int, ...]
    false_positives: tuple[int, ...]
    false_negatives: tuple[int, ...]
    aji: float
    aji_plus: float
    dice: float
    dq: float
    sq: float
    pq: float


def overlaps(truth: Array, prediction: Array) -> Overlaps:
    """Count shared pixels of all pairs in one pass.

    Raises
    ------
    ValueError
        The images differ in size.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}; both must have the size of the image")
    truth_ids, rows = np.unique(truth, return_inverse=True)
    prediction_ids, columns = np.unique(prediction, return_inverse=True)
    pairs, counts = np.unique(rows.ravel() * len(prediction_ids) + columns.ravel(), return_counts=True)
    t, p = np.divmod(pairs, max(len(prediction_ids), 1))
    is_truth, is_prediction = truth_ids != 0, prediction_ids != 0
    truth_areas = np.bincount(t, weights=counts, minlength=len(truth_ids)).astype(np.int64)[is_truth]
    prediction_areas = np.bincount(p, weights=counts, minlength=len(prediction_ids)).astype(np.int64)[is_prediction]
    objects = is_truth[t] & is_prediction[p]
    truth_row, prediction_row = np.cumsum(is_truth) - 1, np.cumsum(is_prediction) - 1
    return Overlaps(truth_areas, prediction_areas, truth_row[t[objects]], prediction_row[p[objects]], counts[objects])


def count_matches(table: Overlaps, threshold: float) -> tuple[int, int, int]:
    """Return (TP, FP, FN) of a one-to-one matching of most pairs at an IoU of at least `threshold`.

    At more than 0.5 no object can be in two such pairs; at 0.5 and below an optimal assignment decides.
    """
    pairs = table.iou >= threshold
    t, p = table.truth[pairs], table.prediction[pairs]
    if len(np.unique(t)) == len(t) and len(np.unique(p)) == len(p):
        matched = len(t)
    else:
        matched = len(_assign(t, p, table.iou[pairs])[0])
    return matched, len(table.prediction_areas) - matched, len(table.truth_areas) - matched


def panoptic_quality(table: Overlaps) -> tuple[float, float, float]:
    """Return (DQ, SQ, PQ) at IoU over 0.5 (Kirillov et al., CVPR 2019): detection F1, mean IoU of matches, product."""
    matched = table.iou[table.iou > 0.5]
    total = len(table.truth_areas) + len(table.prediction_areas)
    if total == 0:
        return 1.0, 1.0, 1.0
    dq = 2 * len(matched) / total
    sq = float(matched.mean()) if len(matched) else 0.0
    return dq, sq, dq * sq


def aji(table: Overlaps) -> float:
    """Aggregated Jaccard index (Kumar et al., IEEE TMI 2017), each prediction used once.

    Truth objects, in the order of their ids, take the prediction of highest IoU among those not taken; areas of
    predictions
    that nobody took are added to the union.
    """
    order = np.lexsort((-table.iou, table.truth))
    used = np.zeros(len(table.prediction_areas), bool)
    done = np.zeros(len(table.truth_areas), bool)
    pairs = []
    for pair in order:
        t, p = table.truth[pair], table.prediction[pair]
        if not done[t] and not used[p]:
            done[t] = used[p] = True
            pairs.append(pair)
    return _jaccard(table, np.array(pairs, np.int64))


def aji_plus(table: Overlaps) -> float:
    """AJI+ (Graham et al., Medical Image Analysis 2019): pairs from the one-to-one assignment of largest total IoU."""
    _, _, chosen = _assign(table.truth, table.prediction, table.iou)
    return _jaccard(table, chosen)


def dice(truth: Array, prediction: Array) -> float:
    """Pixel F1 of foreground against background."""
    a, b = truth != 0, prediction != 0
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def evaluate_pair(truth: Array, prediction: Array) -> ImageScores:
    """Compute every metric of one image."""
    table = overlaps(truth, prediction)
    counts = [count_matches(table, threshold) for threshold in THRESHOLDS]
    tp, fp, fn = zip(*counts, strict=True)
    return ImageScores(tp, fp, fn, aji(table), aji_plus(table), dice(truth, prediction), *panoptic_quality(table))


def average_precision(scores: Sequence[ImageScores]) -> dict[float, float]:
    """AP = TP / (TP + FP + FN) at each threshold, counts pooled over the images (DSB 2018's definition)."""
    pooled = {}
    for i, threshold in enumerate(THRESHOLDS):
        tp = sum(s.true_positives[i] for s in scores)
        total = tp + sum(s.false_positives[i] + s.false_negatives[i] for s in scores)
        pooled[threshold] = tp / total if total else 1.0
    return pooled


def pool(scores: Sequence[ImageScores]) -> dict[str, float]:
    """Summarise images: AP pooled over their objects (`ap50`, `ap75`, `mean_ap` of 0.5 to 0.9), the rest as means."""
    precision = average_precision(scores)
    means = {
        name: float(np.mean([getattr(s, name) for s in scores])) if scores else 1.0
        for name in ("aji", "aji_plus", "dice", "dq", "sq", "pq")
    }
    return {
        "ap50": precision[0.5],
        "ap75": precision[0.75],
        "mean_ap": float(np.mean(list(precision.values()))),
        **means,
    }


def _jaccard(table: Overlaps, pairs: Array) -> float:
    unused = table.prediction_areas.sum() - table.prediction_areas[table.prediction[pairs]].sum()
    missed = table.truth_areas.sum() - table.truth_areas[table.truth[pairs]].sum()
    union = int(table.union[pairs].sum() + unused + missed)
    return float(table.common[pairs].sum() / union) if union else 1.0


def _assign(truth: Array, prediction: Array, value: Array) -> tuple[Array, Array, Array]:
    """Assignment of largest total value among the given pairs; return truth rows, prediction rows and pair numbers."""
    t_ids, t = np.unique(truth, return_inverse=True)
    p_ids, p = np.unique(prediction, return_inverse=True)
    gain = np.zeros((len(t_ids), len(p_ids)))
    number = np.full(gain.shape, -1)
    gain[t, p], number[t, p] = value, np.arange(len(value))
    rows, columns = linear_sum_assignment(gain, maximize=True)
    real = number[rows, columns] >= 0
    rows, columns = rows[real], columns[real]
    return t_ids[rows], p_ids[columns], number[rows, columns]
