"""How many nuclei of a layer have been dealt with since it was first reviewed."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Labels

from napari_pffnet._qt.layers.label_rows import ACCEPTED
from napari_pffnet._qt.review.rows import EDITED, ReviewList


class Counts:
    """Remembers which nuclei each layer had, until it shows another result."""

    def __init__(self) -> None:
        self._first: WeakKeyDictionary[Labels, tuple[Any, set[int]]] = WeakKeyDictionary()

    def begin(self, review: ReviewList) -> None:
        """A review starts; what was there before is remembered."""
        result = review.layer.metadata.get("napari-pffnet")
        known = self._first.get(review.layer)
        if known is None or known[0] is not result:
            self._first[review.layer] = result, review.ids()

    def forget(self, layer: Labels) -> None:
        """The layer got other labels."""
        self._first.pop(layer, None)

    def text(self, review: ReviewList) -> str:
        """Say how many are accepted, edited, new and deleted."""
        (_, first), states = self._first[review.layer], review.states()
        kept = [state for label, state in states.items() if label in first]
        return (
            f"{kept.count(ACCEPTED)} accepted · {kept.count(EDITED)} edited · {len(states) - len(kept)} new · "
            f"{len(first) - len(kept)} deleted of {len(first)}"
        )
