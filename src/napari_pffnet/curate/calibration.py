"""Calibration of the predicted fit: what the network promised, against what became of it in a project.

When nuclei that a model found become the annotation of an image, they are kept in ``journal/NAME/`` (``predicted.tif``
and ``predicted.csv``). Once the image is done, or complete in places, each of them tells how well it fitted: its IoU
with the nucleus that the user made of it, 1 if it was left as it was, 0 if it was deleted.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from napari_pffnet.curate.provenance import Rows, read_rows, rows_bytes
from napari_pffnet.data.annotation import read_pixels
from napari_pffnet.evaluate.metrics import overlaps
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.project import PROJECT_FILE, ImageEntry, annotation_file, read_manifest
from napari_pffnet.io.regions import read_regions
from napari_pffnet.io.tiff import label_tiff
from napari_pffnet.labels import renumber, share_inside
from napari_pffnet.typing import Array

Values = NDArray[np.float64]

CALIBRATION_FILE = "calibration.json"
LABELS_FILE, ROWS_FILE = "predicted.tif", "predicted.csv"
#: Under this many pairs nothing is said.
FEWEST = 30
#: With this many pairs, half is believed of them and half of the network.
PRIOR = 60
#: States of nuclei that still are what the model predicted; edited ones stay "edited" when they are accepted.
UNTOUCHED = ("", "accepted")
#: So many touched nuclei may be there already when a prediction is kept.
MOST_TOUCHED = 2


class Pairs(NamedTuple):
    """Predicted fit and measured IoU of nuclei, float64 N, both in [0, 1]."""

    predicted: Values
    measured: Values


@dataclass(frozen=True)
class Calibration:
    """A curve from the predicted fit to the one to expect; never falls.

    Attributes
    ----------
    x, y : tuple of float
        Its corners, in [0, 1], `x` rising; straight between them, level beyond.
    pairs : int
        From how many pairs it comes; with few, `apply` stays near the prediction.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    pairs: int

    def apply(self, values: ArrayLike) -> Values:
        """Return the fit to expect for predicted values, in [0, 1]; NaN stays NaN."""
        given = np.asarray(values, np.float64)
        trust = self.pairs / (self.pairs + PRIOR)
        return np.asarray(np.clip(trust * np.interp(given, self.x, self.y) + (1 - trust) * given, 0, 1))

    def write(self, folder: Path) -> None:
        """Write ``calibration.json`` into a project, as a whole or not at all."""
        content = {"version": 1, "pairs": self.pairs, "x": self.x, "y": self.y}
        write_atomic(folder / CALIBRATION_FILE, (json.dumps(content) + "\n").encode())


def fit_calibration(pairs: Pairs) -> Calibration | None:
    """Fit the curve by isotonic regression; None if there are too few pairs (`FEWEST`) to say anything."""
    known = np.isfinite(pairs.predicted) & np.isfinite(pairs.measured)
    predicted, measured = pairs.predicted[known], pairs.measured[known]
    if len(predicted) < FEWEST:
        return None
    x, place = np.unique(predicted, return_inverse=True)
    weights = np.bincount(place).astype(float)
    means = np.bincount(place, weights=measured) / weights
    result = isotonic_regression(means, weights=weights)
    blocks = np.asarray(result.blocks)
    corners = [float(np.average(x[a:b], weights=weights[a:b])) for a, b in pairwise(blocks)]
    heights = [float(min(max(result.x[a], 0.0), 1.0)) for a in blocks[:-1]]
    return Calibration(tuple(corners), tuple(heights), len(predicted))


def read_calibration(folder: Path) -> Calibration | None:
    """Read a project's calibration; None if there is none or it is damaged."""
    try:
        content = json.loads((folder / CALIBRATION_FILE).read_text(encoding="utf-8"))
        x, y = (tuple(float(value) for value in content[name]) for name in ("x", "y"))
        pairs = int(content["pairs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = len(x) == len(y) > 0 and pairs >= 0 and all(math.isfinite(v) and 0 <= v <= 1 for v in (*x, *y))
    return Calibration(x, y, pairs) if usable and list(x) == sorted(x) and list(y) == sorted(y) else None


def calibrate(folder: Path) -> Calibration | None:
    """Fit a project's calibration anew and keep it in the project; None, and nothing written, with too few pairs.

    Raises
    ------
    ProjectError
        ``project.json`` cannot be used.
    OSError
        The folder cannot be written.
    """
    calibration = fit_calibration(project_pairs(folder))
    if calibration is not None:
        calibration.write(folder)
    return calibration


def keep_prediction(folder: Path, name: str, labels: Array, rows: Rows) -> bool:
    """Keep what a model found in an image, if these rows say that it did; True if so.

    Parameters
    ----------
    folder : Path
        The project's.
    name : str
        The image's.
    labels : ndarray
        int H×W as they become the annotation.
    rows : dict
        By label id; those with a predicted fit that nobody has edited count. Where more than `MOST_TOUCHED` were
        edited, others may have been deleted: that is no prediction any more.
    """
    found = {label: row for label, row in rows.items() if row.get("state") in UNTOUCHED and math.isfinite(_fit(row))}
    touched = sum(row.get("state") not in UNTOUCHED for row in rows.values())
    if not found or touched > MOST_TOUCHED:
        return False
    place = folder / "journal" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / ROWS_FILE).unlink(missing_ok=True)  # labels without rows are no prediction; rows of other labels would lie
    write_atomic(place / LABELS_FILE, label_tiff(labels))
    write_atomic(place / ROWS_FILE, rows_bytes(found))
    return True


def project_pairs(folder: Path) -> Pairs:
    """Collect the pairs of a project's images, as far as they are done or complete.

    An image whose files cannot be read, or of which no prediction was kept, gives none.

    Raises
    ------
    ProjectError
        ``project.json`` cannot be used.
    """
    found = [_image_pairs(folder, entry) for entry in read_manifest(folder / PROJECT_FILE).images]
    parts = [pairs for pairs in found if pairs is not None]
    none = [np.zeros(0)]
    return Pairs(
        np.concatenate([*none, *(part.predicted for part in parts)]),
        np.concatenate([*none, *(part.measured for part in parts)]),
    )


def measured_fit(predicted: Array, corrected: Array) -> dict[int, float]:
    """Return for each predicted nucleus its best IoU with a corrected one; 0 if none is there any more."""
    table = overlaps(predicted, corrected)
    best = np.zeros(len(table.truth_ids))
    np.maximum.at(best, table.truth, table.iou)
    return dict(zip(table.truth_ids.tolist(), best.tolist(), strict=True))


def _image_pairs(folder: Path, entry: ImageEntry) -> Pairs | None:
    place = folder / "journal" / entry.name
    try:
        rows = read_rows((place / ROWS_FILE).read_bytes())
        predicted = read_pixels(place / LABELS_FILE, indices=True)
        corrected = read_pixels(annotation_file(folder, "labels", entry.name), indices=True)
        regions = read_regions(annotation_file(folder, "regions", entry.name))
    except (OSError, ValueError):  # also DataError and ProjectError
        return None
    if predicted.shape != corrected.shape or predicted.ndim != 2:
        return None
    settled = np.ones(predicted.shape, bool) if entry.state == "done" else regions.mask(predicted.shape)
    settled_ids = _inside(predicted, settled)
    fits = measured_fit(predicted, corrected)
    chosen = [label for label in rows if label in settled_ids]
    return Pairs(np.array([_fit(rows[label]) for label in chosen]), np.array([fits[label] for label in chosen]))


def _inside(labels: Array, settled: NDArray[np.bool_]) -> set[int]:
    """Return the ids of which at least half is settled."""
    codes, ids = renumber(labels)
    return set(ids[share_inside(codes, settled)[1:] >= 0.5].tolist())


def _fit(row: dict[str, Any]) -> float:
    """Return the predicted fit of a row; NaN if there is none."""
    value = row.get("mask_score")
    return float(value) if isinstance(value, int | float) else math.nan
