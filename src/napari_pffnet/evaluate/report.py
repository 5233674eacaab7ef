"""Comparing folders of label images: pairs, table, CSV and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from napari_pffnet.data.annotation import read_labels, read_pixels
from napari_pffnet.data.folder import list_images
from napari_pffnet.evaluate.metrics import THRESHOLDS, ImageScores, average_precision, evaluate_pair, pool

SUFFIX = "_labels"


class PairError(ValueError):
    """Predictions and truth that cannot be paired; the message names the files."""


def find_pairs(predictions: Path, truth: Path) -> dict[str, tuple[Path, Path]]:
    """Pair label images by name: ``NAME.*`` in `truth`, ``NAME_labels.*`` or ``NAME.*`` in `predictions`; or two files.

    Raises
    ------
    PairError
        No truth, or a truth image without a prediction.
    """
    if truth.is_file() and predictions.is_file():
        return {truth.stem: (predictions, truth)}
    for folder in (truth, predictions):
        if not folder.is_dir():
            raise PairError(f"{folder} is no folder; give two folders of label images, or two files")
    wanted, have = _files(truth), _files(predictions)
    pairs = {name: (have.get(name + SUFFIX) or have.get(name), file) for name, file in wanted.items()}
    missing = [name for name, (file, _) in pairs.items() if file is None]
    if missing or not wanted:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise PairError(f"no prediction in {predictions} for: {shown}" if missing else f"no label images in {truth}")
    return {name: (file, true) for name, (file, true) in pairs.items() if file is not None}


def evaluate_files(pairs: dict[str, tuple[Path, Path]]) -> dict[str, ImageScores]:
    """Evaluate every pair.

    Raises
    ------
    DataError
        A file is unreadable, holds no labels, or its size differs from its partner's.
    """
    scores = {}
    for name, (prediction, truth) in pairs.items():
        shape = read_pixels(truth, indices=True).shape[:2]
        scores[name] = evaluate_pair(read_labels(truth, shape), read_labels(prediction, shape))
    return scores


def to_table(scores: dict[str, ImageScores]) -> pd.DataFrame:
    """One row per image and, last, ``all``: AP pooled over all objects, the other metrics as means."""
    rows = {name: pool([score]) for name, score in scores.items()}
    rows["all"] = pool(list(scores.values()))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("image")


def to_json(scores: dict[str, ImageScores]) -> str:
    """Everything as JSON: per image, the summary, and the pooled AP of each threshold."""
    content: dict[str, Any] = {
        "images": {name: pool([score]) for name, score in scores.items()},
        "summary": pool(list(scores.values())),
        "average_precision": dict(
            zip(map(str, THRESHOLDS), average_precision(list(scores.values())).values(), strict=True)
        ),
    }
    return json.dumps(content, indent=2, default=float)


def _files(folder: Path) -> dict[str, Path]:
    return {name: files[0] for name, files in list_images(folder).items()}
