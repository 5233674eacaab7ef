"""From a label image to what the network trains on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_pffnet.labels import renumber

Target = dict[str, Tensor]


def to_target(labels: NDArray[Any], semantic: NDArray[np.uint8] | None = None) -> Target:
    """Describe the nuclei of one image.

    Parameters
    ----------
    labels : ndarray
        Integer H×W, 0 background, ids ≥ 1 with or without gaps.
    semantic : ndarray, optional
        uint8 H×W: 0 background, 1 nucleus, or 255 (counts in no loss). Made of `labels` if absent.

    Returns
    -------
    dict of Tensor
        `boxes` float32 N×4 xyxy in pixels, half-open; `labels` int64 N; `instances` int32 H×W where row i has id i + 1;
        `semantic` uint8 H×W. N may be 0.
    """
    instances, ids = renumber(labels)
    if semantic is None:
        semantic = (instances > 0).astype(np.uint8)
    return {
        "boxes": torch.from_numpy(_boxes(instances)),
        "labels": torch.ones(len(ids), dtype=torch.int64),
        "instances": torch.from_numpy(instances),
        "semantic": torch.from_numpy(semantic.copy()),
    }


def _boxes(instances: NDArray[np.int32]) -> NDArray[np.float32]:
    places = ndimage.find_objects(instances) if instances.size else []
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in places], np.float32).reshape(-1, 4)
