"""What is done in a review beside the layer's undo history: acceptances and dismissals."""

from __future__ import annotations

from collections.abc import Callable

from napari_pffnet._qt.layers.label_rows import LabelRows


class Steps:
    """Undoes them in turn with the edits of the layer."""

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[[], None], int]] = []

    def add(self, back: Callable[[], None], rows: LabelRows) -> None:
        """Note how to take back what was just done."""
        self._steps.append((back, rows.edits))

    def undo(self, rows: LabelRows) -> bool:
        """Take back the last step or edit, whichever came later; False if there is none."""
        if self._steps and rows.edits <= self._steps[-1][1]:
            self._steps.pop()[0]()
            return True
        return rows.undo()
