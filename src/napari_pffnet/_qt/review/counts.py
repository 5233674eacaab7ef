"""How many nuclei of a layer have been dealt with since it was first reviewed."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from napari.layers import Labels

from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.label_rows import ACCEPTED
from napari_pffnet._qt.review.rows import EDITED, ReviewList


class _First(NamedTuple):
    result: Any
    edits: int
    ids: set[int]


class Counts:
    """Remembers which nuclei each layer had, until it shows another result or is undone to what it was before.

    Parameters
    ----------
    active : ActiveLabels
        Counts the edits of layers.
    """

    def __init__(self, active: ActiveLabels) -> None:
        self.active = active
        self._first: WeakKeyDictionary[Labels, _First] = WeakKeyDictionary()

    def begin(self, review: ReviewList) -> None:
        """A review starts; what was there before is remembered."""
        result = review.layer.metadata.get("napari-pffnet")
        known = self._first.get(review.layer)
        if known is None or known.result is not result:
            self._first[review.layer] = _First(result, self._edits(review.layer), review.ids())

    def forget(self, layer: Labels) -> None:
        """The layer got other labels."""
        self._first.pop(layer, None)

    def text(self, review: ReviewList) -> str:
        """Say how many are accepted, edited, new and deleted."""
        begun, edits = self._first[review.layer], self._edits(review.layer)
        if edits < begun.edits:  # undone to before the review: that is the beginning now
            begun = self._first[review.layer] = begun._replace(edits=edits, ids=review.ids())
        first, states = begun.ids, review.states()
        kept = [state for label, state in states.items() if label in first]
        return (
            f"{kept.count(ACCEPTED)} accepted · {kept.count(EDITED)} edited · {len(states) - len(kept)} new · "
            f"{len(first) - len(kept)} deleted of {len(first)}"
        )

    def _edits(self, layer: Labels) -> int:
        rows = self.active.rows_of(layer)
        return rows.edits if rows is not None else 0
