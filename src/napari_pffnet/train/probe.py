"""A few real steps before training: how much memory a crop takes, which precision is faster, how long a step takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from napari_pffnet.config import TrainConfig
from napari_pffnet.data.dataset import Batch, CropDataset, collate, to_device
from napari_pffnet.data.sources import Source
from napari_pffnet.memory import is_out_of_memory
from napari_pffnet.model import PFFNet
from napari_pffnet.train.memory import let_go, memory_free
from napari_pffnet.train.optim import pick_precision
from napari_pffnet.train.state import TrainingError, seed_all

TIMED = 2
STATES = 6  # weights, gradients, two moments, average, one to spare
SPARE = 0.7
PEAK = 2.0  # what a step takes at most, relative to what it keeps for the way back
CROPS = (256, 192, 128)


def fit_memory(config: TrainConfig, network: PFFNet, data: Sequence[Source], device: torch.device) -> TrainConfig:
    """Return the recipe with the largest batch and crop, up to what it asks for, that fit into free memory.

    A smaller batch is done several times: a step has as many crops, or a few more where they do not divide evenly.

    Raises
    ------
    TrainingError
        Not even a batch of one small crop fits.
    """
    room = SPARE * memory_free(device) - STATES * sum(p.nbytes for p in network.parameters())
    while (kept := _kept(config, network, data, device)) is None:
        config = _smaller_crop(config)
    per_crop = PEAK * kept
    while per_crop * config.batch_size > room:
        config, before = smaller(config), config
        per_crop *= (config.data.augment.crop / before.data.augment.crop) ** 2
    return config


def smaller(config: TrainConfig) -> TrainConfig:
    """Return the recipe with half the batch (and twice as many), or with smaller crops if the batch is one.

    Raises
    ------
    TrainingError
        It is as small as it gets.
    """
    if config.batch_size > 1:
        batch = config.batch_size // 2
        parts = math.ceil(config.optimizer.accumulate * config.batch_size / batch)
        optimizer = config.optimizer.model_copy(update={"accumulate": parts})
        return config.model_copy(update={"batch_size": batch, "optimizer": optimizer})
    sizes = [crop for crop in CROPS if crop < config.data.augment.crop]
    if not sizes:
        raise TrainingError(
            f"memory does not suffice for a single crop of {config.data.augment.crop} pixels; close other programs, "
            "or train a smaller model"
        )
    augment = config.data.augment.model_copy(update={"crop": sizes[0]})
    return config.model_copy(update={"data": config.data.model_copy(update={"augment": augment})})


def _smaller_crop(config: TrainConfig) -> TrainConfig:
    side = config.data.augment.crop
    while config.data.augment.crop == side:
        config = smaller(config)
    return config


def measure(
    config: TrainConfig, network: PFFNet, data: Sequence[Source], device: torch.device
) -> tuple[TrainConfig, float]:
    """Return the recipe with the faster precision, if it leaves the choice, and the seconds of a step.

    The network's weights do not change.
    """
    network.to_device(device).train()
    choices = [config]
    if config.precision == "auto" and device.type == "cpu":
        choices = [config.model_copy(update={"precision": name}) for name in ("float32", "bfloat16")]
    crops = _crops(config, data, config.batch_size * (1 + TIMED))
    times = [_seconds(choice, network, crops, device) for choice in choices]
    best = min(range(len(times)), key=times.__getitem__)
    return choices[best], times[best] * config.optimizer.accumulate


def _seconds(config: TrainConfig, network: PFFNet, crops: CropDataset, device: torch.device) -> float:
    """Seconds of a batch, forward and back; the first of three does not count, nor does drawing it."""
    starts = range(0, len(crops), config.batch_size)
    batches = [collate([crops[start + i] for i in range(config.batch_size)]) for start in starts]
    times = []
    for batch in batches:
        started = time.perf_counter()
        _backward(config, network, batch, device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return sum(times[1:]) / TIMED


def _kept(config: TrainConfig, network: PFFNet, data: Sequence[Source], device: torch.device) -> int | None:
    """Bytes that a crop's forward pass keeps for the way back; None if what is free does not suffice."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network.to_device(device).train()
    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            _backward(config, network, collate([_crops(config, data, 1)[0]]), device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    else:
        own = {p.untyped_storage().data_ptr() for p in network.parameters()}
        return sum(size for place, size in sizes.items() if place not in own)
    let_go(network, device)
    return None


def _crops(config: TrainConfig, data: Sequence[Source], count: int) -> CropDataset:
    model = config.model
    return CropDataset(data, config.data, model.input.percentiles, config.seed, count, model.diameter)


def _backward(config: TrainConfig, network: PFFNet, batch: Batch, device: torch.device) -> None:
    seed_all(config.seed)
    dtype = pick_precision(config, device)
    images, targets = to_device(batch, device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        losses: Any = network(images, targets)
    torch.stack(list(losses.values())).sum().backward()
    network.zero_grad(set_to_none=True)
