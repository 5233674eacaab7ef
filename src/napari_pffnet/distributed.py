"""Several processes under ``torchrun``; with one process everything here does nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """This process among all: `rank` of `world`, and `local_rank` on its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and validates."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """Return this process's own GPU where CUDA is used without an index."""
        if device.type == "cuda" and device.index is None:
            return torch.device("cuda", self.local_rank)
        return device

    def wrap(self, network: nn.Module) -> nn.Module:
        """Average gradients over processes."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network)

    def apart(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within it a wrapped model's gradients add up in each process alone; the next ones outside are averaged."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    def wait(self) -> None:
        """Let every process reach this point."""
        if self.world > 1:
            dist.barrier()

    def share(self, value: T) -> T:
        """Return the main process's value in every process."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether `flag` is set in any process."""
        if self.world == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """Join the group that ``torchrun`` describes in the environment (NCCL on CUDA, else gloo); leave it at the end.

    The process's own GPU becomes the current one, so that nothing is kept on another.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    group = Processes()
    if world > 1:
        group = Processes(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(group.device(device))
    if world == 1:
        yield group
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield group
    finally:
        dist.destroy_process_group()
