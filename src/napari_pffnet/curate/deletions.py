"""Where in an image nuclei were deleted, so that the next result does not bring them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.tiff import tiff

FILE = "deleted.tif"


class Deletions:
    """The places of an image, kept in ``journal/NAME/deleted.tif``.

    Parameters
    ----------
    folder, name : Path, str
        The project's, and the image's.
    shape : (int, int)
        Of the image.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, int]) -> None:
        self._file, self._shape = folder / "journal" / name / FILE, shape
        self._mask: NDArray[np.bool_] | None = None
        self._changed = False

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The places, bool H×W; none if they are not known or the file cannot be read."""
        if self._mask is None:
            try:
                self._mask = tifffile.imread(self._file) > 0
            except (OSError, ValueError):
                self._mask = np.zeros(self._shape, bool)
            if self._mask.shape != self._shape:
                self._mask = np.zeros(self._shape, bool)
        return self._mask

    def note(self, places: tuple[NDArray[Any], ...], values: NDArray[Any], deleted: bool) -> None:
        """Note an edit: what was painted is not deleted any more, what became background is if nuclei were deleted.

        Parameters
        ----------
        places : tuple of ndarray
            Rows and columns.
        values : ndarray
            New ids there.
        deleted : bool
            Whether nuclei are gone since, and the user has deleted them.
        """
        if not deleted and self._mask is None and not self._file.exists():
            return
        before = self.mask[places]
        self.mask[places] = (values == 0) & (before | deleted)
        self._changed |= bool((self.mask[places] != before).any())

    def save(self) -> None:
        """Write them, if they have changed."""
        if self._changed:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._file, tiff(self.mask.astype(np.uint8)))
            self._changed = False
