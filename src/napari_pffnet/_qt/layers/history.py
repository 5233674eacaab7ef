"""Steps of napari's undo history of a Labels layer, read as pixels and their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from napari_pffnet.typing import Array


class Write(NamedTuple):
    """Pixels of a layer and their new ids: `indices` one int64 array per axis of the data, `values` as long."""

    indices: tuple[Array, ...]
    values: Array


def values(atom: Any) -> tuple[Array, Array]:
    """Return the ids before and after one write of napari's history, both flat."""
    old, new = (atom.old_values, atom.new_value) if hasattr(atom, "old_values") else atom[1:]
    return np.ravel(old), np.broadcast_to(np.ravel(new), np.size(old))


def present(data: Any, atom: Any) -> Array:
    """Return the ids that the pixels of one write have now, flat."""
    if not hasattr(atom, "slice_key"):
        return np.ravel(data[atom[0]])
    region = np.asarray(data[atom.slice_key])
    return region.ravel() if atom.mask is None else np.asarray(region[atom.mask])


def transitions(step: Iterable[Any]) -> dict[tuple[int, int], int]:
    """Return how many pixels a step took from each id and gave to each: ``{(before, after): count}``."""
    counts: dict[tuple[int, int], int] = {}
    for atom in step:
        old, new = values(atom)
        befores, before = np.unique(old, return_inverse=True)
        constant = len(new) and new.strides == (0,)
        afters, after = (new[:1], 0) if constant else np.unique(new, return_inverse=True)
        places, found = np.unique(before * len(afters) + after, return_counts=True)
        for place, count in zip(places.tolist(), found.tolist(), strict=True):
            pair = int(befores[place // len(afters)]), int(afters[place % len(afters)])
            counts[pair] = counts.get(pair, 0) + count
    return counts


def writes(step: list[Any], *, undone: bool) -> list[Write]:
    """Return what a step wrote; of an undone one (as it lies in napari's redo history) what undoing it wrote."""
    return [Write(_indices(atom), values(atom)[0 if undone else 1]) for atom in step]


def box_of(writes: Iterable[Write]) -> Array | None:
    """Return the first and the last index along each axis, int D×2, of all that is written; None for no pixels."""
    written = [write.indices for write in writes if len(write.values)]
    if not written:
        return None
    axes = range(len(written[0]))
    first = [min(int(indices[axis].min()) for indices in written) for axis in axes]
    last = [max(int(indices[axis].max()) for indices in written) for axis in axes]
    return np.stack([first, last], 1)


def _indices(atom: Any) -> tuple[Array, ...]:
    if not hasattr(atom, "slice_key"):
        return tuple(np.ravel(axis) for axis in np.broadcast_arrays(*atom[0]))
    shape = [part.stop - part.start for part in atom.slice_key]
    mask = np.ones(shape, bool) if atom.mask is None else atom.mask
    return tuple(axis + part.start for axis, part in zip(np.nonzero(mask), atom.slice_key, strict=True))
