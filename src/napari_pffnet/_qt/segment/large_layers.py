"""The layers that show the result of a large image, also while it is being made. No Qt in here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Labels

from napari_pffnet._qt.engine import LargeOutcome
from napari_pffnet._qt.layers.contours import OUTLINE_WIDTH
from napari_pffnet._qt.layers.planes import Plane
from napari_pffnet._qt.layers.selection import remove_if_there
from napari_pffnet.readers import FEATURES, NUCLEI_OPACITY, semantic_look

if TYPE_CHECKING:
    from napari_pffnet.segment.large import Shown

SECONDS_BETWEEN = 1.0


class LargeLayers:
    """The ``nuclei`` and ``semantic`` layers of one run, as pyramids on disk: they can be looked at, not painted.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are added.
    plane : Plane
        Where they belong.
    source : dict
        Noted in the layers' metadata.
    before : LargeLayers, optional
        Those of an earlier run, whose place they take.
    about : str
        Put behind their names.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        plane: Plane,
        source: dict[str, Any],
        before: LargeLayers | None = None,
        about: str = "",
    ) -> None:
        self.viewer, self.plane, self.source, self.about = viewer, plane, source, about
        self._before = before
        self._layers: dict[str, Labels] = {}
        self._seen: Shown | None = None
        self._drawn_at = 0.0

    def show(self, shown: Shown, outlines: bool) -> None:
        """Show what is there by now; at most once a second."""
        if shown is self._seen or time.monotonic() - self._drawn_at < SECONDS_BETWEEN:
            return
        if self._layers:
            for layer in self._layers.values():
                layer.refresh()
        else:
            self._add(shown.nuclei.levels, shown.semantic.levels, outlines)
        self._seen, self._drawn_at = shown, time.monotonic()

    def finish(self, outcome: LargeOutcome, outlines: bool) -> None:
        """Show the whole result from where it is kept."""
        from napari_pffnet.io.ome_zarr import label_levels

        nuclei, semantic = (label_levels(outcome.labels, name) for name in ("nuclei", "semantic"))
        if all(layer in self.viewer.layers for layer in self._layers.values()) and self._layers:
            self._layers["nuclei"].data, self._layers["semantic"].data = self._lifted(nuclei), self._lifted(semantic)
        else:
            self.remove()
            self._add(nuclei, semantic, outlines)
        table = pd.read_csv(outcome.table)
        self._layers["nuclei"].features = table[[name for name in FEATURES if name in table]]

    def remove(self) -> None:
        """Take the layers away: the files that they show are to be replaced."""
        for layer in self._layers.values():
            remove_if_there(self.viewer, layer)
        self._layers.clear()

    def draw_outlines(self, outlines: bool) -> None:
        """Switch between outlines and filled nuclei."""
        if "nuclei" in self._layers:
            self._layers["nuclei"].contour = OUTLINE_WIDTH * outlines

    def _add(self, nuclei: list[Any], semantic: list[Any], outlines: bool) -> None:
        if self._before is not None:
            self._before.remove()
            self._before = None
        placed = self.plane.placement
        classes = {"napari-pffnet": {**self.source, "content": "semantic"}}
        self._layers = {
            "semantic": Labels(
                self._lifted(semantic),
                name=f"semantic{self.about}",
                multiscale=True,
                metadata=classes,
                **semantic_look(),
                **placed,
            ),
            "nuclei": Labels(
                self._lifted(nuclei),
                name=f"nuclei{self.about}",
                multiscale=True,
                opacity=NUCLEI_OPACITY,
                metadata={"napari-pffnet": self.source},
                **placed,
            ),
        }
        for layer in self._layers.values():
            self.viewer.add_layer(layer)
        self.draw_outlines(outlines)

    def _lifted(self, levels: list[Any]) -> list[Any]:
        return levels if len(self.plane.shape) == 2 else [Lifted(level, self.plane.shape) for level in levels]


class Lifted:
    """A plane on disk as a stack of one plane, which reads what is asked for, always anew.

    Parameters
    ----------
    array : array-like
        H×W.
    shape : tuple of int
        Of the stack at full size; 1 along all axes but two.
    """

    def __init__(self, array: Any, shape: tuple[int, ...]) -> None:
        sizes = iter(array.shape)
        self.array, self.dtype = array, array.dtype
        self.shape = tuple(1 if length == 1 else next(sizes) for length in shape)
        self.ndim, self.size = len(shape), int(np.prod(self.shape, dtype=np.int64))
        self._shown = [axis for axis, length in enumerate(shape) if length > 1]

    def __getitem__(self, index: Any) -> np.ndarray[Any, Any]:
        places = index if isinstance(index, tuple) else (index,)
        places = (*places, *[slice(None)] * (self.ndim - len(places)))
        part = np.asarray(self.array[tuple(places[axis] for axis in self._shown)])
        kept = [axis for axis, place in enumerate(places) if not isinstance(place, (int, np.integer))]
        return np.expand_dims(part, [i for i, axis in enumerate(kept) if axis not in self._shown])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(self[()], dtype)
