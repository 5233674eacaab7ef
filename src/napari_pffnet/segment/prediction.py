"""What the network found in an image, kept so that thresholds can change without running it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from napari_pffnet.config import SegmentConfig
from napari_pffnet.labels import areas, centroids, compose, share_inside
from napari_pffnet.typing import Array


class Segmentation(NamedTuple):
    """Labels of one image.

    `labels` int32 H×W, 0 is background; `semantic` uint8 H×W, 0 background, 1 nucleus; `table` one row per nucleus,
    best first: `index` (label id), `y`, `x` (centre, pixels), `area` (pixels), and, in [0, 1], `score` (class
    probability), `quality` (predicted fit of the mask), `mask_score` (their product), `overlap` (fraction of its mask
    that better nuclei took).
    """

    labels: Array
    semantic: Array
    table: pd.DataFrame

    def within(self, inside: Array | None) -> Segmentation:
        """Leave out nuclei of which more than half lies outside a mask (bool H×W); ids stay. None leaves all."""
        if inside is None:
            return self
        keep = share_inside(self.labels, inside) >= 0.5
        keep[0] = False
        table = self.table[keep[self.table["index"]]].reset_index(drop=True)
        labels = np.where(keep[self.labels], self.labels, 0)
        return Segmentation(labels, self.semantic * inside, table)


@dataclass(frozen=True)
class Prediction:
    """Detections and semantic map of one image, in its pixels.

    Attributes
    ----------
    boxes : ndarray
        float32 N×4, xyxy.
    scores, quality : ndarray
        float32 N in [0, 1]: class probability, predicted mask quality.
    masks : ndarray
        float16 N×28×28, probabilities inside each box.
    semantic : ndarray
        float16 H×W, probability of nucleus by the semantic branch.
    config : SegmentConfig
        With which it was made; `compose` takes its thresholds if no others are given.
    bounds : (float, float), optional
        Intensities of the image that the network saw as 0 and 1.
    """

    boxes: Array
    scores: Array
    quality: Array
    masks: Array
    semantic: Array
    config: SegmentConfig = SegmentConfig()
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def mask_scores(self) -> Array:
        """Class probability × quality, float32 N; what detections are ordered and thresholded by."""
        return np.asarray(self.scores * self.quality)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.semantic.shape[0], self.semantic.shape[1]

    def compose(self, config: SegmentConfig | None = None) -> Segmentation:
        """Apply the thresholds of a configuration, its own one by default; the network is not run."""
        config = config or self.config
        labels, kept, overlaps = compose(self.boxes, self.masks, self.mask_scores, self.shape, config)
        centres = centroids(labels)
        table = pd.DataFrame(
            {
                "index": np.arange(1, len(kept) + 1),
                "y": centres[:, 0],
                "x": centres[:, 1],
                "area": areas(labels),
                "score": self.scores[kept],
                "quality": self.quality[kept],
                "mask_score": self.mask_scores[kept],
                "overlap": overlaps,
            }
        )
        return Segmentation(labels, (self.semantic >= 0.5).astype(np.uint8), table)
