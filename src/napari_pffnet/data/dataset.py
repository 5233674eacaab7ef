"""Random crops of several sources as a dataset, and batches of them.

Which image and which crop item i is depends on the seed and on i alone: an interrupted run goes on with exactly the
crops that an unbroken one would have seen, and each of several processes takes its share. Of an image that is annotated
in places only, crops lie around what is annotated.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_pffnet.config import DataConfig
from napari_pffnet.data.normalize import normalize
from napari_pffnet.data.sizes import suitable_zoom, typical_diameter
from napari_pffnet.data.sources import DataError, Sample, Source
from napari_pffnet.data.targets import Target, to_target
from napari_pffnet.data.transforms import augment
from napari_pffnet.labels import IGNORE, renumber

CACHE_BYTES = 4 * 2**30
MOSTLY, GRID = 0.9, 8

Item = tuple[Tensor, Target]
Batch = tuple[list[Tensor], list[Target]]


@dataclass(frozen=True)
class Prepared:
    """A normalised sample: `image` float16 1×H×W (grey) or 3×H×W, `labels` int32 with ids 1..N, `areas` N + 1.

    `places` (int64 K×2) are annotated pixels to lay crops around, None if crops may lie anywhere.
    """

    image: Tensor
    labels: Tensor
    semantic: Tensor | None
    areas: Tensor
    places: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        maps = (self.image, self.labels, self.semantic, self.areas, self.places)
        return sum(m.nbytes for m in maps if m is not None)


def prepare(sample: Sample, percentiles: tuple[float, float]) -> Prepared:
    """Normalise a sample; grey images are kept as one channel."""
    planes = normalize(sample.image, percentiles)
    grey = sample.image.ndim == 2 or bool((planes == planes[:1]).all())
    labels = torch.from_numpy(renumber(sample.labels)[0])
    return Prepared(
        torch.from_numpy(planes[: 1 if grey else 3].astype(np.float16)),
        labels,
        None if sample.semantic is None else torch.from_numpy(sample.semantic.copy()),
        torch.bincount(labels.flatten(), minlength=1),
        _places(sample),
    )


def _places(sample: Sample) -> Tensor | None:
    """Annotated pixels on a coarse grid, if less than most of the image is annotated."""
    if sample.semantic is None:
        return None
    annotated = sample.semantic != IGNORE
    if not annotated.any() or annotated.mean() > MOSTLY:
        return None
    places = np.argwhere(annotated[::GRID, ::GRID]) * GRID
    return torch.from_numpy(places if len(places) else np.argwhere(annotated))


class CropDataset(Dataset[Item]):
    """Random crops: item i is (image float32 3×crop×crop, target of `to_target`).

    Parameters
    ----------
    sources : sequence of Source
        Annotated images.
    config : DataConfig
        Augmentation, weights of the sources, cache.
    percentiles : tuple of float
        Of the normalisation.
    seed : int
        With i the only source of chance.
    length : int
        Number of items.
    diameter : float, optional
        Typical one of the model, pixels: images whose nuclei are far from it are zoomed as they are when segmented.

    Raises
    ------
    DataError
        No images, or another number of weights than of sources.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: DataConfig,
        percentiles: tuple[float, float],
        seed: int,
        length: int,
        diameter: float | None = None,
    ) -> None:
        weights = config.weights or (1.0,) * len(sources)
        if len(weights) != len(sources):
            raise DataError(
                f"data.weights has {len(weights)} numbers for {len(sources)} data folders; give one for each, as in"
                f" data.weights=[{','.join('1' * len(sources))}]"
            )
        if not sources or not all(len(source) for source in sources):
            raise DataError("a data folder holds no annotated image; give folders with images/ and labels/")
        self._sources = sources
        self._config = config
        self._percentiles = percentiles
        self._seed = seed
        self._length = length
        self._diameter = diameter
        self._bounds = np.cumsum(weights) / np.sum(weights)
        self._cache: dict[tuple[int, int], Prepared] = {}
        self._room = CACHE_BYTES // max(1, config.workers) if config.cache else 0

    def __len__(self) -> int:
        """Return the number of items."""
        return self._length

    def __getitem__(self, index: int) -> Item:
        """Draw crop `index`."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        generator = np.random.default_rng((self._seed, index))
        source = min(int(np.searchsorted(self._bounds, generator.random(), "right")), len(self._sources) - 1)
        ready = self._prepared(source, int(generator.integers(len(self._sources[source]))))
        zoom = suitable_zoom(typical_diameter(ready.areas[1:].numpy()), self._diameter)
        low, high = self._config.augment.scale
        config = self._config.augment.model_copy(update={"scale": (low * zoom, high * zoom)})
        image, labels, semantic = augment(
            ready.image, ready.labels, ready.semantic, config, generator, ready.areas, ready.places
        )
        return image, to_target(labels.numpy(), semantic.numpy())

    def _prepared(self, source: int, index: int) -> Prepared:
        if (source, index) in self._cache:
            return self._cache[source, index]
        ready = prepare(self._sources[source].read(index), self._percentiles)
        if ready.nbytes <= self._room:
            self._cache[source, index] = ready
            self._room -= ready.nbytes
        return ready


def collate(items: Sequence[Item]) -> Batch:
    """Make lists of images and of targets."""
    return [image for image, _ in items], [target for _, target in items]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch; to CUDA from pinned memory without waiting (Apple's GPUs would read what is gone by then)."""
    images, targets = batch
    unwaiting = device.type == "cuda"
    return (
        [image.to(device, non_blocking=unwaiting) for image in images],
        [{name: value.to(device, non_blocking=unwaiting) for name, value in target.items()} for target in targets],
    )


def make_batches(
    dataset: CropDataset,
    batch_size: int,
    workers: int = 0,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    *,
    pin: bool = False,
) -> Generator[Batch]:
    """Yield batches of a dataset in order; an incomplete last batch is left out.

    Whoever does not go through to the end closes it, which ends the worker processes.

    Parameters
    ----------
    dataset : CropDataset
        The crops.
    batch_size : int
        Crops per batch and process.
    workers : int
        Processes that prepare crops; 0 does it in this one.
    start : int
        First item, counted over all processes: what an interrupted run has consumed.
    rank, world : int
        This training process takes every `world`-th item.
    pin : bool
        Keep batches in memory from which a CUDA device copies without waiting; leave it if there is none to train on.
    """
    yield from DataLoader(
        dataset,
        batch_size,
        sampler=range(start + rank, len(dataset), world),
        num_workers=workers,
        collate_fn=collate,
        drop_last=True,
        pin_memory=pin,
        generator=torch.Generator(),  # else starting it would draw from the training's random numbers
    )
