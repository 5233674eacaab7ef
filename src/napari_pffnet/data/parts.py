"""Parts of annotated images: some images of a set, or one side of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.project import within
from napari_pffnet.data.sources import Sample, Source
from napari_pffnet.labels import IGNORE

HELD_OUT = 0.25
KEPT_BYTES = 2 * 2**30


class SourceParts:
    """What the parts of a source have in common with it."""

    source: Source

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    def name(self, index: int) -> str:
        """Return the image's name."""
        return self.source.name(index)

    def faults(self) -> list[str]:
        """Return the faults of the source."""
        return self.source.faults()


@dataclass(frozen=True)
class Chosen(SourceParts):
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


class Kept(SourceParts):
    """A source whose samples are read once: what is changed in their files later is not seen.

    Parameters
    ----------
    source : Source
        Images, or parts of them.
    limit : int
        Bytes to keep; images beyond that are read from their files each time.
    """

    def __init__(self, source: Source, limit: int = KEPT_BYTES) -> None:
        self.source = source
        self._samples: dict[int, Sample] = {}
        self._room = limit

    def read(self, index: int) -> Sample:
        """Return an image as it was first read."""
        if index in self._samples:
            return self._samples[index]
        sample = self.source.read(index)
        size = sum(each.nbytes for each in (sample.image, sample.labels, sample.semantic) if each is not None)
        if size <= self._room:
            self._samples[index] = sample
            self._room -= size
        return sample


@dataclass(frozen=True)
class Side(SourceParts):
    """Of each image the larger part (``"train"``) or the quarter that is held out: every loss ignores the other."""

    source: Source
    side: Literal["train", "held out"]

    def read(self, index: int) -> Sample:
        """Read an image with this side of its annotation."""
        sample = self.source.read(index)
        annotated = known(sample)
        nuclei = annotated & (sample.labels > 0)
        held_out = quarter(nuclei if nuclei.any() else annotated)
        labels, semantic = within(sample.labels, ~held_out, ~annotated)
        if self.side == "held out":
            learnt = labels > 0
            labels, semantic = within(np.where(learnt, 0, sample.labels), held_out, ~annotated | learnt)
        return replace(sample, labels=labels, semantic=semantic)


@dataclass(frozen=True)
class Window(SourceParts):
    """Of each large image the square with the most annotated nuclei, so that looking at it often takes little time."""

    source: Source
    side: int

    def read(self, index: int) -> Sample:
        """Read an image, or the square of it; nuclei on the square's edge are cut."""
        sample = self.source.read(index)
        if max(sample.labels.shape) <= self.side:
            return sample
        place = densest(known(sample) & (sample.labels > 0), self.side)
        semantic = None if sample.semantic is None else sample.semantic[place]
        return replace(sample, image=sample.image[place], labels=sample.labels[place], semantic=semantic)


def densest(what: NDArray[np.bool_], side: int) -> tuple[slice, slice]:
    """Return the window of side × side (less where the image is smaller) with most of some pixels, bool H×W."""
    sums = np.pad(what.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(side, length) for length in what.shape)
    counts = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(int(counts.argmax()), counts.shape)
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)


def known(sample: Sample) -> NDArray[np.bool_]:
    """Return where an image is annotated: bool H×W."""
    if sample.semantic is None:
        return np.ones(sample.labels.shape, bool)
    return np.asarray(sample.semantic != IGNORE)


def quarter(what: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the end of an image that holds a quarter of some pixels, along the longer side of these.

    Parameters
    ----------
    what : ndarray
        bool H×W: the pixels.

    Returns
    -------
    ndarray
        bool H×W, a strip over the whole width or height.
    """
    extents = [np.ptp(np.flatnonzero(what.any(1 - axis))) if what.any() else 0 for axis in (0, 1)]
    axis = int(extents[1] > extents[0])
    before = np.cumsum(what.sum(1 - axis))
    end = before > (1 - HELD_OUT) * before[-1]
    return np.broadcast_to(end[:, None] if axis == 0 else end[None], what.shape).copy()
