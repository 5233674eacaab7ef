"""How running out of memory shows, and giving memory back; cheap to import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: In small letters.
SIGNS = (
    "out of memory",
    "outofmemory",
    "memoryerror",
    "allocate memory",
    "not enough memory",
    "status_alloc_failed",
    "winerror 1455",  # Windows' paging file is too small
)
#: What cuDNN says when no memory is left to work in, and of convolutions that it cannot do.
VAGUE_SIGNS = ("unable to find an engine", "valid cudnn algorithm")
LITTLE = 0.1


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
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    text = str(error).lower()
    return tells_of_memory(text) or (any(sign in text for sign in VAGUE_SIGNS) and _little_is_free())


def _little_is_free() -> bool:
    """Whether a CUDA device that this process uses has less than a tenth of its memory to spare."""
    from torch import cuda

    for device in (i for i in range(cuda.device_count()) if cuda.memory_reserved(i)):
        free, total = cuda.mem_get_info(device)
        if free + cuda.memory_reserved(device) - cuda.memory_allocated(device) < LITTLE * total:
            return True
    return False


def empty_cache(device: torch.device) -> None:
    """Give memory that torch keeps for later back to the device; another process may work there."""
    if device.type != "cpu":
        import torch

        getattr(torch, device.type).empty_cache()
