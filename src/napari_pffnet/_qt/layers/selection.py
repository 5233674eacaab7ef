"""Adding and removing layers without taking anything from the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari.components import ViewerModel
from napari.layers import Layer


@contextmanager
def keep_selection(viewer: ViewerModel) -> Iterator[None]:
    """What is selected stays selected whatever is added inside the ``with``, and nobody is told otherwise."""
    selection = viewer.layers.selection
    before, active = set(selection), selection.active
    with selection.events.blocker_all():
        try:
            yield
        finally:
            selection.clear()
            selection.update(before & set(viewer.layers))
            selection.active = active if active in viewer.layers else None


def remove_if_there(viewer: ViewerModel, layer: Layer | None) -> None:
    """Remove a layer unless the user has done so."""
    if layer is not None and layer in viewer.layers:
        viewer.layers.remove(layer)
