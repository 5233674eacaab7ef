"""The rows under review of a Labels layer, on all its planes, following every edit. No Qt in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from napari.layers import Labels

from napari_pffnet._qt.layers.history import Write
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.undo import DoneStep
from napari_pffnet._qt.review.windows import ObjectPlace, around, box_of, hull, meets, written
from napari_pffnet.curate.candidates import Candidate
from napari_pffnet.curate.change import Window
from napari_pffnet.curate.queue import (
    CANDIDATE,
    DONE,
    NUCLEUS,
    Calibrate,
    candidate_rows,
    joined,
    judged,
    nucleus_rows,
    rescored,
    usual_area,
)
from napari_pffnet.typing import Array

ALL, OPEN, CANDIDATES, EDITED = "all", "open", "candidates", "edited"
NEW, DISMISSED = "new", "dismissed"
TAKEN = 0.5
MOST_PIXELS = 2**26
#: A step that touched more objects is about none of them.
FEW = 4


class Insight(Protocol):
    """What the network knows of a plane."""

    @property
    def semantic(self) -> Array | None:
        """Probability of nucleus, float H×W; None if there is no map of the whole plane."""

    @property
    def overlaps(self) -> dict[int, float]:
        """Label id to the fraction of its mask that better nuclei took, where known."""

    def candidates(self, labels: Array) -> list[Candidate]:
        """Return likely misses of the label plane, int H×W."""


class Key(NamedTuple):
    """Names a row; `number` is a label id or the number of a candidate."""

    plane: int
    kind: str
    number: int

    @property
    def title(self) -> str:
        """What people call it."""
        return f"Candidate {self.number + 1}" if self.kind == CANDIDATE else f"Nucleus {self.number}"


@dataclass(frozen=True)
class Wanted:
    """Which rows are shown: words that all occur, a choice of states, and a range (column, from, below)."""

    text: str = ""
    show: str = OPEN
    within: tuple[str, float, float] | None = None
    column: str = "priority"
    ascending: bool = False


class ReviewList:
    """Rows of `curate.queue`, nuclei and candidates, with the number of their `plane`.

    Parameters
    ----------
    plane : LabelPlane
        The plane in view; all planes parallel to it are listed, or only it if the layer is huge.
    insight : Insight, optional
        Of this plane.
    calibrate : callable, optional
        Gives the fit to expect for a predicted one.
    """

    def __init__(self, plane: LabelPlane, insight: Insight | None = None, calibrate: Calibrate | None = None) -> None:
        self.layer: Labels = plane.layer
        self.insight = insight
        self._calibrate = calibrate
        self._stack = tuple(axis for axis, i in enumerate(plane.index) if not isinstance(i, slice))
        self._sizes = tuple(self.layer.data.shape[axis] for axis in self._stack)
        self.here = self.number(plane)
        self.whole = not self.several or self.layer.data.size <= MOST_PIXELS
        self.candidates: list[Candidate] = insight.candidates(plane.pixels) if insight else []
        self._dismissed: set[int] = set()
        self.rows = self._all_rows()

    def plane(self, number: int) -> LabelPlane:
        """Return a plane by its number."""
        place = iter(np.unravel_index(number, self._sizes)) if self._stack else iter(())
        index = [int(next(place)) if axis in self._stack else slice(None) for axis in range(self.layer.ndim)]
        return LabelPlane(self.layer, tuple(index))

    def number(self, plane: LabelPlane) -> int:
        """Return the number of a plane."""
        place = [i for i in plane.index if isinstance(i, int)]
        return int(np.ravel_multi_index(place, self._sizes)) if self._stack else 0

    @property
    def candidate_plane(self) -> LabelPlane:
        """The plane that the network's knowledge is of."""
        return self.plane(self.here)

    @property
    def several(self) -> bool:
        """Whether the layer has several planes."""
        return int(np.prod(self._sizes)) > 1

    @property
    def linked(self) -> bool:
        """Whether there is a nucleus on more than one plane."""
        return bool(self.nuclei()["index"].duplicated().any())

    @property
    def diameter(self) -> float:
        """Usual diameter, pixels."""
        return 2 * float(np.sqrt(self._usual / np.pi))

    def nuclei(self) -> pd.DataFrame:
        """Rows of nuclei only."""
        found: pd.DataFrame = self.rows[self.rows["kind"].to_numpy() == NUCLEUS]
        return found

    def shown(self, wanted: Wanted) -> pd.DataFrame:
        """Return the rows that are wanted, in the order that is wanted."""
        chosen = np.flatnonzero(_matches(self.rows, wanted))
        values = self.rows[wanted.column].to_numpy()[chosen]
        if wanted.column in ("reason", "state"):
            values = np.unique(values.astype(str), return_inverse=True)[1]
        order = np.argsort(values if wanted.ascending else -values, kind="stable")
        if wanted.column == "index":  # nuclei before candidates, whose numbers are another count
            order = order[np.argsort(self.rows["kind"].to_numpy()[chosen][order] == CANDIDATE, kind="stable")]
        found: pd.DataFrame = self.rows.iloc[chosen[order]].reset_index(drop=True)
        return found

    def follow(self, writes: Sequence[Write]) -> set[Key]:
        """Measure again what an edit, perhaps still to be written, touched; return the rows it may have changed."""
        touched: set[Key] = set()
        for number, places in self._by_plane(writes).items():
            if self.whole or number == self.here:
                touched |= self._follow_plane(number, places)
        return touched

    def rescore(self) -> bool:
        """Take over states and scores from the layer's table; False if it tells nothing new."""
        rows = rescored(self.rows, self.layer.features, self._calibrate)
        if rows is self.rows:
            return False
        self.rows = rows
        return True

    def row(self, key: Key) -> pd.Series[Any] | None:
        """Return a row by its key."""
        found = np.flatnonzero((self.rows["index"].to_numpy() == key.number) & self._of(key.plane, key.kind))
        return self.rows.iloc[int(found[0])] if len(found) else None

    def ids(self) -> set[int]:
        """Label ids of all nuclei."""
        return set(self.nuclei()["index"].tolist())

    def states(self) -> dict[int, str]:
        """States of all nuclei by their ids."""
        nuclei = self.nuclei()
        return dict(zip(nuclei["index"].tolist(), nuclei["state"].tolist(), strict=True))

    def indices(self, key: Key, writes: Sequence[Write] = ()) -> tuple[Array, Array]:
        """Return rows and columns (int64) of an object's pixels after `writes`; none if there is no such row."""
        row = self.row(key)
        if row is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if key.kind == CANDIDATE:
            return self.candidates[key.number].indices
        window = box_of(row)
        part = written(self.plane(key.plane).pixels, window, self._by_plane(writes).get(key.plane, []))
        ys, xs = np.nonzero(part == key.number)
        return ys + window[0].start, xs + window[1].start

    def candidate_at(self, position: Sequence[float]) -> int | None:
        """Return the number of the open candidate at a position in the world."""
        place = np.round(self.candidate_plane.place(position)).astype(int)
        for number in self.open_candidates():
            rows, columns = self.candidates[number].indices
            if np.any((rows == place[0]) & (columns == place[1])):
                return number
        return None

    def spot(self, key: Key) -> ObjectPlace:
        """Return where an object of the list lies."""
        row = self.row(key)
        return ObjectPlace(key.plane, *(box_of(row) if row is not None else (slice(0, 0), slice(0, 0))))

    def box(self, key: Key) -> Array:
        """Return where an object of the list lies in the layer's data: int D×2, first and last index of each axis."""
        _, *window = self.spot(key)
        shown = iter(window)
        parts = [next(shown) if isinstance(i, slice) else slice(i, i + 1) for i in self.plane(key.plane).index]
        return np.array([(part.start, part.stop - 1) for part in parts])

    def candidates_at(self, spot: ObjectPlace) -> list[int]:
        """Return the numbers of the candidates at a place where one was set aside; not of those that are taken."""
        rows = self.rows[self._of(self.here, CANDIDATE) & meets(self.rows, (spot.rows, spot.columns))]
        keys = [Key(self.here, CANDIDATE, number) for number in rows["index"].tolist()]
        return [key.number for key in keys if spot.is_at(self.spot(key))]

    def meant_by(self, step: DoneStep, present: Key | None = None) -> Key | None:
        """Return the row that a step was about: a nucleus that it touched, else the candidate that lies there.

        Of several it is the present one, if that is among them.
        """
        if step.box is None or len(step.ids) > FEW:
            return None
        first = [int(step.box[axis, 0]) for axis in self._stack]
        plane = int(np.ravel_multi_index(first, self._sizes)) if self._stack else 0
        window = [slice(first, last + 1) for first, last in np.delete(step.box, self._stack, 0).tolist()]
        here = self.rows[self._of(plane, NUCLEUS)]["index"]
        keys = [Key(plane, NUCLEUS, label) for label in step.ids if label in set(here.tolist())]
        keys += [Key(plane, CANDIDATE, number) for number in self.candidates_at(ObjectPlace(plane, *window))]
        return present if present in keys else next(iter(keys), None)

    def planes_of(self, label: int) -> int:
        """Return on how many planes a nucleus lies."""
        return int(np.count_nonzero(self.nuclei()["index"] == label))

    def dismiss(self, numbers: Sequence[int], dismissed: bool = True) -> None:
        """Set candidates aside, or take them back."""
        if dismissed:
            self._dismissed.update(numbers)
        else:
            self._dismissed.difference_update(numbers)
        self._replace({Key(self.here, CANDIDATE, number) for number in numbers}, self._candidate_rows(list(numbers)))

    def open_candidates(self) -> list[int]:
        """Return the numbers of the candidates that are neither dismissed nor taken."""
        is_open = (self.rows["kind"].to_numpy() == CANDIDATE) & (self.rows["state"].to_numpy() == "")
        found = self.rows[is_open].sort_values("priority", ascending=False, kind="stable")
        return [int(number) for number in found["index"]]

    def _all_rows(self) -> pd.DataFrame:
        numbers = range(int(np.prod(self._sizes, dtype=int))) if self.whole else [self.here]
        nuclei = joined(*(self._nucleus_rows(number, self.plane(number).pixels) for number in numbers))
        self._usual = usual_area(nuclei.groupby("index", sort=False)[["area"]].max())
        nuclei = self._by_largest(nuclei)
        shape = self.candidate_plane.pixels.shape
        self._offered = candidate_rows(self.candidates, shape, self._usual).assign(plane=self.here)
        return joined(nuclei, self._offered)

    def _nucleus_rows(self, number: int, pixels: Array, window: Window | None = None) -> pd.DataFrame:
        insight = self.insight if number == self.here else None
        rows = nucleus_rows(
            pixels,
            self.layer.features,
            insight.semantic if insight else None,
            overlaps=insight.overlaps if insight else None,
            window=window,
            shape=self.plane(number).pixels.shape,
            calibrate=self._calibrate,
        )
        return rows.assign(plane=number)

    def _by_plane(self, writes: Sequence[Write]) -> dict[int, list[Write]]:
        """Writes on each plane, as rows and columns."""
        found: dict[int, list[Write]] = {}
        shown = [axis for axis in range(self.layer.ndim) if axis not in self._stack]
        for write in writes:
            places = tuple(write.indices[axis] for axis in shown)
            numbers = np.zeros(len(write.values), np.int64)
            if self._stack:
                numbers = np.ravel_multi_index([write.indices[axis] for axis in self._stack], self._sizes)
            for number in np.unique(numbers).tolist():
                here = numbers == number
                found.setdefault(number, []).append(Write(tuple(axis[here] for axis in places), write.values[here]))
        return found

    def _follow_plane(self, number: int, writes: list[Write]) -> set[Key]:
        window = hull(writes)
        gained = np.unique(np.concatenate([write.values for write in writes])).astype(np.int64)
        here = self._of(number, NUCLEUS)
        near = here & (meets(self.rows, window) | self.rows["index"].isin(gained).to_numpy())
        touched = np.union1d(self.rows["index"].to_numpy()[near], gained[gained != 0]).astype(np.int64)
        offered = np.flatnonzero(meets(self._offered, window)) if number == self.here else np.zeros(0, np.int64)
        window = around(window, self.rows[near], self._offered.iloc[offered])
        part = written(self.plane(number).pixels, window, writes)
        others = self.rows[(self.rows["kind"] == NUCLEUS) & (self.rows["plane"] != number)]
        others = others[others["index"].isin(touched)]
        nuclei = self._nucleus_rows(number, np.where(np.isin(part, touched), part, 0), window)
        nuclei = self._by_largest(joined(nuclei, others))
        free = [each for each in offered.tolist() if self._is_free(each, part, window)]
        keys = {Key(number, NUCLEUS, each) for each in touched.tolist()}
        keys |= {Key(number, CANDIDATE, each) for each in offered.tolist()}
        elsewhere = zip(others["plane"].tolist(), others["index"].tolist(), strict=True)
        keys |= {Key(plane, NUCLEUS, each) for plane, each in elsewhere}
        self._replace(keys, joined(nuclei, self._candidate_rows(free)))
        return keys

    def _by_largest(self, nuclei: pd.DataFrame) -> pd.DataFrame:
        """Judge nuclei by the size of their largest plane: on their first and last plane all of them are small."""
        return judged(nuclei.assign(size=nuclei.groupby("index")["area"].transform("max") / self._usual))

    def _is_free(self, number: int, part: Array, window: Window) -> bool:
        rows, columns = self.candidates[number].indices
        return float(np.mean(part[rows - window[0].start, columns - window[1].start] != 0)) < TAKEN

    def _candidate_rows(self, numbers: list[int]) -> pd.DataFrame:
        rows = self._offered.iloc[numbers]
        gone = rows["index"].isin(self._dismissed).to_numpy()
        return rows.assign(
            state=np.where(gone, DISMISSED, rows["state"]),
            reason=np.where(gone, DISMISSED, rows["reason"]),
            priority=np.where(gone, 0.0, rows["priority"]),
        )

    def _of(self, plane: int, kind: str) -> Array:
        return np.asarray((self.rows["plane"].to_numpy() == plane) & (self.rows["kind"].to_numpy() == kind))

    def _replace(self, keys: set[Key], rows: pd.DataFrame) -> None:
        old = np.zeros(len(self.rows), bool)
        for plane, kind in {(key.plane, key.kind) for key in keys}:
            numbers = [key.number for key in keys if key[:2] == (plane, kind)]
            old |= self._of(plane, kind) & self.rows["index"].isin(numbers).to_numpy()
        self.rows = joined(self.rows[~old], rows)


def _matches(rows: pd.DataFrame, wanted: Wanted) -> Array:
    state, kind = rows["state"], rows["kind"].to_numpy()
    chosen = np.ones(len(rows), bool)
    if wanted.show == OPEN:
        chosen = ~state.isin(DONE).to_numpy()
    elif wanted.show == CANDIDATES:
        chosen = kind == CANDIDATE
    elif wanted.show == EDITED:
        chosen = state.isin((EDITED, NEW)).to_numpy()
    if wanted.within:
        column, low, high = wanted.within
        values = rows[column].to_numpy(np.float64)
        chosen = chosen & (kind == NUCLEUS) & (values >= low) & (values < high)
    words = wanted.text.lower().split()
    if words:
        columns = [rows[name].tolist() for name in ("index", "reason", "state", "kind")]
        texts = (f"{i} {why} {s} {k}".lower() for i, why, s, k in zip(*columns, strict=True))
        chosen = chosen & np.fromiter((all(word in text for word in words) for text in texts), bool, len(rows))
    return np.asarray(chosen)
