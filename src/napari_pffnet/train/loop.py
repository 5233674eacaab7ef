"""The training loop: `fit` yields events; what reads them draws, logs or plots."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_pffnet.config import TrainConfig, dump
from napari_pffnet.data.dataset import CropDataset, Loader, make_loader
from napari_pffnet.data.sources import Source
from napari_pffnet.distributed import Processes
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.library import save_model
from napari_pffnet.model import PFFNet
from napari_pffnet.train.events import Checkpoint, Event, Message, Step, Validation
from napari_pffnet.train.optim import pick_precision
from napari_pffnet.train.state import RESUME_FILE, TrainingError, TrainState, seed_all
from napari_pffnet.train.validation import Validator

SEED_STRIDE = 7919
Batch = tuple[list[Tensor], list[dict[str, Tensor]]]


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
) -> Iterator[Event]:
    """Train a network and report as it goes.

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

    Yields
    ------
    Event
        `Step`, `Validation`, `Checkpoint` or `Message`.

    Raises
    ------
    TrainingError
        A loss is not finite (the last good weights are kept), or the resume file does not fit.
    """
    dtype = pick_precision(config, device)
    state = TrainState.start(network.to(device).train(), config, device, dtype)
    if resume is not None:
        state.load(resume, config, device)
        yield Message(f"resumed {resume} at step {state.step}")
    if group.is_main:
        write_atomic(output / "config.yaml", dump(config).encode())
    model = group.wrap(network)
    validator = Validator(validation, config, device) if group.is_main else None
    with _loader(config, data, state.step, group) as loader:
        batches = iter(loader)
        while state.step < config.schedule.steps:
            started = time.perf_counter()
            seed_all(config.seed + SEED_STRIDE * (state.step * group.world + group.rank + 1))
            try:
                losses = train_step(model, state, batches, config, device, dtype, group)
            except TrainingError:
                if group.is_main:
                    yield from _save(state, config, output, None)
                raise
            rate = state.optimizer.param_groups[0]["lr"]
            crops = config.batch_size * config.optimizer.accumulate * group.world
            yield Step(state.step, config.schedule.steps, losses, rate, crops / (time.perf_counter() - started))
            if validator is not None:
                yield from _milestone(state, config, output, validator)
            group.wait() if _due(state.step, config.validate_every) else None


def train_step(
    model: nn.Module,
    state: TrainState,
    batches: Iterator[Batch],
    config: TrainConfig,
    device: torch.device,
    dtype: torch.dtype,
    group: Processes = Processes(),
) -> dict[str, float]:
    """Run one optimiser step over `accumulate` batches; return the mean of each loss.

    Raises
    ------
    TrainingError
        A loss is not finite; the weights are those of the step before.
    """
    parts = config.optimizer.accumulate
    sums: dict[str, Tensor] = {}
    for _ in range(parts):
        images, targets = _to_device(next(batches), device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            losses: dict[str, Tensor] = model(images, targets)
        state.scaler.scale(torch.stack(list(losses.values())).sum() / parts).backward()
        sums = {name: sums.get(name, 0) + value.detach() / parts for name, value in losses.items()}
    values = dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))
    _check_finite(values, state, group, device)
    _update(state, config)
    return values


def _update(state: TrainState, config: TrainConfig) -> None:
    if config.optimizer.clip_norm is not None:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), config.optimizer.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    state.schedule.step()
    state.step += 1
    if state.average is not None:
        state.average.update_parameters(state.network)


def _check_finite(values: dict[str, float], state: TrainState, group: Processes, device: torch.device) -> None:
    bad = [name for name, value in values.items() if not abs(value) < float("inf")]
    if not group.any(bool(bad), device):
        return
    state.optimizer.zero_grad(set_to_none=True)
    raise TrainingError(
        f"{', '.join(bad) or 'a loss of another process'} is not finite at step {state.step + 1}; the weights of step "
        f"{state.step} are kept. Lower optimizer.rate or set optimizer.clip_norm=10, then use --resume auto"
    )


def _milestone(state: TrainState, config: TrainConfig, output: Path, validator: Validator) -> Iterator[Event]:
    last = state.step == config.schedule.steps
    metrics = None
    if _due(state.step, config.validate_every) or last:
        metrics = validator(state.result)
        yield Validation(state.step, metrics)
    if metrics is not None or last or _due(state.step, config.checkpoint_every):
        yield from _save(state, config, output, metrics)


def _save(state: TrainState, config: TrainConfig, output: Path, metrics: dict[str, float] | None) -> Iterator[Event]:
    card = {"step": state.step, "recipe": config.model_dump(mode="json"), "validation": metrics or {}}
    save_model(output / "last.safetensors", state.result, card)
    value = (metrics or {}).get("mean_ap", float(state.step))
    best = metrics is not None and value > state.best
    if best:
        state.best = value
        save_model(output / "best.safetensors", state.result, card)
    state.save(output / RESUME_FILE, config)
    yield Checkpoint(state.step, output / ("best.safetensors" if best else "last.safetensors"), best)


def _loader(config: TrainConfig, data: Sequence[Source], step: int, group: Processes) -> Loader:
    per_step = config.batch_size * config.optimizer.accumulate * group.world
    dataset = CropDataset(
        data, config.data, config.model.input.percentiles, config.seed, config.schedule.steps * per_step
    )
    return make_loader(dataset, config.batch_size, config.data.workers, step * per_step, group.rank, group.world)


def _to_device(batch: Batch, device: torch.device) -> Batch:
    images, targets = batch
    return (
        [image.to(device, non_blocking=True) for image in images],
        [{name: value.to(device, non_blocking=True) for name, value in target.items()} for target in targets],
    )


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
