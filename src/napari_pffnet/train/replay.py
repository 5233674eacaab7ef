"""The replay set: crops of what a model has learnt from, that travel in its file so that it is not forgotten.

Some are to learn from, and others, of images that were held out, to check on. Intensities are stored as the network saw
them (normalised with the whole image, in 256 steps).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.normalize import normalize
from napari_pffnet.data.parts import Side, known
from napari_pffnet.data.sources import Sample, Source
from napari_pffnet.labels import IGNORE
from napari_pffnet.library import LibraryError, read_extras

SIDE = 256
MOST = {"learn": 24, "check": 8}
SAMPLES = {"learn": 8, "check": 2}
TRIES = 8
Crops = list[Sample]


class ReplaySource:
    """Crops as a source."""

    def __init__(self, crops: Crops) -> None:
        self._crops = crops

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self._crops)

    def name(self, index: int) -> str:
        """Return the crop's name."""
        return self._crops[index].name

    def read(self, index: int) -> Sample:
        """Return a crop."""
        return self._crops[index]

    def faults(self) -> list[str]:
        """Return nothing: crops were read before."""
        return []


def collect(source: Source, count: int, percentiles: tuple[float, float], seed: int = 0) -> Crops:
    """Cut crops with nuclei from a source, spread over its images.

    Parameters
    ----------
    source : Source
        Annotated images.
    count : int
        Most crops.
    percentiles : tuple of float
        Of the normalisation.
    seed : int
        Of the places.

    Returns
    -------
    list of Sample
        At most `count` crops of at most 256×256 pixels, uint8; the best of some random places each, by its nuclei. No
        two are the same: an image of that size or less gives one.
    """
    generator = np.random.default_rng(seed)
    crops: Crops = []
    chosen: list[int] = generator.permutation(len(source))[:count].tolist()
    for turn, i in enumerate(chosen):
        sample = source.read(i)
        planes = (normalize(sample.image, percentiles) * 255).round().astype(np.uint8)
        for _ in range(len(range(turn, count, len(chosen)))):
            crops.append(_crop(sample, planes, generator))
    return _distinct([crop for crop in crops if crop.labels.any()])


def sample_crops(percentiles: tuple[float, float]) -> dict[str, Crops]:
    """Return crops of the annotated images that come with the package, for a model that has none of its own."""
    with as_file(files("napari_pffnet") / "sample_data") as folder:
        source = FolderSource(folder)
        sides = {"learn": Side(source, "train"), "check": Side(source, "held out")}
        return {use: collect(side, SAMPLES[use], percentiles) for use, side in sides.items()}


def merge(old: Crops, new: Crops, most: int) -> Crops:
    """Return at most so many different crops: half of each, more of one if the other has few."""
    old, both = _distinct(old), _distinct([*old, *new])
    new = both[len(old) :]
    from_old = min(len(old), max(most // 2, most - len(new)))
    keep = np.linspace(0, max(0, len(old) - 1), from_old).round().astype(int)
    return [*(old[i] for i in keep), *new[: most - from_old]]


def _distinct(crops: Crops) -> Crops:
    """Return one of each that have the same pixels and labels."""
    return list({(crop.image.tobytes(), crop.labels.tobytes()): crop for crop in crops}.values())


def to_tensors(crops: Mapping[str, Crops]) -> dict[str, Tensor]:
    """Return crops to learn from and to check on as tensors for a model file."""
    tensors: dict[str, Tensor] = {}
    for use, samples in crops.items():
        for i, sample in enumerate(samples):
            image = sample.image if sample.image.ndim == 3 else sample.image[..., None]
            tensors[f"replay.{use}.{i}.image"] = torch.from_numpy(image.copy())
            tensors[f"replay.{use}.{i}.name"] = torch.tensor(list(sample.name.encode()), dtype=torch.uint8)
            tensors[f"replay.{use}.{i}.labels"] = torch.from_numpy(sample.labels.astype(np.int16))
            if sample.semantic is not None:
                tensors[f"replay.{use}.{i}.ignored"] = torch.from_numpy(sample.semantic == IGNORE)
    return tensors


def read_replay(path: Path) -> dict[str, Crops]:
    """Return the crops of a model file, to learn from and to check on; none if it has none.

    Raises
    ------
    LibraryError
        Not a model file, truncated, or the crops are not what this program writes.
    """
    tensors = read_extras(path)
    crops: dict[str, Crops] = {use: [] for use in MOST}
    for use, samples in crops.items():
        while f"replay.{use}.{len(samples)}.labels" in tensors:
            samples.append(_sample(path, tensors, f"replay.{use}.{len(samples)}"))
    return crops


def _sample(path: Path, tensors: Mapping[str, Tensor], place: str) -> Sample:
    labels = tensors[f"{place}.labels"].numpy()
    image, ignored, name = (tensors.get(f"{place}.{part}") for part in ("image", "ignored", "name"))
    shapes = [part.shape[:2] for part in (image, ignored) if part is not None]
    if image is None or image.shape[2:] not in ((1,), (3,)) or any(shape != labels.shape for shape in shapes):
        raise LibraryError(f"{path}: its replay crops are damaged ({place}); export the model anew, or take another")
    pixels = image.numpy()
    semantic = None if ignored is None else np.where(ignored.numpy(), IGNORE, labels > 0).astype(np.uint8)
    title = place if name is None else bytes(name.to(torch.uint8).flatten().tolist()).decode(errors="replace")
    return Sample(title, pixels if pixels.shape[2] == 3 else pixels[..., 0], labels.astype(np.int32), semantic)


def _crop(sample: Sample, planes: NDArray[np.uint8], generator: np.random.Generator) -> Sample:
    height, width = sample.labels.shape
    annotated = known(sample)
    best, most = (slice(0, SIDE), slice(0, SIDE)), -1
    for _ in range(TRIES):
        y, x = (int(generator.integers(0, max(0, length - SIDE) + 1)) for length in (height, width))
        window = (slice(y, y + SIDE), slice(x, x + SIDE))
        nuclei = int((sample.labels[window] > 0)[annotated[window]].sum())
        if nuclei > most:
            best, most = window, nuclei
    grey = bool((planes == planes[:1]).all())
    image = planes[0][best] if grey else planes[(slice(None), *best)].transpose(1, 2, 0)
    _, labels = np.unique(sample.labels[best], return_inverse=True)
    ids = labels.reshape(image.shape[:2]) + (0 if (sample.labels[best] == 0).any() else 1)
    semantic = None if sample.semantic is None else sample.semantic[best].copy()
    return Sample(sample.name, np.ascontiguousarray(image), ids.astype(np.int32), semantic)
