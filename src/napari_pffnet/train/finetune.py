"""Fine-tuning: a model, a project's images, and a better model; what the button in the panel runs too."""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from napari_pffnet.config import FIXED, ConfigError, ModelConfig, TrainConfig, apply_overrides, parse
from napari_pffnet.data.sources import Source, names_of
from napari_pffnet.distributed import Processes
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library import Model, load_model, save_model, seen_by
from napari_pffnet.memory import is_out_of_memory
from napari_pffnet.model import PFFNet
from napari_pffnet.train.blend import blend
from napari_pffnet.train.compare import compare
from napari_pffnet.train.control import EFFORTS, LAST, RESULT, RESUME_FILE, Effort
from napari_pffnet.train.events import Checkpoint, Comparison, Event, Message, Plan, Validation
from napari_pffnet.train.gate import lines
from napari_pffnet.train.loop import fit
from napari_pffnet.train.material import TrainingMaterial, known_to, prints
from napari_pffnet.train.memory import let_go
from napari_pffnet.train.probe import fit_memory, measure, smaller
from napari_pffnet.train.replay import MOST, Crops, ReplaySource, collect, merge, read_replay, sample_crops, to_tensors
from napari_pffnet.train.state import DivergedError
from napari_pffnet.train.validation import Validator

VALIDATIONS = 8
WORKERS = 4
USUAL_IMAGES = 5
TRAINED = "trained.safetensors"
BASE = "base"


def recipe(model: ModelConfig, effort: Effort, images: int, overrides: Sequence[str] = ()) -> TrainConfig:
    """Return the recipe for so many images; overrides win.

    Raises
    ------
    ConfigError
        An override is unknown or impossible, or of what the base model and the material determine.
    """
    fixed = [item for item in overrides if item.split("=")[0] in FIXED]
    steps = round(EFFORTS[effort] * min(4.0, max(0.5, math.sqrt(images / USUAL_IMAGES))))
    every = max(1, steps // VALIDATIONS)
    values: dict[str, Any] = {
        "model": model.model_dump(mode="json"),
        "data": {
            "augment": {
                "crop": 256,
                "scale": [0.75, 1.35],
                "quarter_turns": True,
                "intensity": 0.2,
                "gamma": 0.4,
                "blur": 0.7,
                "noise": 0.02,
                "stain": 0.15,
            }
        },
        "optimizer": {
            "name": "adamw",
            "rate": 3e-4,
            "weight_decay": 0.01,
            "bias_rate_factor": 1.0,
            "body_rate_factor": 0.5,
            "clip_norm": 5.0,
            "ema": 0.97,
        },
        "schedule": {
            "steps": steps,
            "warmup_steps": min(20, steps // 5),
            "warmup_factor": 0.05,
            "kind": "cosine",
            "final_factor": 0.05,
        },
        "batch_size": 4,
        "validate_every": every,
        "validation_images": 8,
        "checkpoint_every": every,
    }
    config = parse(TrainConfig, apply_overrides(values, list(overrides)), "settings")
    if fixed or config.model != model:
        raise ConfigError(
            f"settings: {fixed[0] if fixed else 'model.…'} cannot be set when a model is fine-tuned: the base model "
            "keeps its form; leave it out, or train from scratch with --data and --config"
        )
    return config


def finetune(
    config: TrainConfig,
    base: Model,
    material: TrainingMaterial,
    output: Path,
    *,
    device: torch.device,
    replay: Source | None = None,
    group: Processes = Processes(),
    resume: Path | None = None,
) -> Iterator[Event]:
    """Fine-tune the full network and report as it goes; the result is ``OUTPUT/best.safetensors``.

    Memory that runs out leads to smaller batches or crops. At the end the weights are blended with the base model's.

    Parameters
    ----------
    config : TrainConfig
        As from `recipe`.
    base : Model
        Where it starts; it is not changed.
    material : TrainingMaterial
        Images to learn from and to check on.
    output : Path
        Folder of the run.
    device : torch.device
        Where to train.
    replay : Source, optional
        Images of what the base model has learnt from, mixed in so that it is not forgotten. By default the crops in its
        file; if it has none, crops of the sample images of the package.
    group : Processes
        This process among those of a distributed run.
    resume : Path, optional
        Resume file to go on from.

    Yields
    ------
    Event
        `Plan` first, then those of `fit`, `Comparison` last.

    Raises
    ------
    TrainingError
        The losses grow without bounds again and again, or memory does not suffice for the smallest setting.
    """
    network, config = copy.deepcopy(base.network), _with_choice(config, material)
    data: list[Source] = [material.train]
    origin = {"name": base.path.stem, "sha256": fingerprint(base.path)}
    crops = read_replay(base.path)
    crops = crops if crops["learn"] else sample_crops(config.model.input.percentiles)
    crops = _on_their_side(crops, material)
    replay = ReplaySource(crops["learn"]) if replay is None else replay
    if config.finetune.replay and len(replay):
        data.append(replay)
        weights = (1 - config.finetune.replay, config.finetune.replay)
        config = config.model_copy(update={"data": config.data.model_copy(update={"weights": weights})})
    config = _with_workers(config, device)
    config, seconds = group.share(_fitted(config, network, data, device) if group.is_main else (config, 0.0))
    if group.is_main:
        yield _plan(config, material, seconds)
        if known := known_to(base, material):
            yield Message(f"the base model has learnt from {', '.join(known)}: the comparison flatters it there")
        if resume is None:
            _keep_base(base.path, output)
            yield Validation(0, Validator([material.held_out], config, device)(network.to_device(device)))
    while True:
        try:
            yield from fit(
                config, network, data, [material.held_out], output,
                device=device, group=group, resume=resume, tuning=True,
            )  # fmt: skip
            break
        except DivergedError as error:
            if not _has_trained(output):
                raise
            yield Message(f"{error}; the best model so far is taken")
            break
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or group.world > 1:
                raise
        let_go(network, device)
        config = smaller(config)
        resume = output / RESUME_FILE if (output / RESUME_FILE).is_file() else resume
        yield Message(f"memory ran out: going on with {_setting(config)}")
    if group.is_main:
        yield from _finish(config, base, origin, material, output, device, crops)


def _with_workers(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Let other processes draw the crops of a GPU, which would wait for them, unless the settings say how many.

    One where processes are not forked: each gets a copy of all images that are kept. None on Windows, where it would
    also reserve the memory of CUDA's libraries once more.
    """
    if device.type != "cuda" or "workers" in config.data.model_fields_set:
        return config
    most = 0 if sys.platform == "win32" else WORKERS if multiprocessing.get_start_method() == "fork" else 1
    workers = min(most, _cpus() - 1)
    return config.model_copy(update={"data": config.data.model_copy(update={"workers": workers})})


def _cpus() -> int:
    """Return how many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fitted(
    config: TrainConfig, network: PFFNet, data: Sequence[Source], device: torch.device
) -> tuple[TrainConfig, float]:
    """Return the recipe that fits into memory, and the seconds of a step."""
    config = fit_memory(config, network, data, device)
    while True:
        try:
            return measure(config, network, data, device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        let_go(network, device)
        config = smaller(config)


def _finish(
    config: TrainConfig,
    base: Model,
    origin: Mapping[str, str],
    material: TrainingMaterial,
    output: Path,
    device: torch.device,
    crops: Mapping[str, Crops],
) -> Iterator[Event]:
    """Blend the trained weights with the base model's, compare the two models and write the result."""
    start = base.network.to_device(device).eval()
    trained = _best(output, device, Validator([material.held_out], config, device))
    result = blend(start, trained.network, config.finetune.blend).eval()
    old, new = (Model(network, base.config, {}, base.path) for network in (start, result))
    images = names_of(material.train)
    gate = compare(
        old, new, material.held_out, config.segment, output, ReplaySource(crops["check"]), known_to(base, material)
    )
    before = seen_by(base.card)
    card = {
        **trained.card,
        "validation": gate.pooled.new if gate.pooled else {},
        "parent": dict(origin),
        "date": time.strftime("%Y-%m-%d"),
        "data": {
            "images": images,
            "learnt": sorted({*before.learnt, *images}),
            "nuclei": material.nuclei,
            "held_out": list(material.names),
            "prints": prints(before, material),
        },
        "blend": {"part": config.finetune.blend},
        "gate": {"old": gate.pooled.old, "new": gate.pooled.new} if gate.pooled else {},
    }
    save_model(output / RESULT, result, card, extras=to_tensors(_replay_set(config, material, crops)))
    yield Checkpoint(int(trained.card.get("step", 0)), output / RESULT, best=True)
    yield Comparison(gate.headline(), tuple(lines(gate)))


def _best(output: Path, device: torch.device, validator: Validator) -> Model:
    """Return the last model, or the best one if it is better by more than chance.

    On few nuclei the best figure is mostly a lucky one; the weights of longer training are better then. The trained
    weights move out of the result's way first.
    """
    if _has_trained(output):
        (output / RESULT).replace(output / TRAINED)
    last = load_model(output / LAST, device)
    if not (output / TRAINED).is_file():
        return last
    best = load_model(output / TRAINED, device)
    figures = [model.card.get("validation", {}).get("mean_ap", 0.0) for model in (best, last)]
    return best if figures[0] - figures[1] > validator.noise else last


def _has_trained(output: Path) -> bool:
    """Whether the result's file holds trained weights, not yet the result of an earlier end of this run."""
    return (output / RESULT).is_file() and "blend" not in load_model(output / RESULT).card


def _keep_base(file: Path, output: Path) -> None:
    """Copy the base model to the run's folder: resuming needs it, whatever becomes of the library's."""
    (output / BASE).mkdir(exist_ok=True)
    write_atomic(output / BASE / file.name, file.read_bytes())


def _on_their_side(crops: Mapping[str, Crops], material: TrainingMaterial) -> dict[str, Crops]:
    """Leave out crops of images that are held out now, and crops to check on of images to learn from.

    What is held out is compared as a whole. Told by name alone: rather a crop less than one that is judged by what was
    learnt.
    """
    other = {"learn": {*material.names}, "check": {*material.names, *names_of(material.train)}}
    return {use: [crop for crop in each if crop.name not in other[use]] for use, each in crops.items()}


def _with_choice(config: TrainConfig, material: TrainingMaterial) -> TrainConfig:
    """Note the images in the configuration: a run that is resumed has the same, whatever is done meanwhile."""
    train, held = names_of(material.train), names_of(material.held_out)
    parts = set(train) & set(held)  # of a single image a part is held out
    choice = {"images": tuple(train if parts else [*train, *held]), "held_out": tuple([] if parts else held)}
    return config.model_copy(update={"finetune": config.finetune.model_copy(update=choice)})


def _replay_set(config: TrainConfig, material: TrainingMaterial, crops: Mapping[str, Crops]) -> dict[str, Crops]:
    """Crops of this run's images, with some of those that the base model had."""
    sources = {"learn": material.train, "check": material.held_out}
    percentiles = config.model.input.percentiles
    new = {use: collect(source, MOST[use], percentiles, config.seed) for use, source in sources.items()}
    return {use: merge(crops[use], new[use], MOST[use]) for use in MOST}


def _plan(config: TrainConfig, material: TrainingMaterial, seconds: float) -> Plan:
    return Plan(
        len(material.train),
        material.nuclei,
        material.names,
        config.schedule.steps,
        seconds,
        config.batch_size,
        config.data.augment.crop,
        config.precision,
    )


def _setting(config: TrainConfig) -> str:
    return f"a batch of {config.batch_size} and crops of {config.data.augment.crop} pixels"
