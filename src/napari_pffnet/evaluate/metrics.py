"""Metrics of instance segmentation, all from one sparse table of overlaps.

Label images are int of any number of dimensions, 0 is background, ids need not be consecutive. Nothing changes its
input. Every metric lies in [0, 1]. Where both images are empty it is 1 (nothing to find, nothing false); where only one
is, it is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from napari_pffnet.typing import Array

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(9))
MEANS = ("aji", "aji_plus", "dice", "dq", "sq", "pq")


@dataclass(frozen=True)
class Overlaps:
    """The objects of two label images, in the order of their ids, and the pairs of them that share pixels.

    Attributes
    ----------
    truth_ids, prediction_ids : ndarray
        Integer T and R, id of each object.
    truth_areas, prediction_areas : ndarray
        int64 T and R, area of each object, pixels.
    truth, prediction : ndarray
        int64 P, rows of the pair's objects in the arrays above; sorted by `truth`, then `prediction`.
    common : ndarray
        int64 P, shared pixels, at least 1.
    """

    truth_ids: Array
    prediction_ids: Array
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
    return overlaps_of_parts([(truth, prediction)])


def overlaps_of_parts(parts: Iterable[tuple[Array, Array]]) -> Overlaps:
    """Count shared pixels as `overlaps` does, of images that come in parts: the same part of truth and prediction."""
    counted = [_count(truth, prediction) for truth, prediction in parts]
    table = pd.concat(counted).groupby(["truth", "prediction"], sort=True)["pixels"].sum().reset_index()
    truth_ids, truth_areas = _areas(table, "truth")
    prediction_ids, prediction_areas = _areas(table, "prediction")
    both = table[(table["truth"] != 0) & (table["prediction"] != 0)]
    return Overlaps(
        truth_ids,
        prediction_ids,
        truth_areas,
        prediction_areas,
        np.searchsorted(truth_ids, both["truth"]),
        np.searchsorted(prediction_ids, both["prediction"]),
        both["pixels"].to_numpy(),
    )


def _count(truth: Array, prediction: Array) -> pd.DataFrame:
    """Count the pixels of each pair of ids (`truth`, `prediction`, `pixels`); 0 is one of them, not with 0."""
    some = (truth != 0) | (prediction != 0)
    ids, rows = _unique(truth[some])
    found, columns = _unique(prediction[some])
    pairs, codes = _unique(rows * len(found) + columns)
    t, p = np.divmod(pairs, max(len(found), 1))
    return pd.DataFrame({"truth": ids[t], "prediction": found[p], "pixels": np.bincount(codes, minlength=len(pairs))})


def _areas(table: pd.DataFrame, side: str) -> tuple[Array, Array]:
    """Ids of the objects of one side, sorted, and their areas."""
    areas = table[table[side] != 0].groupby(side, sort=True)["pixels"].sum()
    return areas.index.to_numpy(), areas.to_numpy()


def count_matches(table: Overlaps, threshold: float) -> tuple[int, int, int]:
    """Return (TP, FP, FN): the most one-to-one pairs with an IoU of at least `threshold`, and who is left without."""
    pairs = np.flatnonzero(table.iou >= threshold)
    matched = len(assign(table, pairs, np.ones(len(pairs))))
    return matched, len(table.prediction_areas) - matched, len(table.truth_areas) - matched


def panoptic_quality(table: Overlaps) -> tuple[float, float, float]:
    """Return (DQ, SQ, PQ) of the pairs with an IoU over 0.5 (Kirillov et al., CVPR 2019).

    DQ is the F1 of detection, SQ the mean IoU of the pairs (0 without any), PQ their product.
    """
    matched = table.iou[table.iou > 0.5]
    total = len(table.truth_areas) + len(table.prediction_areas)
    if total == 0:
        return 1.0, 1.0, 1.0
    dq = 2 * len(matched) / total
    sq = float(matched.mean()) if len(matched) else 0.0
    return dq, sq, dq * sq


def aji(table: Overlaps) -> float:
    """Aggregated Jaccard index (Kumar et al., IEEE TMI 2017), each prediction used once.

    One after the other, in the order of their ids, truth objects take the prediction of highest IoU (of equal ones the
    lowest id) among those that they touch and nobody has taken. AJI = sum of the pairs' intersections / (sum of their
    unions + areas of truth objects without prediction + areas of predictions that nobody took).
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
    """AJI+ (Graham et al., Medical Image Analysis 2019): `aji` with the one-to-one pairs of largest total IoU."""
    return _jaccard(table, assign(table, np.arange(len(table.common)), table.iou))


def dice(table: Overlaps) -> float:
    """Pixel F1 of foreground against background; where an object lies does not matter, only that there is one."""
    total = table.truth_areas.sum() + table.prediction_areas.sum()
    return float(2 * table.common.sum() / total) if total else 1.0


def evaluate_pair(truth: Array, prediction: Array) -> ImageScores:
    """Compute every metric of one image."""
    return evaluate_overlaps(overlaps(truth, prediction))


def evaluate_overlaps(table: Overlaps) -> ImageScores:
    """Compute every metric of one image from its overlaps."""
    counts = [count_matches(table, threshold) for threshold in THRESHOLDS]
    tp, fp, fn = zip(*counts, strict=True)
    return ImageScores(tp, fp, fn, aji(table), aji_plus(table), dice(table), *panoptic_quality(table))


def average_precision(scores: Sequence[ImageScores]) -> dict[float, float]:
    """AP = TP / (TP + FP + FN) at each threshold, counts pooled over the images (DSB 2018's definition)."""
    pooled = {}
    for i, threshold in enumerate(THRESHOLDS):
        tp = sum(s.true_positives[i] for s in scores)
        total = tp + sum(s.false_positives[i] + s.false_negatives[i] for s in scores)
        pooled[threshold] = tp / total if total else 1.0
    return pooled


def pool(scores: Sequence[ImageScores]) -> dict[str, float]:
    """Summarise images: AP pooled over their objects (`ap50` to `ap90`, `mean_ap`), `MEANS` over the images."""
    precision = average_precision(scores)
    return {
        **{f"ap{round(100 * threshold)}": value for threshold, value in precision.items()},
        "mean_ap": float(np.mean(list(precision.values()))),
        **{name: float(np.mean([getattr(s, name) for s in scores])) if scores else 1.0 for name in MEANS},
    }


def assign(table: Overlaps, pairs: Array, value: Array) -> Array:
    """Choose from `pairs` (sorted rows of `table`), each object at most once, the largest total `value` (0 to 1]."""
    t, p = table.truth[pairs], table.prediction[pairs]
    alone = (np.bincount(t)[t] == 1) & (np.bincount(p)[p] == 1)
    contested = _match(table, pairs[~alone], value[~alone])
    return np.sort(np.concatenate([pairs[alone], contested]))


def _jaccard(table: Overlaps, pairs: Array) -> float:
    unused = table.prediction_areas.sum() - table.prediction_areas[table.prediction[pairs]].sum()
    missed = table.truth_areas.sum() - table.truth_areas[table.truth[pairs]].sum()
    union = int(table.union[pairs].sum() + unused + missed)
    return float(table.common[pairs].sum() / union) if union else 1.0


def _match(table: Overlaps, pairs: Array, value: Array) -> Array:
    if not len(pairs):
        return pairs
    truths, t = np.unique(table.truth[pairs], return_inverse=True)
    found, p = np.unique(table.prediction[pairs], return_inverse=True)
    nobody = np.arange(len(truths))
    # Sparse: a dense matrix of 10 000 × 10 000 nuclei would not fit. Each truth object may also stay alone, at cost 2.
    cost = np.concatenate([2 - value, np.full(len(truths), 2.0)])
    where = np.stack([np.concatenate([t, nobody]), np.concatenate([p, len(found) + nobody])])
    graph = csr_array((cost, tuple(where.astype(np.int32))))  # SciPy before 1.15 takes no others here
    rows, columns = min_weight_full_bipartite_matching(graph)
    real = columns < len(found)
    chosen = np.searchsorted(t * len(found) + p, rows[real] * len(found) + columns[real])
    return np.asarray(pairs[chosen])


def _unique(values: Array) -> tuple[Array, Array]:
    """Sorted distinct values and the place of each value among them; by counting or hashing, faster than sorting."""
    counts = values.dtype.kind in "iu" and np.can_cast(values.dtype, np.int64)
    if counts and len(values) and values.min() >= 0 and values.max() < len(values):
        occurs = np.bincount(values) > 0
        return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[values]
    codes, distinct = pd.factorize(values, sort=True)
    return np.asarray(distinct), np.asarray(codes)
