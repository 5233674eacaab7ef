"""Memory of a run: what it uses, what there is, and what to train with so that it fits."""

from __future__ import annotations

import psutil
import torch


def memory_used(device: torch.device) -> int:
    """Return the bytes that this process holds: on a CUDA device there, else in main memory."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


def memory_free(device: torch.device) -> int:
    """Return the bytes that are free: on a CUDA device there, else in main memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
