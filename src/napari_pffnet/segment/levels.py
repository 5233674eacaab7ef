"""Which level of a pyramid suits its nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from napari_pffnet.data.sizes import suitable_level
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.segment.large_job import liveliest_place
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.segment.size import estimate_diameter

#: µm: nuclei of 6 to 10 µm have 17 to 29 pixels of this size
WELL_SEEN = 0.35


class Choice(NamedTuple):
    """The `level`, how many pixels of the largest level one of its pixels spans, and the nuclei's diameter.

    `diameter` in pixels of the largest level; None if no nuclei were seen.
    """

    level: int
    factor: float
    diameter: float | None


def choose_level(segmenter: Segmenter, levels: Sequence[LazyPlane], diameter: float | None = None) -> Choice:
    """Choose the smallest level on which nuclei are as large as in training; see `suitable_level`.

    Parameters
    ----------
    segmenter : Segmenter
        Its model says how large nuclei were in training.
    levels : sequence of LazyPlane
        The largest first.
    diameter : float, optional
        Typical diameter of the nuclei, pixels of the largest level. If it is not given, it is estimated in the
        liveliest place: of the level whose pixels are nearest to 0.35 µm, or of the largest one if their size is
        unknown.
    """
    factors = [levels[0].shape[0] / level.shape[0] for level in levels]
    if diameter is None:
        sizes = [level.pixel_size for level in levels]
        known = [abs(size - WELL_SEEN) for size in sizes if size is not None]
        seen = known.index(min(known)) if len(known) == len(levels) else 0
        found = estimate_diameter(segmenter, liveliest_place(levels[seen]), levels[seen].pixel_size)
        diameter = found and found * factors[seen]
    level = suitable_level(factors, diameter, segmenter.model.config.diameter)
    return Choice(level, factors[level], diameter)
