"""A project as training data: only what its user marked as complete counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.annotation import read_labels, read_semantic
from napari_pffnet.data.sources import DataError, Sample
from napari_pffnet.io.images import ImageError
from napari_pffnet.io.project import (
    PROJECT_FILE,
    ImageEntry,
    ProjectError,
    annotation_file,
    find_labels,
    read_manifest,
    read_plane,
)
from napari_pffnet.io.regions import Regions, read_regions
from napari_pffnet.labels import IGNORE, share_inside

#: how to fine-tune without an image that cannot be used
WITHOUT = "; or train without it: finetune.images=[NAME, …], or mark it as not done in the panel"


class ProjectSource:
    """The images of a project that are complete, as a whole or in some areas.

    Areas without a nucleus are negatives. Outside of the areas every loss ignores the image. Where areas and nuclei
    disagree, see `within`. Of the semantic map only the ignored pixels (255) count: a nucleus that was deleted is
    background, whatever the network had thought.

    Parameters
    ----------
    path : str or Path
        The project's folder.

    Raises
    ------
    DataError
        ``project.json`` cannot be used, or no image is complete anywhere.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            entries = read_manifest(self.path / PROJECT_FILE).images
        except ProjectError as error:
            raise DataError(str(error)) from None
        self._entries = [entry for entry in entries if self._may_train(entry)]
        if not self._entries:
            raise DataError(
                f"{self.path}: no image of the project is complete anywhere; open it in napari and mark areas with "
                "'complete here', or press 'Whole image is complete'"
            )

    @property
    def done(self) -> list[str]:
        """Names of the images that are complete somewhere and that the user has marked as done."""
        return [entry.name for entry in self._entries if entry.state == "done"]

    @property
    def stacks(self) -> dict[str, str]:
        """Of each image that is a slice, its stack."""
        return {entry.name: entry.stack for entry in self._entries if entry.stack}

    def __len__(self) -> int:
        """Return the number of images that are complete somewhere."""
        return len(self._entries)

    def name(self, index: int) -> str:
        """Return the image's name in the project."""
        return self._entries[index].name

    def read(self, index: int) -> Sample:
        """Read an image and what is complete of its annotation."""
        entry = self._entries[index]
        try:
            image, _ = read_plane(self.path, entry)
            regions, file = self._regions(entry), find_labels(self.path, entry)
        except (ImageError, ProjectError) as error:
            raise DataError(f"{error}{WITHOUT}") from None
        shape = (image.shape[0], image.shape[1])
        labels = read_labels(file, shape) if file else np.zeros(shape, np.int32)
        ignored = self._ignored(entry, shape)
        return Sample(entry.name, image, *within(labels, regions.mask(shape), ignored))

    def faults(self) -> list[str]:
        """Return nothing: every fault belongs to an image, and `read` names it."""
        return []

    def _regions(self, entry: ImageEntry) -> Regions:
        return read_regions(annotation_file(self.path, "regions", entry.name))

    def _may_train(self, entry: ImageEntry) -> bool:
        try:
            regions = self._regions(entry)
        except ProjectError:
            return True  # reading it names the fault
        return regions.whole or bool(regions.areas)

    def _ignored(self, entry: ImageEntry, shape: tuple[int, int]) -> NDArray[np.bool_]:
        file = annotation_file(self.path, "semantic", entry.name)
        if not file.is_file():
            return np.zeros(shape, bool)
        ignored: NDArray[np.bool_] = read_semantic(file, shape, nuclei=False) == IGNORE
        return ignored


def within(
    labels: NDArray[np.int32], complete: NDArray[np.bool_], ignored: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Keep what may be learnt from an annotation that is complete in places.

    A nucleus of which at least half lies in complete areas is true as a whole, also where it sticks out. Any other may
    be a proposal that nobody looked at: it is taken out and its pixels are ignored, so it is neither true nor false.

    Parameters
    ----------
    labels : ndarray
        int32 H×W, ids 1..N.
    complete, ignored : ndarray
        bool H×W: every nucleus is annotated; the user marked it to be ignored.

    Returns
    -------
    labels : ndarray
        int32 H×W with the nuclei that count.
    semantic : ndarray
        uint8 H×W: 0 background, 1 nucleus, 255 ignored in every loss.
    """
    counts = share_inside(labels, complete) >= 0.5
    counts[0] = False
    kept = counts[labels]
    known = (complete & (labels == 0)) | kept
    semantic = np.where(known & ~ignored, kept, IGNORE).astype(np.uint8)
    return np.where(kept, labels, 0).astype(np.int32), semantic
