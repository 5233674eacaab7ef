"""How many actions correcting takes: a simulated annotator works on annotated images until every nucleus is right.

    python training/benchmarks/annotator.py DATA/fluorescence/val DATA/histology/val DATA/brightfield/val

The end is the same each time: every true nucleus is matched at IoU >= 0.7, and nothing else is left. An action is one
press of a key or of the mouse button, with what follows until it is released. Looking costs nothing.

With napari's own tools, counted in two ways, since painting can be done with more or less care:

  stroke   a new nucleus is its key and one stroke that covers it (2); a nucleus too small is painted anew (2), one too
           large takes one stroke of the eraser (1), both 3, a false one 1; changing between brush and eraser is free
  outline  a new nucleus is its key, a stroke around it, the fill tool's key, a click, the brush's key (5); a nucleus
           too small 5, too large 1, both 6, a false one 1

With this package's tools, every change of tool is counted (its key), and Undo after each attempt that did not help:

  sight    all errors are seen on the screen. Delete (its key, cursor on it), Accept candidate (key), Split (a drawn
           line), Box (a drag around the nucleus, new ones replace others), Outline (a drag) where the box did not help;
           one tool after the other
  queue    the review list from the top, one key for each entry (next, accept or delete) and the tools for what is
           wrong, until five entries in a row needed nothing; the rest as in `sight`

Boxes are drawn with an error of up to 8 % of the nucleus at each side; outlines and lines follow the truth. Edits are
made with the functions behind the buttons.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from skimage.measure import find_contours

from napari_pffnet.curate.candidates import Candidate, candidates
from napari_pffnet.curate.change import Change, OperationError
from napari_pffnet.curate.operations import delete
from napari_pffnet.curate.placing import place
from napari_pffnet.curate.queue import CANDIDATE, candidate_rows, joined, judged, nucleus_rows, usual_area
from napari_pffnet.curate.split import split_by_line
from napari_pffnet.data.opening import open_source
from napari_pffnet.evaluate.metrics import overlaps
from napari_pffnet.library import load_model, pick_device
from napari_pffnet.segment import FeatureCache, FoundNucleus, Pointer, Segmenter
from napari_pffnet.segment.prediction import Segmentation
from napari_pffnet.typing import Array

GOOD = 0.7
ENOUGH_RIGHT = 5
SHAKY = 0.08
ONE_SIDED = 0.15
EARLY = 0.2


class Matching:
    """Which nuclei of `labels` are right, against the truth."""

    def __init__(self, truth: Array, labels: Array) -> None:
        table = overlaps(truth, labels)
        self.true_ids, self.ids = table.truth_ids, table.prediction_ids
        self.common = pd.DataFrame(
            {
                "truth": self.true_ids[table.truth],
                "label": self.ids[table.prediction],
                "of_truth": table.common / table.truth_areas[table.truth],
                "of_label": table.common / table.prediction_areas[table.prediction],
                "iou": table.iou,
            }
        )
        good = self.common[self.common["iou"] >= GOOD]
        self.missed = sorted(set(self.true_ids.tolist()) - set(good["truth"]))
        self.wrong = sorted(set(self.ids.tolist()) - set(good["label"]))

    def missed_under(self, label: int, share: str = "of_truth") -> list[int]:
        """Missed nuclei of which (or which make up) more than half of the label, the largest part first."""
        rows = self.common[(self.common["label"] == label) & (self.common[share] > 0.5)]
        return [t for t in rows.sort_values(share, ascending=False)["truth"] if t in self.missed]


#: An entry of a list: where it stands (lower is earlier), and whether it leads to an object that needs correction.
Row = tuple[float, bool]


@dataclass
class Counts:
    """What it took on some images; numbers of objects and actions; the review list and nuclei by class score."""

    nuclei: int = 0
    errors: int = 0
    stroke: int = 0
    outline: int = 0
    segment_stroke: int = 0
    segment_outline: int = 0
    sight: int = 0
    queue: int = 0
    model_seconds: float = 0.0
    by_queue: tuple[Row, ...] = ()
    by_score: tuple[Row, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        """Add up field by field."""
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Annotator:
    """Corrects one image with the tools, and counts."""

    def __init__(
        self, truth: Array, result: Segmentation, pointer: Pointer, offered: list[Candidate], seed: int
    ) -> None:
        self.truth, self.labels, self.pointer, self.offered = truth, result.labels.copy(), pointer, offered
        self.random = np.random.default_rng(seed)
        self.actions, self.tool, self.seconds = 1, "", 0.0  # the button Segment
        self.now = Matching(truth, self.labels)

    def by_queue(self, queue: pd.DataFrame) -> None:
        """Take entries of the queue, worst first, until enough in a row needed nothing."""
        in_a_row = 0
        for kind, index in zip(queue["kind"], queue["index"], strict=True):
            self.actions += 1
            worked = self._accept(self.offered[index]) if kind == CANDIDATE else self._visit(index)
            in_a_row = 0 if worked else in_a_row + 1
            if in_a_row == ENOUGH_RIGHT:
                return

    def on_sight(self) -> None:
        """Put right all that is seen to be wrong, one tool after the other."""
        for candidate in self.offered:
            self.actions += self._accept(candidate)
        for label in self.now.wrong:
            if len(inside := self.now.missed_under(label)) > 1:
                self._split(label, inside)
        self._delete([label for label in self.now.wrong if not self._of_use(label)])
        hard = [true for true in self.now.missed if true in self.now.missed and not self._box(true)]
        for true in hard:
            if true in self.now.missed:
                self._outline(true)
        while self.now.wrong or self.now.missed:
            self._delete(self.now.wrong)
            for true in self.now.missed:
                self._outline(true)

    def _of_use(self, label: int) -> bool:
        """Whether a wrong label will be replaced by the nucleus that most of it is part of."""
        return bool(self.now.missed_under(label, "of_label"))

    def _visit(self, label: int) -> bool:
        """Put right what is wrong with one label; the key that goes on deletes it, if that is all."""
        if label not in self.now.wrong:
            return False
        inside = self.now.missed_under(label)
        if len(inside) > 1 and self._split(label, inside):
            return True
        mine = self.now.missed_under(label, "of_label") or inside
        if not mine:
            self._write(delete(self.labels, [label]))
        elif not self._box(mine[0]):
            self._outline(mine[0])
        return True

    def _delete(self, labels: list[int]) -> None:
        self.actions += len(labels)
        self._write(delete(self.labels, labels))

    def _accept(self, candidate: Candidate) -> bool:
        """Accept a candidate, if it is right."""
        missed = len(self.now.missed)
        return self._kept(lambda: place(self.labels, candidate.indices), lambda: len(self.now.missed) < missed)

    def _split(self, label: int, inside: list[int]) -> bool:
        line = _line_between(self.truth == inside[0], self.truth == inside[1])
        alone = np.where(self.labels == label, self.labels, 0)
        return self._try("split", lambda: split_by_line(alone, line, int(self.labels.max())), inside[0])

    def _box(self, true: int) -> bool:
        box = self._drawn_box(true)
        return self._try("box", lambda: place(self.labels, self._ask(box).indices, replace=True), true)

    def _outline(self, true: int) -> None:
        self._take("outline")
        self.actions += 1
        self._write(place(self.labels, np.nonzero(self.truth == true), replace=True))

    def _drawn_box(self, true: int) -> tuple[float, ...]:
        rows, columns = np.nonzero(self.truth == true)
        box = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1], float)
        sides = np.tile(box[2:] - box[:2], 2)
        return tuple(box + self.random.uniform(-SHAKY, SHAKY, 4) * sides)

    def _ask(self, box: tuple[float, ...]) -> FoundNucleus:
        start = time.perf_counter()
        found = self.pointer.nucleus_in(box)
        self.seconds += time.perf_counter() - start
        if found is None:
            raise OperationError("nothing found")
        return found

    def _try(self, tool: str, edit: Callable[[], Change], true: int) -> bool:
        """Use a tool; undo it if the nucleus is not right then."""
        self._take(tool)
        right = self._kept(edit, lambda: true not in self.now.missed)
        self.actions += 1 if right else 2
        return right

    def _kept(self, edit: Callable[[], Change], helped: Callable[[], bool]) -> bool:
        before = self.labels, self.now
        try:
            self._write(edit())
        except OperationError:
            return False
        if not helped():
            self.labels, self.now = before
            return False
        return True

    def _take(self, tool: str) -> None:
        self.actions += self.tool != tool
        self.tool = tool

    def _write(self, change: Change) -> None:
        self.labels = self.labels.copy()
        self.labels[change.indices] = change.values
        self.now = Matching(self.truth, self.labels)


def _line_between(first: Array, second: Array) -> Array:
    """Return the line (N×2: y, x) on which two nuclei (bool H×W) are equally near."""
    rows, columns = np.nonzero(first | second)
    corner = np.array([max(rows.min() - 2, 0), max(columns.min() - 2, 0)])
    window = slice(corner[0], rows.max() + 3), slice(corner[1], columns.max() + 3)
    nearer = distance_transform_edt(~first[window]) - distance_transform_edt(~second[window])
    return max(find_contours(nearer, 0), key=len) + corner


def by_brush(match: Matching) -> tuple[int, int]:
    """Actions to correct a segmentation with napari's own tools, as `stroke` and as `outline`."""
    strokes, outlines, used = 1, 1, set()
    for true in match.missed:
        rows = match.common[(match.common["truth"] == true) & (match.common["of_label"] > 0.5)]
        rows = rows[rows["label"].isin(match.wrong)].sort_values("iou")
        best = rows.iloc[-1] if len(rows) else None
        too_small = best is None or 1 - best["of_truth"] > ONE_SIDED
        too_large = best is not None and 1 - best["of_label"] > ONE_SIDED
        strokes += 2 * too_small + too_large
        outlines += 5 * too_small + too_large
        used |= set() if best is None else {best["label"]}
    false = len(set(match.wrong) - used)
    return strokes + false, outlines + false


def leads(kind: str, index: int, offered: list[Candidate], truth: Array) -> set[tuple[str, int]]:
    """Name the objects that an entry of the list leads to."""
    if kind != CANDIDATE:
        return {("wrong", index)}
    ids, count = np.unique(truth[offered[index].indices], return_counts=True)
    return {("missed", int(i)) for i, n in zip(ids, count, strict=True) if 2 * n > offered[index].area}


def found_by(
    entries: Iterable[tuple[float, str, int]], match: Matching, offered: list[Candidate], truth: Array
) -> tuple[Row, ...]:
    """Tell of each entry (place, kind, index) whether it is the first that leads to a mistake."""
    left, rows = mistakes(match), []
    for where, kind, index in entries:
        found = leads(kind, index, offered, truth) & left
        left -= found
        rows.append((where, bool(found)))
    return tuple(rows)


def share_early(rows: tuple[Row, ...], errors: int) -> float:
    """Share of all mistakes that the first entries of one list lead to."""
    ordered = sorted(rows, key=lambda row: row[0])
    return sum(found for _, found in ordered[: round(EARLY * len(ordered))]) / errors


def mistakes(match: Matching) -> set[tuple[str, int]]:
    """All objects that need correction: wrong labels, and missed nuclei that do not lie mostly under these."""
    covered = match.common[match.common["label"].isin(match.wrong)].groupby("truth")["of_truth"].sum()
    missed = {("missed", true) for true in match.missed if covered.get(true, 0) <= 0.5}
    return {("wrong", label) for label in match.wrong} | missed


def correct(image: Array, truth: Array, segmenter: Segmenter, seed: int) -> Counts:
    """Correct one image in all three ways."""
    start = time.perf_counter()
    pointer = Pointer(segmenter, image, FeatureCache())
    pointer.prediction = found = segmenter.predict(image, keep=pointer.keep)
    seconds = time.perf_counter() - start
    result = found.compose(segmenter.config)
    offered = candidates(result.labels, found.boxes, found.masks, found.mask_scores, found.semantic)
    queue = review_queue(result, found.semantic, offered)
    match = Matching(truth, result.labels)
    ordered = zip(-queue["priority"], queue["kind"], queue["index"], strict=True)
    by_score = [(score, "nucleus", i) for score, i in result.table[["score", "index"]].itertuples(index=False)]
    nuclei, (strokes, outlines) = len(match.true_ids), by_brush(match)
    seeing, stepping = (Annotator(truth, result, pointer, offered, seed) for _ in range(2))
    stepping.by_queue(queue)
    for annotator in (seeing, stepping):
        annotator.on_sight()
    return Counts(
        nuclei=nuclei,
        errors=len(mistakes(match)),
        stroke=2 * nuclei,
        outline=5 * nuclei,
        segment_stroke=strokes,
        segment_outline=outlines,
        sight=seeing.actions,
        queue=stepping.actions,
        model_seconds=seconds + stepping.seconds,
        by_queue=found_by(ordered, match, offered, truth),
        by_score=found_by(by_score, match, offered, truth),
    )


def review_queue(result: Segmentation, semantic: Array, offered: list[Candidate]) -> pd.DataFrame:
    """Order nuclei and candidates as the panel does, the worst first."""
    labels = result.labels
    nuclei = nucleus_rows(
        labels, result.table, semantic, overlaps=None, window=None, shape=labels.shape, calibrate=None
    )
    usual = usual_area(nuclei)
    rows = joined(judged(nuclei.assign(size=nuclei["area"] / usual)), candidate_rows(offered, labels.shape, usual))
    return rows.sort_values("priority", ascending=False, kind="stable", ignore_index=True)


WAYS = ("stroke", "outline", "segment_stroke", "segment_outline", "sight", "queue")


def table(counts: dict[str, Counts]) -> str:
    """Write the two tables in Markdown."""
    lines = [
        "Actions per 100 nuclei; model time in seconds per 100 nuclei.",
        "",
        "| images of | nuclei | stroke | outline | segment + stroke | segment + outline | segment + tools on sight |"
        " segment + queue + tools | model time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, c in counts.items():
        per = [f"{100 * getattr(c, way) / c.nuclei:.0f}" for way in WAYS]
        lines.append(f"| {name} | {c.nuclei} | {' | '.join(per)} | {100 * c.model_seconds / c.nuclei:.1f} |")
    lines += [
        "",
        f"Share of all objects that need correction among the first {EARLY:.0%} of one list over the images.",
        "",
        "| images of | need correction | queue | class score | random | best possible |",
        "|---|---|---|---|---|---|",
    ]
    for name, c in counts.items():
        length = len(c.by_queue)
        leading = sum(found for _, found in c.by_queue)
        shares = [
            share_early(c.by_queue, c.errors),
            share_early(c.by_score, c.errors),
            EARLY * leading / c.errors,
            min(leading, round(EARLY * length)) / c.errors,
        ]
        lines.append(f"| {name} | {c.errors} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    return "\n".join(lines)


def main() -> None:
    """Run on the folders given and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="annotated folders; a row for each and one for all")
    parser.add_argument("--model", default="default", help="name or path")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    segmenter = Segmenter(load_model(options.model, pick_device(options.device)))
    counts: dict[str, Counts] = {}
    for folder in options.folders:
        source, name = open_source(folder), folder.resolve().parent.name
        counts[name] = Counts()
        for i in range(len(source)):
            sample = source.read(i)
            counts[name] += correct(sample.image, sample.labels, segmenter, seed=i)
            print(f"{name} {sample.name}", file=sys.stderr, flush=True)
    counts["all"] = sum(counts.values(), Counts())
    print(table(counts))


if __name__ == "__main__":
    main()
