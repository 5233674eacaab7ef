"""In which part of its image the nuclei of a layer were looked for. No Qt in here."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels

from napari_pffnet._qt.layers.planes import Part, Plane
from napari_pffnet.typing import Array


class Searched(NamedTuple):
    """`part`: what the layer covers; `inside`: bool, its size, where nuclei were wanted (None: everywhere).

    `semantic`: the semantic map that was found with the nuclei.
    """

    part: Part
    inside: Array | None
    semantic: Labels

    def wanted(self) -> tuple[slice, slice]:
        """Return the smallest window of the layer that holds all of what was wanted."""
        if self.inside is None:
            return slice(0, self.part.height), slice(0, self.part.width)
        rows, columns = (np.flatnonzero(self.inside.any(axis)) for axis in (1, 0))
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


_SEARCHED: WeakKeyDictionary[Labels, Searched] = WeakKeyDictionary()


def note_searched(layer: Labels, semantic: Labels, plane: Plane) -> None:
    """Note where the nuclei of a layer, and the semantic map, were looked for."""
    _SEARCHED[layer] = Searched(plane.part, plane.inside, semantic)


def searched_in(layer: Labels) -> Searched | None:
    """Return where the nuclei of a result on one plane were looked for; None of other layers."""
    return _SEARCHED.get(layer)
