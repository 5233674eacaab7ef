"""Everything that a resumed run needs, in one object and one file."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_pffnet.config import ModelConfig, OptimizerConfig, TrainConfig
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.model import PFFNet
from napari_pffnet.train.control import RESUME_FILE
from napari_pffnet.train.optim import build_optimizer, build_schedule, freeze


class TrainingError(RuntimeError):
    """Training cannot go on or start; the message names the fix."""


class DivergedError(TrainingError):
    """The losses have grown without bounds; the weights are those of the step before.

    Parameters
    ----------
    fault : str
        What is wrong with them.
    step : int
        The last good step.
    """

    def __init__(self, fault: str, step: int) -> None:
        super().__init__(
            f"{fault} at step {step + 1}; the weights of step {step} are kept. Lower optimizer.rate or set "
            "optimizer.clip_norm=10, then use --resume auto"
        )
        self.fault = fault


@dataclass
class TrainState:
    """Weights, average, optimiser, schedule, scaler, step and best value of a run.

    `worse` counts validations since the best one that were clearly worse, `setbacks` how often the run went back,
    `skipped` the last steps whose gradients were too large for float16.
    """

    network: PFFNet
    average: AveragedModel | None
    optimizer: Optimizer
    schedule: LambdaLR
    scaler: torch.amp.GradScaler
    step: int = 0
    best: float = float("-inf")
    worse: int = 0
    setbacks: int = 0
    skipped: int = 0

    @classmethod
    def start(cls, network: PFFNet, config: TrainConfig, device: torch.device, dtype: torch.dtype) -> TrainState:
        """Set up a run from step 0."""
        freeze(network, config.optimizer)
        optimizer = build_optimizer(network, config.optimizer)
        decay = config.optimizer.ema
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None
        scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        schedule = build_schedule(optimizer, config.schedule)
        return cls(network, average, optimizer, schedule, scaler)

    @property
    def result(self) -> PFFNet:
        """The network that is validated and saved: the weight average where there is one."""
        if self.average is None:
            return self.network
        return cast(PFFNet, self.average.module)

    def slow_down(self, setbacks: int) -> None:
        """Halve the rate for each setback."""
        factor = 0.5 ** (setbacks - self.setbacks)
        self.schedule.base_lrs = [rate * factor for rate in self.schedule.base_lrs]
        for group in self.optimizer.param_groups:
            group["lr"] *= factor
        self.setbacks = setbacks

    def save(self, path: Path, config: TrainConfig) -> None:
        """Write the resume file atomically."""
        buffer = io.BytesIO()  # torch tells a full disk by other errors
        torch.save({**self._parts(), "config": config.model_dump(mode="json")}, buffer)
        write_atomic(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))

    def load(self, path: Path, config: TrainConfig) -> None:
        """Take over everything from a resume file; what belongs on the network's device goes there.

        Raises
        ------
        TrainingError
            The file is unreadable or belongs to another model configuration.
        """
        try:
            # to main memory: on a GPU, reading Adam's step counts would make every step wait for it
            saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise TrainingError(f"cannot resume from {path} ({error}); start again without --resume") from None
        if not isinstance(saved, dict) or "config" not in saved:
            raise TrainingError(f"{path} is no resume file; give the {RESUME_FILE} of an earlier run")
        if ModelConfig.model_validate(saved["config"]["model"]) != config.model:
            raise TrainingError(f"{path} was made with another model configuration; use its recipe or another --output")
        before = OptimizerConfig.model_validate(saved["config"]["optimizer"])
        if _what_is_trained(before) != _what_is_trained(config.optimizer):
            raise TrainingError(
                f"{path} was made with another optimizer.name, optimizer.frozen or body that is not trained; "
                "use its recipe or another --output"
            )
        self.network.load_state_dict(saved["network"])
        if self.average is not None and saved["average"] is not None:
            self.average.load_state_dict(saved["average"])
        self.slow_down(saved.get("setbacks", 0))
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict({**self.schedule.state_dict(), **saved["schedule"]})
        if saved["scaler"]:  # empty from a run of another precision
            self.scaler.load_state_dict(saved["scaler"])
        self.step, self.best = saved["step"], saved["best"]
        self.worse = saved.get("worse", saved.get("stale", 0))  # so named in earlier files
        self.skipped = 0

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch, "_step_count": self.schedule._step_count},
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "best": self.best,
            "worse": self.worse,
            "setbacks": self.setbacks,
        }


def _what_is_trained(config: OptimizerConfig) -> tuple[str, frozenset[str], bool]:
    """What the optimiser's state is shaped by."""
    return config.name, frozenset(config.frozen), config.body_rate_factor == 0


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch on every device.

    The loop seeds every step from the recipe's seed and the step's number, so no random state needs to be saved.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
