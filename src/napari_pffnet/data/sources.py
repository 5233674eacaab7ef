"""Where annotated images come from, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

EVERY = 5


class DataError(ValueError):
    """Training data that cannot be used; the message names each file and what is wrong with it."""


@dataclass(frozen=True)
class Sample:
    """One annotated image.

    Attributes
    ----------
    name : str
        Names the image in messages and results.
    image : ndarray
        Raw intensities, H×W or H×W×3.
    labels : ndarray
        int32 H×W, 0 background, one id per nucleus.
    semantic : ndarray or None
        uint8 H×W: 0 background, 1 nucleus, 255 ignored in every loss; where given it replaces ``labels > 0``.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[np.int32]
    semantic: NDArray[np.uint8] | None = None


class Source(Protocol):
    """A set of annotated images, read one by one."""

    def __len__(self) -> int:
        """Return the number of annotated images."""
        ...

    def name(self, index: int) -> str:
        """Return the name of an image."""
        ...

    def read(self, index: int) -> Sample:
        """Read an image with its annotation; `DataError` says what is wrong with the files."""
        ...

    def faults(self) -> list[str]:
        """Return what is wrong with the set as a whole, such as images without annotation: one line each."""
        ...


def hold_out(names: Sequence[str]) -> list[str]:
    """Choose the images to check on, about one in five and at least one; none of a single image.

    The choice stays the same when images are added at the end, so that a model is not checked on what an earlier one
    has learnt.
    """
    return list(names[::EVERY]) if len(names) > 1 else []
