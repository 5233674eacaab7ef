"""What undo and redo of a Labels layer will do, known from what napari tells of every edit."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from napari.layers import Labels

from napari_pffnet._qt.layers.history import present, values

#: napari keeps as many steps.
KEPT = 100
Step = list[Any]


class Undo:
    """Undoes and redoes with napari, and tells which step it was.

    napari tells of edits only. Of steps from before it was listened to, what they changed is seen by comparing the
    pixels before and after.

    Parameters
    ----------
    layer : Labels
        The layer.

    Attributes
    ----------
    edits : int
        Edits known so far, without those undone.
    """

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self.edits = 0
        self._done: deque[Step] = deque(maxlen=KEPT)
        self._undone: deque[Step] = deque(maxlen=KEPT)

    def note(self, step: Step) -> None:
        """Take note of an edit: the value of the layer's event `paint`."""
        self._done.append(step)
        self._undone.clear()
        self.edits += 1

    def undo(self) -> Step | None:
        """Undo; return the step's writes in the order in which they were undone, None if there was nothing to undo."""
        step = self._turn(self._done, undoing=True)
        if step is None:
            return None
        self._undone.append(step)
        self.edits -= 1
        return step[::-1]

    def redo(self) -> Step | None:
        """Redo; return the step, None if there was nothing to redo."""
        step = self._turn(self._undone, undoing=False)
        if step is not None:
            self._done.append(step)
            self.edits += 1
        return step

    def _turn(self, known: deque[Step], *, undoing: bool) -> Step | None:
        turn = self.layer.undo if undoing else self.layer.redo
        if known and self._stands(known[-1], done=undoing):
            turn()
            if self._stands(known[-1], done=not undoing):
                return known.pop()
            known.clear()  # napari has fewer steps than we remember
            return None
        known.clear()
        before = np.array(self.layer.data)
        turn()
        places = np.nonzero(before != self.layer.data)
        if not len(places[0]):
            return None
        now = self.layer.data[places]
        return [(places, now, before[places]) if undoing else (places, before[places], now)]

    def _stands(self, step: Step, *, done: bool) -> bool:
        """Whether the pixels are as the step left them, or as they were before it, by its last write."""
        atom = step[-1] if done else step[0]
        return np.array_equal(present(self.layer.data, atom), values(atom)[1 if done else 0])
