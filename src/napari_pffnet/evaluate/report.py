"""Comparing folders of label images: pairs, table, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from napari_pffnet.data.folder import RESULTS, image_of, list_images, of_all_planes
from napari_pffnet.data.sources import DataError
from napari_pffnet.evaluate.label_files import DRAW, LabelFile, check_pair, overlaps_of_files
from napari_pffnet.evaluate.links import note_on_links
from napari_pffnet.evaluate.metrics import MEANS, ImageScores, evaluate_overlaps, evaluate_pair, pool
from napari_pffnet.io.lazy import is_zarr
from napari_pffnet.wording import repeated

SUFFIX = RESULTS[0]
NAME_WIDTH = 24


class PairError(ValueError):
    """Folders that hold nothing to compare; the message names them and the fix."""


class FilePairs(NamedTuple):
    """What belongs together.

    `files` (truth, prediction) by name; `faults` one line per truth image that cannot be compared; `extra` names of
    predictions without truth.
    """

    files: dict[str, tuple[Path, Path]]
    faults: list[str]
    extra: list[str]


class Evaluated(NamedTuple):
    """What came of pairs: `scores` by name, `faults` one line per pair that has none, `notes` on those that have."""

    scores: dict[str, ImageScores]
    faults: list[str]
    notes: list[str]


def find_pairs(truth: Path, predictions: Path) -> FilePairs:
    """Pair label images by name.

    Parameters
    ----------
    truth, predictions : Path
        Two folders of ``NAME_labels.*`` (or as other programs name it, see `data.folder.LABEL_ENDS`) or ``NAME.*`` (the
        former wins: the latter may be the image) or ``NAME.zarr``, or two files or Zarr folders.

    Raises
    ------
    PairError
        Not two folders or two files, or there is no truth.
    """
    if all(path.is_file() or is_zarr(path) for path in (truth, predictions)):
        return FilePairs({image_of(truth.stem): (truth, predictions)}, [], [])
    for folder in (predictions, truth):
        if not folder.is_dir():
            raise PairError(f"{folder}: no such folder; give two folders of label images, or two label images")
    wanted, have = _label_files(truth), _label_files(predictions)
    if not wanted:
        hint = f"; did you mean {truth / 'labels'}?" if (truth / "labels").is_dir() else f"; expected NAME.tif ({DRAW})"
        raise PairError(f"{truth}: no label images{hint}")
    pairs = FilePairs({}, [], sorted(have.keys() - wanted.keys()))
    for name, true in wanted.items():
        found = have.get(name, [])
        twice = next((files for files in (true, found) if len(files) > 1), None)
        if twice:
            pairs.faults.append(f"{twice[1]}: same name as {twice[0].name}; remove one of them")
        elif not found:
            pairs.faults.append(f"{true[0]}: no prediction; expected {predictions / name}{SUFFIX}.tif or {name}.tif")
        else:
            pairs.files[name] = (true[0], found[0])
    return pairs


def evaluate_files(files: dict[str, tuple[Path, Path]], by_planes: bool = False) -> Evaluated:
    """Evaluate pairs of (truth, prediction).

    Of stacks an object is what has one id, on one plane or several; `by_planes`: each plane is an image by itself,
    NAME_plane0 and so on, counted through all axes. A pair has none if a file is unreadable or holds no
    labels, or if the two differ in size. A note says where the ids of one go on through planes and of the other do not.
    """
    done = Evaluated({}, [], [])
    for name, pair in files.items():
        try:
            truth, prediction = map(LabelFile, pair)
            if by_planes and len(truth.shape) > 2:
                planes = _by_planes(name, truth, prediction)
                if double := repeated([*done.scores, *planes, *files]):
                    raise DataError(f"{pair[0]}: has a plane named as a file, {double[0]}; compare them one by one")
                done.scores.update(planes)
                continue
            done.scores[name] = evaluate_overlaps(overlaps_of_files(truth, prediction))
            note = note_on_links(truth, prediction)
            done.notes.extend([f"{name}: {note}"] if note else [])
        except DataError as error:
            done.faults.append(str(error))
    return done


def _by_planes(name: str, truth: LabelFile, prediction: LabelFile) -> dict[str, ImageScores]:
    check_pair(truth, prediction)
    parts = zip(truth.parts(), prediction.parts(), strict=True)
    planes = ((part.reshape(-1, *part.shape[-2:]) for part in pair) for pair in parts)
    pairs = chain.from_iterable(zip(*each, strict=True) for each in planes)
    return {f"{name}_plane{number}": evaluate_pair(*pair) for number, pair in enumerate(pairs)}


def to_table(scores: dict[str, ImageScores]) -> pd.DataFrame:
    """Make one row per image (at least one), then `mean` over the images and `pooled` over all nuclei.

    Columns: `nuclei` and `found` (objects in truth and prediction), `ap50` to `ap90`, `mean_ap`, `aji`, `aji_plus`,
    `dice`, `dq`, `sq`, `pq`. Cells without meaning are NA: counts in `mean`, all that is not AP or a count in `pooled`.
    """
    images = [_figures([score]) for score in scores.values()]
    means = pd.DataFrame(images).drop(columns=["nuclei", "found"]).mean().to_dict()
    pooled = {key: value for key, value in _figures(list(scores.values())).items() if key not in MEANS}
    table = pd.DataFrame([*images, means, pooled], index=[*scores, "mean", "pooled"]).rename_axis("image")
    return table.astype({"nuclei": "Int64", "found": "Int64"})


def to_text(table: pd.DataFrame, width: int) -> str:
    """Format a table for a screen of `width` characters; long names are cut, wide tables go on below."""
    short = table.rename(index=lambda name: name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…")
    text = short.astype({"nuclei": str, "found": str}).replace("<NA>", "")
    return text.rename_axis(None).to_string(float_format="%.3f", na_rep="", line_width=width)


def to_csv(table: pd.DataFrame) -> str:
    """Format a table as CSV."""
    return table.to_csv(float_format="%.6f", lineterminator="\n")


def to_json(table: pd.DataFrame | None, faults: Sequence[str] = ()) -> str:
    """Format a table as JSON: `images` by name, `mean`, `pooled`, and `faults`; None if there is no image."""
    if table is None:
        return _json({"images": {}, "mean": {}, "pooled": {}, "faults": list(faults)})
    rows = [row.dropna().to_dict() for _, row in table.astype(object).iterrows()]
    images = dict(zip(table.index[:-2], rows[:-2], strict=True))
    return _json({"images": images, "mean": rows[-2], "pooled": rows[-1], "faults": list(faults)})


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _figures(scores: Sequence[ImageScores]) -> dict[str, float]:
    return {
        "nuclei": sum(s.true_positives[0] + s.false_negatives[0] for s in scores),
        "found": sum(s.true_positives[0] + s.false_positives[0] for s in scores),
        **pool(scores),
    }


def _label_files(folder: Path) -> dict[str, list[Path]]:
    """Return label images by NAME, without what stands beside ``NAME_labels.*``: the image and other results.

    The image of ``NAME_plane5_labels.*`` is ``NAME.*``.
    """
    files = list_images(folder)
    large = {path.stem: [path] for path in sorted(folder.glob("*.zarr")) if is_zarr(path)}
    files = {stem: paths for stem, paths in files.items() if stem not in large} | large  # an image beside its result
    labelled = {image_of(stem) for stem in files if image_of(stem) != stem}
    beside = {name + end for name in labelled for end in ("", *RESULTS[1:])} | {
        of_all_planes(name) for name in labelled
    }
    found: dict[str, list[Path]] = {}
    for stem, paths in files.items():
        if stem not in beside:
            found.setdefault(image_of(stem), []).extend(paths)
    return found
