"""What undo and redo of a Labels layer will do, known from what napari tells of every edit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Labels

from napari_pffnet._qt.layers.history import present, values, writes
from napari_pffnet.typing import Array

#: napari keeps as many steps.
KEPT = 100
Step = list[Any]


class DoneStep(NamedTuple):
    """What a step was.

    Attributes
    ----------
    text : str
        In words: "nucleus 7 deleted".
    ids : list of int
        The objects that it touched.
    box : ndarray or None
        Where: int D×2, the first and the last index along each axis of the layer's data; None if that is not known.
    """

    text: str
    ids: list[int]
    box: Array | None


@dataclass(frozen=True)
class Beside:
    """A step that changes no pixels, such as an acceptance: what it was, how to take it back and to do it again.

    `lasting`: it is not about the layer's objects, and is undone where others have taken their place too.
    """

    done: DoneStep
    back: Callable[[], None]
    again: Callable[[], None]
    lasting: bool = False


class Undo:
    """Undoes and redoes edits with napari, and steps beside them, in one order; tells which step it was.

    napari tells of edits only. Of steps from before it was listened to, what they changed is seen by comparing the
    pixels before and after. What napari has undone or redone on its own is noticed by the pixels of the last step.

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
        self._beside: deque[tuple[int, Beside]] = deque(maxlen=KEPT)  # with the number of edits before it
        self._beside_undone: deque[tuple[int, Beside]] = deque(maxlen=KEPT)
        self._napari_can_redo = True
        self._shape = layer.data.shape

    def note(self, step: Step) -> None:
        """Take note of an edit: the value of the layer's event `paint`."""
        if isinstance(self.layer.data, np.ndarray):
            with self._without(step):
                self._catch_up()
        self._beside = deque(((min(edits, self.edits), each) for edits, each in self._beside), maxlen=KEPT)
        self._done.append(step)
        self._forget_undone()
        self._napari_can_redo = True
        self.edits += 1

    def add(self, step: Beside) -> None:
        """Take note of a step beside napari's edits; what was undone cannot be redone any more."""
        self._catch_up()
        self._beside.append((self.edits, step))
        self._forget_undone()
        self._napari_can_redo = False

    def forget(self) -> None:
        """The layer has other pixels: napari knows no steps of theirs; of the same shape, lasting ones stay."""
        same, self._shape = self._shape == self.layer.data.shape, self.layer.data.shape
        lasting = [(self.edits, step) for _, step in self._beside if same and step.lasting]
        self._beside = deque(lasting, maxlen=KEPT)
        self._done.clear()
        self._forget_undone()

    def undo(self) -> Step | Beside | None:
        """Undo the last step.

        Returns
        -------
        list, Beside or None
            The writes of an edit in the order in which they were undone, the step beside it, None if there was nothing
            to undo.
        """
        self._catch_up()
        if self._beside and self.edits <= self._beside[-1][0]:
            self._beside_undone.append(self._beside.pop())
            step = self._beside_undone[-1][1]
            step.back()
            return step
        edit = self._turn(self._done, undoing=True)
        if edit is None:
            return None
        self._undone.append(edit)
        self.edits -= 1
        return edit[::-1]

    def redo(self) -> Step | Beside | None:
        """Redo; return the edit's writes or the step beside it, None if there was nothing to redo."""
        self._catch_up()
        if self._beside_undone and self.edits >= self._beside_undone[-1][0]:
            self._beside.append(self._beside_undone.pop())
            step = self._beside[-1][1]
            step.again()
            return step
        if not (self._undone or self._napari_can_redo):
            return None
        edit = self._turn(self._undone, undoing=False)
        if edit is not None:
            self._done.append(edit)
            self.edits += 1
        return edit

    def _catch_up(self) -> None:
        """Follow what napari has undone or redone on its own."""
        while self._done and self._is_turned(self._done[-1], undone=True):
            self._undone.append(self._done.pop())
            self.edits -= 1
        while self._undone and self._is_turned(self._undone[-1], undone=False):
            self._done.append(self._undone.pop())
            self.edits += 1

    @contextmanager
    def _without(self, step: Step) -> Iterator[None]:
        """Have the pixels as they were before an edit, whether it is written already, as a stroke is, or not yet."""
        data, before = self.layer.data, writes(step, undone=True)
        now = [data[write.indices] for write in before]
        for write in reversed(before):
            data[write.indices] = write.values
        try:
            yield
        finally:
            for write, ids in zip(before, now, strict=True):
                data[write.indices] = ids

    def _is_turned(self, step: Step, *, undone: bool) -> bool:
        return self._stands(step, done=not undone) and not self._stands(step, done=undone)

    def _forget_undone(self) -> None:
        self._undone.clear()
        self._beside_undone.clear()

    def _turn(self, known: deque[Step], *, undoing: bool) -> Step | None:
        turn = self.layer.undo if undoing else self.layer.redo
        if known and self._stands(known[-1], done=undoing):
            turn()
            if self._stands(known[-1], done=not undoing):
                return known.pop()
            known.clear()  # napari has fewer steps than we remember
            return None
        known.clear()
        if not isinstance(self.layer.data, np.ndarray):  # nothing is edited there, and all of it would be read
            return None
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
