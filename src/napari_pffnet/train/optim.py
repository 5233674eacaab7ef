"""Optimiser, learning-rate schedule and precision from the configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from napari_pffnet.config import ConfigError, OptimizerConfig, ScheduleConfig, TrainConfig
from napari_pffnet.model import PFFNet
from napari_pffnet.model.precision import short_float


def build_optimizer(network: PFFNet, config: OptimizerConfig) -> Optimizer:
    """Return SGD or AdamW with separate rules for biases and for the body."""
    groups: list[dict[str, Any]] = [
        {
            "params": _parameters(network, body=body, bias=bias),
            "lr": config.rate * (config.body_rate_factor if body else 1.0) * (config.bias_rate_factor if bias else 1.0),
            "weight_decay": config.bias_weight_decay if bias else config.weight_decay,
        }
        for body in (False, True)
        for bias in (False, True)
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "adamw":
        return AdamW(groups, lr=config.rate)
    return torch.optim.SGD(groups, lr=config.rate, momentum=config.momentum)


def freeze(network: PFFNet, config: OptimizerConfig) -> None:
    """Take the frozen parts, and a body whose rate factor is 0, out of training.

    Raises
    ------
    ConfigError
        A frozen part is none of the network's.
    """
    parts = dict(network.named_children())
    unknown = [name for name in config.frozen if name not in parts]
    if unknown:
        raise ConfigError(f"optimizer.frozen: no part {', '.join(unknown)}; the parts are {', '.join(parts)}")
    for name in (*config.frozen, *(["body"] if config.body_rate_factor == 0 else [])):
        parts[name].requires_grad_(False)


def build_schedule(optimizer: Optimizer, config: ScheduleConfig) -> LambdaLR:
    """Return a scheduler to be stepped once per optimiser step."""
    return LambdaLR(optimizer, lambda step: rate_factor(step, config))


def rate_factor(step: int, config: ScheduleConfig) -> float:
    """Learning rate at a step (from 0) relative to the base rate: linear warm-up, then step or cosine."""
    if config.kind == "step":
        factor = config.gamma ** sum(step >= milestone for milestone in config.milestones)
    else:
        done = min(1.0, max(0.0, (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)))
        factor = config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * done))
    if step >= config.warmup_steps:
        return factor
    return factor * (config.warmup_factor + (1 - config.warmup_factor) * step / config.warmup_steps)


def pick_precision(config: TrainConfig, device: torch.device) -> torch.dtype:
    """Return the type of mixed precision; float32 is none."""
    if config.precision != "auto":
        dtype: torch.dtype = getattr(torch, config.precision)
        return dtype
    return short_float(device) if device.type == "cuda" else torch.float32


def _parameters(network: PFFNet, *, body: bool, bias: bool) -> list[nn.Parameter]:
    named: Iterable[tuple[str, nn.Parameter]] = network.named_parameters()
    return [
        p for name, p in named if p.requires_grad and name.startswith("body.") is body and name.endswith("bias") is bias
    ]
