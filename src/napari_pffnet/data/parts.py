"""Parts of annotated images: some images of a set, or one side of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.project import within
from napari_pffnet.data.sources import Sample, Source
from napari_pffnet.data.targets import IGNORE

HELD_OUT = 0.25
EVERY = 5


@dataclass(frozen=True)
class Chosen:
    """Some images of a source, in the order given."""

    source: Source
    indices: Sequence[int]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.indices)

    def name(self, index: int) -> str:
        """Return the image's name."""
        return self.source.name(self.indices[index])

    def read(self, index: int) -> Sample:
        """Read an image."""
        return self.source.read(self.indices[index])

    def faults(self) -> list[str]:
        """Return the faults of the source."""
        return self.source.faults()


@dataclass(frozen=True)
class Side:
    """Of each image the larger part (``"train"``) or the quarter that is held out: every loss ignores the other."""

    source: Source
    side: Literal["train", "held out"]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    def name(self, index: int) -> str:
        """Return the image's name."""
        return self.source.name(index)

    def read(self, index: int) -> Sample:
        """Read an image with this side of its annotation."""
        sample = self.source.read(index)
        held_out = quarter(known(sample))
        part = held_out if self.side == "held out" else ~held_out
        labels, semantic = within(sample.labels, part, ~known(sample))
        return replace(sample, labels=labels, semantic=semantic)

    def faults(self) -> list[str]:
        """Return the faults of the source."""
        return self.source.faults()


def known(sample: Sample) -> NDArray[np.bool_]:
    """Return where an image is annotated: bool H×W."""
    if sample.semantic is None:
        return np.ones(sample.labels.shape, bool)
    return np.asarray(sample.semantic != IGNORE)


def quarter(annotated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the end of an image, along its longer annotated side, that holds a quarter of what is annotated.

    Parameters
    ----------
    annotated : ndarray
        bool H×W.

    Returns
    -------
    ndarray
        bool H×W, a strip over the whole width or height.
    """
    extents = [np.ptp(np.flatnonzero(annotated.any(1 - axis))) if annotated.any() else 0 for axis in (0, 1)]
    axis = int(extents[1] > extents[0])
    before = np.cumsum(annotated.sum(1 - axis))
    end = before > (1 - HELD_OUT) * before[-1]
    return np.broadcast_to(end[:, None] if axis == 0 else end[None], annotated.shape).copy()


def hold_out(names: Sequence[str]) -> list[str]:
    """Choose the images to check on, about one in five and at least one; none of a single image.

    The choice stays the same when images are added at the end, so that a model is not checked on what an earlier one
    has learnt.
    """
    return list(names[::EVERY]) if len(names) > 1 else []
