"""napari's brush on the nucleus under review. No Qt in here."""

from __future__ import annotations

from napari.layers import Labels

from napari_pffnet._qt.correct.keys import Keys, napari_keys

#: Modes of napari that are useful meanwhile, and what people call them.
MODES = (("paint", "brush"), ("erase", "eraser"), ("pan_zoom", "pan and zoom"))


class Brush:
    """Paints one nucleus and none of its neighbours, until the user goes on or presses Escape.

    Parameters
    ----------
    keys : Keys
        Escape is taken meanwhile.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._layer: Labels | None = None
        self._preserved = False

    def take(self, layer: Labels, label: int) -> str:
        """Take the brush with the id of a nucleus; return what the user should know."""
        self.let_go()
        self._layer, self._preserved = layer, layer.preserve_labels
        layer.selected_label, layer.preserve_labels = label, True
        layer.mode = "paint"
        self.keys.hold("brush", "Escape", self.let_go)
        keys = [f"{key}: {title}" for mode, title in MODES for key in napari_keys(f"activate_labels_{mode}_mode")[:1]]
        return f"Painting nucleus {label}; its neighbours stay. {', '.join([*keys, 'Esc: done'])}."

    def let_go(self) -> None:
        """Return to pan and zoom, and to the user's *preserve labels*; nothing happens without the brush."""
        layer = self._layer
        if layer is None:
            return
        self._layer = None
        self.keys.release("brush")
        layer.preserve_labels = self._preserved
        if layer.mode == "pan_zoom":
            layer.mode = "pick"  # ends a tool of Correct that waits: it would bring the brush back in the end
        layer.mode = "pan_zoom"
