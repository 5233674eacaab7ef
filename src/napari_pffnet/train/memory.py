"""Memory of a run: what it uses, what there is, and giving it back."""

from __future__ import annotations

import psutil
import torch
from torch import nn

from napari_pffnet.memory import empty_cache


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


def let_go(network: nn.Module, device: torch.device) -> None:
    """Give back what a step that ran out of memory has left: gradients, and memory that torch keeps for later.

    It is of use only outside the error's handler, for the error's traceback holds the tensors of the step.
    """
    network.zero_grad(set_to_none=True)
    empty_cache(device)
