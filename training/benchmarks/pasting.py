"""Copy-paste of nuclei (Ghiasi et al., CVPR 2021) within an image: a variant of `ablation.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import find_objects

from napari_pffnet.data.sources import Sample, Source

SHARE, MOST_COVERED = 0.5, 0.3


class Pasted:
    """A source whose every second image holds more nuclei: its own, turned by 180°, where they cover others little.

    Parameters
    ----------
    source : Source
        Annotated images.
    seed : int
        Chooses the nuclei.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed
        self.name, self.faults = source.name, source.faults

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._source)

    def read(self, index: int) -> Sample:
        """Read an image; of those with an odd index half of the nuclei are there twice, as far as there is room."""
        sample = self._source.read(index)
        return crowded(sample, np.random.default_rng((self._seed, index))) if index % 2 else sample


def crowded(sample: Sample, generator: np.random.Generator) -> Sample:
    """Paste half of the nuclei of the image, turned by 180°, where they cover at most 30 % of one another."""
    image, labels = sample.image.copy(), sample.labels.copy()
    turned, theirs = sample.image[::-1, ::-1], sample.labels[::-1, ::-1]
    areas = np.bincount(labels.ravel())
    for number, place in enumerate(find_objects(theirs), start=1):
        if place is None or generator.random() > SHARE:
            continue
        mask, below = theirs[place] == number, labels[place]
        covered = np.bincount(below[mask], minlength=len(areas))
        if covered[1:].sum() > MOST_COVERED * mask.sum() or (covered[1:] > MOST_COVERED * areas[1:]).any():
            continue
        image[place][mask] = turned[place][mask]
        below[mask] = len(areas)
        areas = np.append(areas - covered, mask.sum())
    return replace(sample, image=image, labels=labels)
