"""Where annotated images come from, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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


def open_source(path: str | Path) -> Source:
    """Open annotated images.

    Parameters
    ----------
    path : str or Path
        A folder with ``images/`` and ``labels/`` (optional ``semantic/``); or a COCO JSON file, or a folder that
        holds one.

    Raises
    ------
    DataError
        Nothing of the kind is there, or the JSON is no COCO file.
    """
    from napari_pffnet.data.coco import CocoSource
    from napari_pffnet.data.folder import FolderSource

    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".json":
        return CocoSource(path)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return FolderSource(path)
    found = sorted([*path.glob("*.json"), *path.glob("annotations/*.json")])
    if len(found) == 1:
        return CocoSource(found[0])
    if found:
        raise DataError(
            f"{path}: holds several JSON files ({', '.join(f.name for f in found)}); give the path of one of them"
        )
    reason = "no such folder" if not path.exists() else "found neither images/ with labels/ nor a COCO .json file"
    raise DataError(f"{path}: {reason}; expected images/NAME.png with labels/NAME.tif")


def check(sources: Sequence[Source]) -> None:
    """Read everything once.

    Raises
    ------
    DataError
        One report that lists every faulty file of every source.
    """
    faults = [fault for source in sources for fault in [*source.faults(), *_unreadable(source)]]
    if faults:
        count = "1 problem" if len(faults) == 1 else f"{len(faults)} problems"
        raise DataError(f"{count} in the data:\n" + "\n".join(f"  {fault}" for fault in faults))


def _unreadable(source: Source) -> list[str]:
    faults = []
    for i in range(len(source)):
        try:
            source.read(i)
        except DataError as error:
            faults += str(error).splitlines()
    return faults
