"""Validation: figures of a network on annotated images, by the code that segments and evaluates for the user."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from napari_pffnet.config import AugmentConfig, DataConfig, SegmentConfig, TrainConfig
from napari_pffnet.data.dataset import CropDataset, collate, to_device
from napari_pffnet.data.normalize import normalize
from napari_pffnet.data.parts import Window
from napari_pffnet.data.sizes import suitable_zoom, typical_diameter
from napari_pffnet.data.sources import Sample, Source
from napari_pffnet.evaluate.metrics import ImageScores, pool
from napari_pffnet.io.results import write_overlay
from napari_pffnet.labels import areas
from napari_pffnet.library import Model
from napari_pffnet.model import PFFNet
from napari_pffnet.segment import Segmenter
from napari_pffnet.train.compare import measure
from napari_pffnet.train.gate import NOISE
from napari_pffnet.typing import Array

LOSS_CROPS = 8
PREVIEW = 512
LARGEST = 1024


class Validator:
    """Computes metrics (in [0, 1]) and losses of a network on fixed images.

    Parameters
    ----------
    sources : sequence of Source
        Validation images; none gives no metrics.
    config : TrainConfig
        `validation_images` limits how many are used, spread evenly over all. Of an image larger than 1024 pixels a part
        is used.
    device : torch.device
        Where the network is.
    """

    def __init__(self, sources: Sequence[Source], config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.sources: list[Source] = [Window(source, LARGEST) for source in sources if len(source)]
        self._first: tuple[Sample, Array] | None = None
        self.items = spread([(s, i) for s in self.sources for i in range(len(s))], config.validation_images)

    def __call__(self, network: PFFNet) -> dict[str, float]:
        """Return `ap50`, `mean_ap`, `aji`, `pq`, `dice` and each loss as ``val_loss_…``; empty without images."""
        return {**self.figures(network), **self._losses(network)} if self.items else {}

    @cached_property
    def noise(self) -> float:
        """By how much a figure may differ by chance: the standard deviation, at most, of a share of so many nuclei."""
        nuclei = sum(len(np.unique(source.read(i).labels)) - 1 for source, i in self.items)
        return float(NOISE / max(1, nuclei) ** 0.5)

    def figures(self, network: PFFNet) -> dict[str, float]:
        """Return the metrics alone; the network stays as it is, even if segmenting with it ran out of memory."""
        training = network.training
        network.eval()
        try:
            return pool(self._scores(network))
        finally:
            network.to(self.device).train(training)
            network.most_regions = None

    def _scores(self, network: PFFNet) -> list[ImageScores]:
        model = Model(network, self.config.model, {}, Path())
        scores: list[ImageScores] = []
        for source, i in self.items:
            sample = source.read(i)
            segmenter = Segmenter(model, self._for_size(sample))
            labels, _, _ = segmenter.predict(sample.image).compose(self.config.segment)
            scores.append(measure(labels, sample))
            if not scores[1:]:
                self._first = sample, labels
        return scores

    def _for_size(self, sample: Sample) -> SegmentConfig:
        """Zoom by the size of the annotated nuclei, as the training crops are."""
        config = self.config.segment
        if config.scale is not None or config.diameter is not None:
            return config
        zoom = suitable_zoom(typical_diameter(areas(sample.labels)), self.config.model.diameter)
        return config.model_copy(update={"scale": zoom})

    def write_preview(self, path: Path) -> None:
        """Write a PNG of the first image, or the middle of it, with the outlines that were found last."""
        if self._first is None:
            return
        sample, labels = self._first
        planes = normalize(sample.image, self.config.model.input.percentiles)
        middle = tuple(slice(start := max(0, (length - PREVIEW) // 2), start + PREVIEW) for length in labels.shape)
        path.parent.mkdir(exist_ok=True)
        write_overlay(path, planes[:, *middle], labels[middle])

    def _losses(self, network: PFFNet) -> dict[str, float]:
        """Losses of fixed crops; the random sampling inside is the same every time and leaves no trace."""
        augment = AugmentConfig(crop=self.config.data.augment.crop, horizontal_flip=0, vertical_flip=0)
        dataset = CropDataset(
            self.sources,
            DataConfig(augment=augment, cache=False),
            self.config.model.input.percentiles,
            0,
            LOSS_CROPS,
            self.config.model.diameter,
        )
        training = network.training
        network.train()
        sums: dict[str, list[float]] = {}
        with torch.no_grad(), torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(0)
            for i in range(LOSS_CROPS):
                losses = network(*to_device(collate([dataset[i]]), self.device))
                for name, value in losses.items():
                    sums.setdefault(f"val_{name}", []).append(float(value))
        network.train(training)
        return {name: float(np.mean(values)) for name, values in sums.items()}


def spread(items: list[tuple[Source, int]], count: int | None) -> list[tuple[Source, int]]:
    """Pick `count` items at even distances; all if there are no more."""
    if count is None or count >= len(items):
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
