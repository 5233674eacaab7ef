"""What is done where memory runs out while an image is segmented, one step after the other; each is a warning."""

from __future__ import annotations

import warnings

from napari_pffnet.config import SegmentConfig
from napari_pffnet.library import Model
from napari_pffnet.memory import empty_cache

SMALLEST_TILE = 256
FEWEST_REGIONS = 64


def held_to_memory(config: SegmentConfig, model: Model) -> SegmentConfig:
    """Return a configuration with tiles no larger than memory has turned out to allow."""
    tile = model.allowed.tile
    return config if tile is None or tile >= config.tile else config.model_copy(update={"tile": tile})


def forget(model: Model) -> bool:
    """Give up what is kept of images, if there is any; return whether there was."""
    if not model.allowed.forget():
        return False
    _tell("going on without the features kept of images")
    empty_cache(model.device)
    return True


def one_by_one(model: Model) -> None:
    """Look at one tile at a time from now on."""
    model.allowed.tile_batch = 1
    _tell("going on with one tile at a time")
    empty_cache(model.device)


def smaller_tiles(model: Model, tile: int) -> None:
    """Halve the tiles, of so many pixels, from now on."""
    model.allowed.tile = smaller = max(SMALLEST_TILE, tile // 2)
    _tell(f"going on with tiles of {smaller} pixels")
    empty_cache(model.device)


def less_for_a_tile(model: Model, tile: int) -> None:
    """Take the next step that leaves the tiles, of so many pixels, as they are.

    Raises
    ------
    MemoryError
        There is none left.
    """
    network, device = model.network, model.device
    if network.most_regions != FEWEST_REGIONS:
        network.most_regions = FEWEST_REGIONS
        _tell(f"going on with {FEWEST_REGIONS} proposals at once")
    elif device.type != "cpu":
        network.to("cpu")
        _tell("going on with the CPU", f" on {device} for a tile of {tile} pixels")
    else:
        raise MemoryError(f"not enough memory for a tile of {tile} pixels; close other programs")
    empty_cache(device)


def _tell(step: str, where: str = "") -> None:
    warnings.warn(f"not enough memory{where}: {step}", stacklevel=4)
