"""Rows of a Labels layer's table that follow every edit, undo and redo: ours and those of napari's own brushes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.layers.history import Write, box_of, present, transitions, values, writes
from napari_pffnet._qt.layers.label_plane import content_of
from napari_pffnet._qt.layers.origin import layer_origin
from napari_pffnet._qt.layers.undo import Beside, DoneStep, Undo
from napari_pffnet.curate.provenance import TEXT
from napari_pffnet.io.user import user_name
from napari_pffnet.typing import Array

EDITED, NEW, ACCEPTED = "edited", "new", "accepted"
PAINTED = "painted"
REMEMBERED = 200
FEW = 8
NAMED = 3


class RowsChange(NamedTuple):
    """What an edit, undo, redo or new state changed: pixels, rows as they are now (by id), ids that have none now.

    `turned`: it was an undo or redo.
    """

    writes: list[Write]
    rows: pd.DataFrame
    gone: list[int]
    turned: bool = False


Moved = dict[tuple[int, int], int]


@dataclass(frozen=True)
class _Step:
    """One step of napari's history: `atom` tells which, the rows of the objects `ids` before and after it, in words."""

    atom: Any  # kept, so that no other one gets its id
    ids: list[int]
    before: pd.DataFrame
    after: pd.DataFrame
    text: str


class LabelRows:
    """Keeps ``layer.features`` (columns `index`, `area` and those of `napari_pffnet.curate.provenance`) in step.

    Rows are sorted by `index`; `area` counts pixels on all planes.

    Parameters
    ----------
    layer : Labels
        Its edits are listened to until `close`.
    """

    #: An edit, undo, redo or new state: emitted with a `RowsChange` after the rows have followed, before the layer's
    #: own `features` event. napari announces some edits before it writes the pixels: read the ids from the writes, not
    #: from the layer.
    changed = Signal(object)
    #: A step was undone or redone: emitted with its `DoneStep`, after `changed`.
    turned = Signal(object)

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self._undo = Undo(layer)
        self._steps: dict[int, _Step] = {}
        self._origin = PAINTED
        self._frame: pd.DataFrame | None = None
        self._ids = pd.Index([], dtype=np.int64)
        layer.events.paint.connect(self._follow)
        layer.events.data.connect(self._undo.forget)

    def close(self) -> None:
        """Stop listening."""
        self.layer.events.paint.disconnect(self._follow)
        self.layer.events.data.disconnect(self._undo.forget)

    def table(self) -> pd.DataFrame:
        """Return the rows by id, with all columns."""
        return rows_by_id(self.layer)

    @contextmanager
    def made_by(self, origin: str) -> Iterator[None]:
        """Note `origin` (the name of a tool or model) for objects that are new in edits inside the ``with``."""
        before, self._origin = self._origin, origin
        try:
            yield
        finally:
            self._origin = before

    @property
    def edits(self) -> int:
        """Number of edits since the layer was first selected, without those undone."""
        return self._undo.edits

    def undo(self) -> DoneStep | None:
        """Undo the last step, an edit (with napari) and its rows or one beside it; None if there is none."""
        return self._turned(self._undo.undo(), undone=True)

    def redo(self) -> DoneStep | None:
        """Redo what was undone last; None if nothing was."""
        return self._turned(self._undo.redo(), undone=False)

    def remember(
        self, done: DoneStep, back: Callable[[], None], again: Callable[[], None], *, lasting: bool = False
    ) -> None:
        """Note a step that changes no pixels, and how to take it back and do it again: it is undone in turn.

        One that is `lasting` is so after the layer got other labels too.
        """
        self._undo.add(Beside(done, back, again, lasting))

    def set_state(self, ids: Iterable[int], state: str, box: Array | None = None) -> None:
        """Set the state of objects, such as `ACCEPTED`, as a step that can be undone; ids without a row get one.

        `box` tells where they are, as in `DoneStep`.
        """
        known = sorted(set(ids) - {0})
        before, rows = self._rows(known, only_known=True), self._rows(known)
        areas = pd.Series(_areas(self.layer.data, rows.index[rows["area"].isna()].tolist()), dtype=float)
        rows = rows.assign(area=rows["area"].fillna(areas), state=state, changed=_now(), user=user_name())
        rows["origin"] = rows["origin"].fillna(layer_origin(self.layer))
        done = DoneStep(f"{_named(known)} {state or 'open again'}", known, box)
        self.remember(done, lambda: self._show(known, before, []), lambda: self._show(known, rows, []))
        self._show(known, rows, [])

    def renumber(self, new: dict[int, int]) -> None:
        """Tell that the last edit only gave objects other ids, old: new; each row goes with its object."""
        number, step = next(reversed(self._steps.items()))
        rows = step.before.rename(index=new).sort_index()
        self._steps[number] = replace(step, after=rows, text="nuclei numbered anew")
        self._show(step.ids, rows, [])

    def describe(self, rows: pd.DataFrame) -> None:
        """Tell what a network says of objects that the last edit has made: columns by id. They are as predicted."""
        known = self._rows([])
        if missing := {name: np.nan for name in rows.columns if name not in known}:
            assert self._frame is not None
            self._put(self._frame.assign(**missing))
        number, step = next(reversed(self._steps.items()))
        after = step.after.assign(**{name: np.nan for name in missing})
        after.loc[rows.index, [*rows.columns, "state"]] = rows.assign(state="")
        self._steps[number] = replace(step, after=after)
        self._show(step.ids, after, [])

    def _follow(self, event: Any) -> None:
        self._undo.note(event.value)
        moved = transitions(event.value)
        ids = _ids(moved)
        before = self._rows(ids, only_known=True)
        after = self._edited(moved, _not_yet_written(self.layer.data, event.value[-1]))
        atom = event.value[0]
        self._steps[id(atom)] = _Step(atom, ids, before, after, self._told(ids, after))
        while len(self._steps) > REMEMBERED:
            del self._steps[next(iter(self._steps))]
        self._show(ids, after, writes(event.value, undone=False))

    def _turned(self, step: list[Any] | Beside | None, undone: bool) -> DoneStep | None:
        if step is None:
            return None
        done = step.done if isinstance(step, Beside) else self._return(step, undone)
        self.turned.emit(done)
        return done

    def _return(self, item: list[Any], undone: bool) -> DoneStep:
        step = next((self._steps[id(atom)] for atom in item if id(atom) in self._steps), None)
        written = writes(item, undone=undone)
        box = box_of(written)
        if step:
            self._show(step.ids, step.before if undone else step.after, written, turned=True)
            return DoneStep(step.text, step.ids, box)
        moved = transitions(item)
        if undone:
            moved = {(after, before): count for (before, after), count in moved.items()}
        self._show(_ids(moved), self._edited(moved), written, turned=True)
        return DoneStep("an earlier edit", _ids(moved), box)

    def _told(self, ids: list[int], after: pd.DataFrame) -> str:
        """Say which objects an edit deleted, made and changed."""
        if content_of(self.layer) == "semantic":
            return f"'{self.layer.name}' painted"
        new = after.index[after["state"] == NEW].tolist()
        changed = after.index[after["state"] != NEW].tolist()
        gone = sorted(set(ids) - set(after.index))
        parts = (gone, "deleted"), (new, "added"), (changed, "changed")
        return ", ".join(f"{_named(labels)} {what}" for labels, what in parts if labels)

    def _edited(self, moved: Moved, coming: tuple[Array, Array] | None = None) -> pd.DataFrame:
        """Return the rows of the touched objects that exist after a step; `coming`: its last write is not done yet."""
        ids = _ids(moved)
        areas = _areas(self.layer.data, ids)
        if coming:
            lost, gained = (_areas(part, ids) for part in coming)
            areas = {label: areas[label] - lost[label] + gained[label] for label in ids}
        there = [label for label in ids if areas[label]]
        gains, taken = _gains(moved), _taken(moved)
        former = {label: areas[label] - gains[label] for label in ids}
        known = self._rows(ids)
        origins = dict(zip(ids, known["origin"].fillna("").tolist(), strict=True))
        parents = {label: _parents(taken[label], label, areas, former) for label in there}
        return known.loc[there].assign(
            area=[areas[label] for label in there],
            state=[EDITED if former[label] else NEW for label in there],
            origin=[self._origin_of(label, origins, former, parents[label]) for label in there],
            parents=[_joined(known.at[label, "parents"], parents[label]) for label in there],
            changed=_now(),
            user=user_name(),
        )

    def _origin_of(self, label: int, origins: dict[int, str], former: dict[int, int], parents: list[int]) -> str:
        """Return what is known; else the layer's model, for a new object its maker or what it was split from."""
        if origins[label] or former[label]:
            return origins[label] or layer_origin(self.layer)
        inherited = [origins[parent] or layer_origin(self.layer) for parent in parents]
        return (inherited[0] if inherited and self._origin == PAINTED else "") or self._origin

    def _rows(self, ids: list[int], only_known: bool = False) -> pd.DataFrame:
        """Return some rows by id; those that are missing are empty."""
        self._take_over_table()
        places = self._ids.get_indexer(pd.Index(ids, dtype=np.int64))
        assert self._frame is not None
        rows = self._frame.take(places[places >= 0]).set_index("index")
        return rows if only_known else rows.reindex(pd.Index(ids, dtype=np.int64, name="index"))

    def _take_over_table(self) -> None:
        """Go on from a table that others have put there."""
        if self.layer.features is not self._frame:
            self._put(rows_by_id(self.layer).reset_index())

    def _put(self, frame: pd.DataFrame) -> None:
        self.layer.features = frame
        self._frame = self.layer.features
        self._ids = pd.Index(self._frame["index"])

    def _show(self, ids: list[int], rows: pd.DataFrame, done: list[Write], turned: bool = False) -> None:
        """Replace the rows of `ids`, in the columns that the table still has, and tell."""
        with self.layer.events.features.blocker():  # told last: who follows `changed` too has done all by then
            self._take_over_table()
            assert self._frame is not None
            known = self._ids.intersection(ids)
            # napari checks a new table for many milliseconds; where no row comes or goes its columns are changed
            if known.equals(rows.index):
                _fill(self._frame, self._ids.get_indexer(known), rows)
            else:
                index = self._ids.difference(ids).union(rows.index).astype(np.int64)
                frame = self._frame.reindex(self._ids.get_indexer(index)).reset_index(drop=True)
                frame["index"] = index.to_numpy()
                _fill(frame, index.get_indexer(rows.index), rows)
                self._put(frame)
        gone = sorted(set(ids) - set(rows.index))
        self.changed.emit(RowsChange(done, self._rows(rows.index.tolist()), gone, turned))
        self.layer.events.features()


def rows_by_id(layer: Labels) -> pd.DataFrame:
    """Return a layer's table by id, sorted, with all columns; without `index`, row i is object i, as in napari."""
    features = layer.features
    table = features if "index" in features else features.assign(index=np.arange(len(features)))
    missing: dict[str, Any] = {name: "" for name in TEXT if name not in table}
    if "origin" in missing:
        missing["origin"] = layer_origin(layer)
    if "area" not in table:
        missing["area"] = np.nan
    table = table[~table["index"].duplicated()].assign(**missing).set_index("index").sort_index()
    texts = {name: table[name].astype("str").fillna("") for name in TEXT}
    complete: pd.DataFrame = table.assign(**texts)
    return complete


def is_worked_on(layer: Labels) -> bool:
    """Whether somebody has edited or accepted objects of a layer, as far as its table says."""
    return "state" in layer.features and bool(layer.features["state"].fillna("").ne("").any())


def _fill(frame: pd.DataFrame, places: Array, rows: pd.DataFrame) -> None:
    """Write rows into a table at some places, in its own columns only."""
    for name in rows.columns.intersection(frame.columns):
        frame[name] = _replaced(frame[name], places, rows[name])


def _replaced(column: pd.Series[Any], places: Array, new: pd.Series[Any]) -> Any:
    """Return a column with new values at some places; texts that are missing are empty, counts are whole if known."""
    if column.name in TEXT:
        texts = column.array.copy()
        texts[places] = new.fillna("").to_numpy(object)
        return texts
    if column.name == "area":
        areas = column.to_numpy(np.float64, copy=True)
        areas[places] = new.to_numpy(np.float64)
        return areas if np.isnan(areas).any() else areas.astype(np.int64)
    result = column.copy()
    result.iloc[places] = new.to_numpy()
    return result


def _named(ids: list[int]) -> str:
    if len(ids) > NAMED:
        return f"{len(ids)} nuclei"
    return f"{'nucleus' if len(ids) == 1 else 'nuclei'} {', '.join(map(str, ids))}"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _ids(moved: Moved) -> list[int]:
    return sorted({label for pair in moved for label in pair} - {0})


def _gains(moved: Moved) -> Counter[int]:
    """Return by how many pixels each object has grown."""
    gains: Counter[int] = Counter()
    for (before, after), n in moved.items():
        gains[after] += n
        gains[before] -= n
    return gains


def _taken(moved: Moved) -> defaultdict[int, dict[int, int]]:
    """Return how many pixels each object took from each other one."""
    taken: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for (before, after), n in moved.items():
        if before not in (0, after):
            taken[after][before] = n
    return taken


def _parents(taken: dict[int, int], label: int, areas: dict[int, int], former: dict[int, int]) -> list[int]:
    """Return whose pixels an object is made of: a new one, for half of it or more; another, if it took up the rest."""
    if not former[label]:
        return [other for other, n in sorted(taken.items()) if 2 * n >= areas[label]]
    return [other for other, n in sorted(taken.items()) if areas[other] == 0 and 2 * n >= former[other] > 0]


def _joined(before: Any, parents: list[int]) -> str:
    known = before.split() if isinstance(before, str) else []
    return " ".join(dict.fromkeys([*known, *map(str, parents)]))


def _not_yet_written(data: Any, atom: Any) -> tuple[Array, Array] | None:
    """Return the ids before and after a write that napari announces; None if it is done, as at the end of a stroke."""
    old, new = values(atom)
    return None if np.array_equal(present(data, atom), new) else (old, new)


def _areas(data: Any, ids: list[int]) -> dict[int, int]:
    if len(ids) <= FEW:
        return {label: int(np.count_nonzero(data == label)) for label in ids}
    found, count = np.unique(data[np.isin(data, ids)], return_counts=True)
    return dict.fromkeys(ids, 0) | dict(zip(found.tolist(), count.tolist(), strict=True))
