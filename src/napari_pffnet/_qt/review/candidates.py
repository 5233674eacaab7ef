"""What is done to candidates: they become nuclei, or are set aside, as long as their layer is there. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.correct.continuing import continued
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.undo import DoneStep
from napari_pffnet._qt.review.rows import DISMISSED, Key, ReviewList
from napari_pffnet._qt.review.windows import ObjectPlace
from napari_pffnet.curate.change import OperationError
from napari_pffnet.curate.placing import place
from napari_pffnet.curate.queue import CANDIDATE


class Candidates:
    """The candidates of the list under review, and where others were set aside before.

    Parameters
    ----------
    active : ActiveLabels
        Has the tables of layers, in whose history everything is noted.
    say : callable
        ``say(text)`` is called with what the user should know.
    """

    #: Candidates of the list were set aside or taken back: their rows.
    changed = Signal(list)

    def __init__(self, active: ActiveLabels, say: Callable[[str], None]) -> None:
        self.active, self.say = active, say
        self._review: ReviewList | None = None
        self._aside: WeakKeyDictionary[Labels, list[ObjectPlace]] = WeakKeyDictionary()

    def begin(self, review: ReviewList | None) -> None:
        """This list is under review, or none; candidates that lie where one was set aside are so at once."""
        self._review = review
        if review is not None:
            for spot in self._aside.get(review.layer, []):
                review.dismiss(review.candidates_at(spot))

    def paint(self, number: int) -> int:
        """Paint a candidate as a new nucleus; return its id, 0 if it cannot be painted."""
        review = self._review
        rows = self.active.rows_of(review.layer) if review is not None else None
        if review is None or rows is None:
            return 0
        try:
            plane = review.candidate_plane
            change = place(plane.pixels, review.candidates[number].indices, used_up_to=plane.used_up_to)
            made = continued(plane, change)
        except OperationError as error:
            self.say(f"Not done: {error}.")
            return 0
        with rows.made_by(CANDIDATE):
            plane.write(made.change)
        self.say(f"Candidate accepted as nucleus {made.label}.")
        return made.label

    def set_aside(self, number: int) -> None:
        """Set a candidate aside, or take it back if it was."""
        review = self._review
        key = Key(review.here, CANDIDATE, number) if review is not None else None
        row = review.row(key) if review is not None and key is not None else None
        rows = self.active.rows_of(review.layer) if review is not None else None
        if review is None or key is None or row is None or rows is None:
            return
        layer, spot, gone = review.layer, review.spot(key), row["state"] != DISMISSED
        # its number is not told: another list may give it another one
        done = DoneStep("candidate set aside" if gone else "candidate taken back", [], review.box(key))
        self._put(layer, spot, gone)
        back, again = (lambda: self._put(layer, spot, not gone)), (lambda: self._put(layer, spot, gone))
        rows.remember(done, back, again, lasting=True)

    def _put(self, layer: Labels, spot: ObjectPlace, gone: bool) -> None:
        others = [each for each in self._aside.get(layer, []) if not each.is_at(spot)]
        self._aside[layer] = [*others, spot] if gone else others
        review = self._review
        if review is not None and review.layer == layer:
            numbers = review.candidates_at(spot)
            review.dismiss(numbers, gone)
            self.changed.emit([Key(review.here, CANDIDATE, number) for number in numbers])
