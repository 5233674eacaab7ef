"""The Labels layer that is being corrected, for all steps of the panel that work on it."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.layers.camera import reveal
from napari_pffnet._qt.layers.label_rows import LabelRows
from napari_pffnet._qt.layers.undo import DoneStep

NO_LAYER = "Select a Labels layer: the nuclei of Segment, or any other."


class ActiveLabels:
    """Follows the viewer's selection.

    Parameters
    ----------
    viewer : ViewerModel
        Its selected Labels layer is the one.

    Attributes
    ----------
    layer : Labels or None
        The selected layer, if it is a Labels layer.
    rows : LabelRows or None
        Its table, which follows edits until the layer is removed, whatever is selected.
    """

    #: Another layer is the one: emitted with the new layer or None, after `layer` and `rows` are set.
    switched = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.layer: Labels | None = None
        self.rows: LabelRows | None = None
        self._known: dict[Labels, LabelRows] = {}
        viewer.layers.events.removed.connect(self._drop)
        viewer.layers.selection.events.active.connect(self._follow)
        self._follow()

    def close(self) -> None:
        """Let go of the viewer and the layer."""
        self.viewer.layers.selection.events.active.disconnect(self._follow)
        self.viewer.layers.events.removed.disconnect(self._drop)
        self._take(None)
        for rows in self._known.values():
            rows.close()
        self._known.clear()

    def rows_of(self, layer: Labels) -> LabelRows | None:
        """Return the table of a layer that is selected or was; None if it never was, or is removed."""
        return self._known.get(layer)

    def undo(self) -> str:
        """Undo what was done last to the layer, bring it into view, and say what it was."""
        return self._turned("undo", self.rows.undo() if self.rows else None)

    def redo(self) -> str:
        """Redo what was undone last, bring it into view, and say what it was."""
        return self._turned("redo", self.rows.redo() if self.rows else None)

    def _turned(self, verb: str, done: DoneStep | None) -> str:
        if done is None or self.layer is None:
            return f"Nothing to {verb}."
        if done.box is not None:
            reveal(self.viewer, self.layer, done.box)
        return f"{'Undone' if verb == 'undo' else 'Redone'}: {done.text}."

    def _follow(self, _event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        layer = active if isinstance(active, Labels) else None
        if layer is not self.layer:
            self._take(layer)

    def _take(self, layer: Labels | None) -> None:
        if layer is not None and layer not in self._known:
            self._known[layer] = LabelRows(layer)
        self.layer, self.rows = layer, self._known[layer] if layer is not None else None
        self.switched.emit(layer)

    def _drop(self, event: Any) -> None:
        rows = self._known.pop(event.value, None)
        if rows is not None:
            rows.close()
