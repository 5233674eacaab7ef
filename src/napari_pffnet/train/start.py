"""What happens before the first step: output folder, resume file, first weights."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from napari_pffnet.config import BodyConfig, TrainConfig
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.process import alive, is_here, machine, started
from napari_pffnet.library import LibraryError, load_model
from napari_pffnet.model import PFFNet
from napari_pffnet.train.child import PROCESS_FILE, register, watched
from napari_pffnet.train.control import PAUSE_FILE, RESUME_FILE, STOP_FILE
from napari_pffnet.train.gate import GATE_FILE
from napari_pffnet.train.state import TrainingError, seed_all


def find_resume(choice: str | None, output: Path) -> Path | None:
    """Return the resume file of ``--resume``; None starts from step 0."""
    if choice is None:
        return None
    path = output / RESUME_FILE if choice == "auto" else Path(choice)
    if path.is_file():
        return path
    if choice == "auto":
        return None
    raise TrainingError(f"no resume file {path}; give the {RESUME_FILE} of an earlier run, or --resume auto")


def prepare(output: Path, resume: Path | None, arguments: Sequence[str]) -> None:
    """Make the output folder, and note that this process, started with these arguments, trains there.

    Writes neither over an earlier run, nor into one that goes on.

    Raises
    ------
    FileExistsError
        The folder holds a run and this one does not resume it, or a process of this machine trains there.
    """
    if resume is None and any((output / name).exists() for name in (RESUME_FILE, GATE_FILE)):
        raise FileExistsError(
            f"{output} holds an earlier run; add --resume auto to go on with it if it has not ended, or choose another "
            "--output"
        )
    output.mkdir(parents=True, exist_ok=True)
    _claim(output)
    if not watched(output):  # else they were taken away before this run was started, and may be meant for it
        for file in (STOP_FILE, PAUSE_FILE):
            (output / file).unlink(missing_ok=True)
        register(output, arguments)


def _claim(output: Path) -> None:
    """Note that this process trains in a folder, unless another one of this machine does."""
    file = output / PROCESS_FILE
    try:
        holder = json.loads(file.read_text(encoding="utf-8"))
        pid, since, there = int(holder["pid"]), holder["started"], holder["host"]
    except (OSError, ValueError, KeyError, TypeError):  # nobody, or damaged
        pid, since, there = os.getpid(), None, machine()
    if pid != os.getpid() and is_here(there) and alive(pid, since):
        raise FileExistsError(
            f"a training goes on in {output} (process {pid}); end it first, with a file '{STOP_FILE}' there, or choose "
            "another --output"
        )
    write_atomic(file, json.dumps({"pid": os.getpid(), "started": started(os.getpid()), "host": machine()}).encode())


def initial_network(config: TrainConfig) -> PFFNet:
    """Build the network with seeded random weights, then load what ``init`` names."""
    seed_all(config.seed)
    network = PFFNet(config.model)
    if config.init == "imagenet":
        from napari_pffnet.model.convert import load_torchvision_body

        load_torchvision_body(network, _imagenet(config.model.body))
    elif config.init != "none":
        _load_file(network, Path(config.init))
    return network


def _load_file(network: PFFNet, path: Path) -> None:
    if not path.is_file() or path.suffix == ".safetensors":
        _load_model(network, path)
        return
    from napari_pffnet.model.convert import load_published

    load_published(network, path)


def _load_model(network: PFFNet, path: Path) -> None:
    try:
        network.load_state_dict(load_model(path).network.state_dict())
    except RuntimeError:
        raise LibraryError(
            f"{path} has another body, other widths or switches than this recipe; take over the recipe's model section "
            "from the config.yaml beside it, or train with --init none"
        ) from None


def _imagenet(body: BodyConfig) -> dict[str, torch.Tensor]:
    if body.norm != "frozen_batch":
        raise LibraryError(
            "torchvision has ImageNet weights for batch norm only: set model.body.norm=frozen_batch, "
            "or give Detectron's R-50-GN / R-101-GN .pkl with --init PATH"
        )
    from torchvision.models import get_model_weights

    try:
        state: dict[str, torch.Tensor] = get_model_weights(body.name)["IMAGENET1K_V1"].get_state_dict(progress=False)
    except OSError as error:
        raise LibraryError(
            f"cannot download the ImageNet weights ({error}); give the .pth file with --init PATH"
        ) from None
    return state
