"""How running out of memory shows, and giving memory back; cheap to import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: In small letters; the last three are what CUDA libraries say when no memory is left to work in.
SIGNS = (
    *("out of memory", "outofmemory", "memoryerror", "allocate memory", "not enough memory"),
    *("unable to find an engine", "valid cudnn algorithm", "status_alloc_failed"),
)


def nothing() -> int:
    """Free nothing."""
    return 0


@dataclass
class Allowed:
    """What memory has turned out to allow; all that segment with a model hold to it.

    Attributes
    ----------
    tile : int or None
        Largest side of a tile, pixels of the scaled image.
    tile_batch : int or None
        Most tiles at once.
    forget : callable
        Frees what is kept for later and can be computed again; returns how many bytes that were.
    """

    tile: int | None = None
    tile_batch: int | None = None
    forget: Callable[[], int] = nothing


def tells_of_memory(text: str) -> bool:
    """Whether a message says that memory ran out, on whatever device."""
    return any(sign in text.lower() for sign in SIGNS)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and tells_of_memory(str(error)))


def empty_cache(device: torch.device) -> None:
    """Give memory that torch keeps for later back to the device; another process may work there."""
    if device.type != "cpu":
        import torch

        getattr(torch, device.type).empty_cache()
