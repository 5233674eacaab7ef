"""Features of image tiles, kept so that the network can look again at any place without running its body."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import torch

from napari_pffnet.model.pffnet import Features

MIB = 2**20
DEFAULT_LIMIT = 512 * MIB
Window = tuple[slice, slice]


@dataclass(frozen=True)
class TileFeatures:
    """Features of one tile.

    Attributes
    ----------
    window : (slice, slice)
        Rows and columns of the image.
    zoom : (float, float)
        Size of the network's input relative to the tile, along y and x.
    features : Features
        Of a batch of one; P2..P5.
    """

    window: Window
    zoom: tuple[float, float]
    features: Features

    @property
    def device(self) -> torch.device:
        """Where they are."""
        device: torch.device = self.features.images.tensors.device
        return device


class FeatureCache:
    """Keeps the features used last, within a bound of memory; older ones are forgotten. Threads may share it.

    Parameters
    ----------
    limit : int
        Bytes; one tile is kept even if it is larger.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, TileFeatures] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Memory in use, bytes."""
        with self._lock:
            return sum(each.features.nbytes for each in self._kept.values())

    def put(self, key: Hashable, features: TileFeatures) -> None:
        """Keep features; those not used for longest make room."""
        with self._lock:
            self._kept[key] = features
            self._kept.move_to_end(key)
            while self.nbytes > self.limit and len(self._kept) > 1:
                self._kept.popitem(last=False)

    def get(self, key: Hashable) -> TileFeatures | None:
        """Return features if they are still kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def clear(self) -> int:
        """Forget everything; return how many bytes that were."""
        with self._lock:
            freed = self.nbytes
            self._kept.clear()
        return freed
