"""The training loop: `fit` yields events; what reads them draws, logs or plots."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_pffnet.config import TrainConfig, dump
from napari_pffnet.data.dataset import Batch, CropDataset, make_batches, to_device
from napari_pffnet.data.sources import Source
from napari_pffnet.distributed import Processes
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.library import save_model
from napari_pffnet.model import PFFNet
from napari_pffnet.train.control import LAST, LOOK_EVERY, RESULT, RESUME_FILE, asked
from napari_pffnet.train.divergence import Watch
from napari_pffnet.train.events import Checkpoint, Event, Message, Preview, Step, Validation
from napari_pffnet.train.memory import memory_used
from napari_pffnet.train.optim import pick_precision
from napari_pffnet.train.state import DivergedError, TrainState, seed_all
from napari_pffnet.train.validation import Validator

SEED_STRIDE = 7919
SETBACKS = 3
SKIPPED = 10
PREVIEWS = "previews"


def fit(
    config: TrainConfig,
    network: PFFNet,
    data: Sequence[Source],
    validation: Sequence[Source],
    output: Path,
    *,
    device: torch.device,
    group: Processes = Processes(),
    resume: Path | None = None,
    tuning: bool = False,
) -> Iterator[Event]:
    """Train a network and report as it goes.

    A file ``pause`` in the output folder makes it wait, a file ``stop`` makes it validate, save and end. When the
    losses grow without bounds it goes back to the last saved state and on with half the learning rate.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    network : PFFNet
        With its first weights.
    data, validation : sequence of Source
        Annotated images; without validation images the last model is the result.
    output : Path
        Folder for ``best.safetensors``, ``last.safetensors``, ``resume.pt`` and ``config.yaml``.
    device : torch.device
        Where to train.
    group : Processes
        This process among those of a distributed run.
    resume : Path, optional
        Resume file to go on from.
    tuning : bool
        Whether a trained model is fine-tuned: then the state before the first step is saved, and too many worse
        validations end it (`finetune.patience`).

    Yields
    ------
    Event
        `Step`, `Validation`, `Checkpoint`, `Preview` or `Message`.

    Raises
    ------
    TrainingError
        A loss is not finite (the last good weights are kept), or the resume file does not fit.
    """
    if config.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    dtype = pick_precision(config, device)
    state = TrainState.start(network.to_device(device).train(), config, device, dtype)
    if resume is not None:
        state.load(resume, config)
        yield Message(f"resumed {resume} at step {state.step}")
    if group.is_main:
        write_atomic(output / "config.yaml", dump(config).encode())
        if tuning and resume is None:
            state.save(output / RESUME_FILE, config)
    model = group.wrap(network)
    validator = Validator(validation, config, device) if group.is_main else None
    run = _Run(config, state, model, data, output, device, dtype, group, validator, tuning)
    while True:
        try:
            yield from run.steps()
            return
        except DivergedError as error:
            yield from run.back(error)


@dataclass
class _Run:
    """What the steps of a run share."""

    config: TrainConfig
    state: TrainState
    model: nn.Module
    data: Sequence[Source]
    output: Path
    device: torch.device
    dtype: torch.dtype
    group: Processes
    validator: Validator | None
    tuning: bool

    def steps(self) -> Iterator[Event]:
        """Train to the end, to a request to stop, or until there is nothing more to gain."""
        config, state, group = self.config, self.state, self.group
        watch = Watch()
        with closing(_batches(config, self.data, state, group, self.device)) as batches:
            while state.step < config.schedule.steps:
                started = time.perf_counter()
                seed_all(config.seed + SEED_STRIDE * (state.step * group.world + group.rank + 1))
                losses = train_step(self.model, state, batches, config, self.device, self.dtype, group, watch)
                rate = state.optimizer.param_groups[0]["lr"]
                crops = config.batch_size * config.optimizer.accumulate * group.world
                speed = crops / (time.perf_counter() - started)
                yield Step(state.step, config.schedule.steps, losses, rate, speed, memory_used(self.device))
                last = state.step == config.schedule.steps
                while (wish := group.share(asked(self.output))) == "pause" and not last:  # all wait, none for another
                    time.sleep(LOOK_EVERY)
                stop = wish == "stop"
                worse = False
                if self.validator is not None:
                    yield from _milestone(state, config, self.output, self.validator, stop)
                    worse = self.tuning and 0 < config.finetune.patience <= state.worse
                if _due(state.step, config.validate_every):
                    group.wait()
                if stop or group.any(worse, self.device):
                    yield Message(
                        f"stopped at step {state.step} as asked"
                        if stop
                        else f"ended at step {state.step}: {state.worse} validations were clearly worse than the best"
                    )
                    return

    def back(self, error: DivergedError) -> Iterator[Event]:
        """Go back to the last saved state, at half the rate.

        Raises
        ------
        TrainingError
            There is no saved state, or this has happened too often.
        """
        file = self.output / RESUME_FILE
        setbacks = self.state.setbacks + 1
        self.group.wait()
        there = self.group.share(file.is_file())  # the main process may be about to write it
        if setbacks > SETBACKS or not there:
            if self.group.is_main and not there:
                yield from _save(self.state, self.config, self.output, None)
            raise error
        step = self.state.step
        self.state.load(file, self.config)
        self.state.slow_down(setbacks)
        yield Message(
            f"training went wrong at step {step + 1} ({error.fault}): back to step {self.state.step}, at half the rate"
        )


def train_step(
    model: nn.Module,
    state: TrainState,
    batches: Iterator[Batch],
    config: TrainConfig,
    device: torch.device,
    dtype: torch.dtype,
    group: Processes,
    watch: Watch,
) -> dict[str, float]:
    """Run one optimiser step over `accumulate` batches; return the mean of each loss.

    Raises
    ------
    DivergedError
        A loss or gradient is not finite (in float16: gradients of the last 10 steps), or losses have grown many times
        over; the weights are those of the step before.
    """
    parts = config.optimizer.accumulate
    sums: dict[str, Tensor] = {}
    for part in range(1, parts + 1):
        images, targets = to_device(next(batches), device)
        with group.apart(model) if part < parts else nullcontext():
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                losses: dict[str, Tensor] = model(images, targets)
            weighted = [config.loss_weights.get(name, 1.0) * value for name, value in losses.items()]
            state.scaler.scale(torch.stack(weighted).sum() / parts).backward()
        sums = {name: sums.get(name, 0) + value.detach() / parts for name, value in losses.items()}
    unscaled = not state.scaler.is_enabled()  # otherwise the scaler looks for gradients that are not finite
    norm = _clip(state, config) if unscaled else torch.zeros((), device=device)
    *means, length = torch.stack([*sums.values(), norm]).tolist()
    values = dict(zip(sums, means, strict=True))
    fault = watch.fault(values) or ("" if math.isfinite(length) else "a gradient is not finite")
    if state.skipped >= SKIPPED:
        fault = fault or f"gradients were not finite in {state.skipped} steps in a row"
    _check(fault, state, group, device)
    if not unscaled:
        _clip(state, config)
    _update(state)
    return values


def _clip(state: TrainState, config: TrainConfig) -> Tensor:
    """Limit the length of the gradient; return what it was. Once a step: the scaler of float16 allows no more."""
    state.scaler.unscale_(state.optimizer)
    gradients = [each.grad for each in state.network.parameters() if each.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if config.optimizer.clip_norm is not None:
        nn.utils.clip_grads_with_norm_(state.network.parameters(), config.optimizer.clip_norm, norm)
    return norm


def _update(state: TrainState) -> None:
    """Change the weights; where the scaler of float16 skips that, the step counts for the batches alone."""
    scale = state.scaler.get_scale()
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    state.skipped = state.skipped + 1 if state.scaler.get_scale() < scale else 0
    if state.skipped:
        return
    state.schedule.step()
    if state.average is not None:
        state.average.update_parameters(state.network)


def _check(fault: str, state: TrainState, group: Processes, device: torch.device) -> None:
    if not group.any(bool(fault), device):
        return
    state.optimizer.zero_grad(set_to_none=True)
    raise DivergedError(fault or "a loss of another process is not finite", state.step)


def _milestone(
    state: TrainState, config: TrainConfig, output: Path, validator: Validator, stop: bool
) -> Iterator[Event]:
    last = stop or state.step == config.schedule.steps
    metrics = None
    if _due(state.step, config.validate_every) or last:
        metrics = validator(state.result)
        yield Validation(state.step, metrics)
        if metrics:
            picture = output / PREVIEWS / f"step_{state.step:06}.png"
            validator.write_preview(picture)
            yield Preview(state.step, picture)
    if metrics is not None or last or _due(state.step, config.checkpoint_every):
        yield from _save(state, config, output, metrics, validator.noise)


def _save(
    state: TrainState, config: TrainConfig, output: Path, metrics: dict[str, float] | None, noise: float = 0.0
) -> Iterator[Event]:
    card = {"step": state.step, "recipe": config.model_dump(mode="json"), "validation": metrics or {}}
    save_model(output / LAST, state.result, card)
    value = (metrics or {}).get("mean_ap", float(state.step))
    best = metrics is not None and value > state.best
    state.worse = 0 if best else state.worse + (metrics is not None and value < state.best - noise)
    if best:
        state.best = value
        save_model(output / RESULT, state.result, card)
    state.save(output / RESUME_FILE, config)
    yield Checkpoint(state.step, output / (RESULT if best else LAST), best)


def _batches(
    config: TrainConfig, data: Sequence[Source], state: TrainState, group: Processes, device: torch.device
) -> Generator[Batch]:
    per_step = config.batch_size * config.optimizer.accumulate * group.world
    dataset = CropDataset(
        data,
        config.data,
        config.model.input.percentiles,
        config.seed + state.setbacks,
        config.schedule.steps * per_step,
        config.model.diameter,
    )
    return make_batches(
        dataset,
        config.batch_size,
        config.data.workers,
        state.step * per_step,
        group.rank,
        group.world,
        pin=device.type == "cuda",
    )


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
