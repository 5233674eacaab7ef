"""Model files: one safetensors file holds weights, configuration and model card; and where such files live."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_pffnet.config import ConfigError, ModelConfig, parse
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.model import PFFNet

FORMAT = "napari-pffnet-model"
VERSION = 1
DEFAULT = "default"


class LibraryError(ValueError):
    """A model that cannot be found or read; the message names the fix."""


@dataclass(frozen=True)
class Model:
    """A network ready for inference.

    Attributes
    ----------
    network : PFFNet
        In evaluation mode, float32, on its device.
    config : ModelConfig
        What the network was built from.
    card : dict
        Free-form facts: data, licences, recipe, validation figures.
    path : Path
        The file it came from.
    """

    network: PFFNet
    config: ModelConfig
    card: dict[str, Any]
    path: Path


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` prefers CUDA, then MPS, then the CPU.

    Raises
    ------
    LibraryError
        The named device is not available on this machine.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise LibraryError(f"unknown device '{name}'; use auto, cpu, cuda or mps")
    if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
        raise LibraryError(f"device '{name}' is not available on this machine; use --device auto or cpu")
    return torch.device(name)


def save_model(path: str | Path, network: PFFNet, card: dict[str, Any], *, half: bool = False) -> None:
    """Write a model file atomically.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``.
    network : PFFNet
        Its weights and configuration are stored.
    card : dict
        JSON-compatible facts about the model.
    half : bool
        Store weights in float16 (half the size; read back to float32).
    """
    weights = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": network.config.model_dump_json(),
        "card": json.dumps(card),
    }
    write_atomic(Path(path), save(weights, metadata))


def load_model(name: str | Path = DEFAULT, device: str | torch.device = "cpu") -> Model:
    """Rebuild a model from its file alone.

    Parameters
    ----------
    name : str or Path
        A name from `available` or the path of a ``.safetensors`` model file.
    device : str or torch.device
        Where the weights go.

    Raises
    ------
    LibraryError
        No such model, not a model file, truncated, or written by a newer version.
    """
    path = find(name)
    config, card, weights = _read(path)
    network = PFFNet(config)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise LibraryError(f"{path}: weights do not fit its configuration ({error}); get the file again") from None
    return Model(network.float().to(device).eval(), config, card, path)


def available() -> dict[str, Path]:
    """Names and files of the models that come with the package."""
    folder = Path(str(files("napari_pffnet") / "weights"))
    return {file.stem: file for file in sorted(folder.glob("*.safetensors"))}


def find(name: str | Path) -> Path:
    """Return the file of a model's name or path."""
    known = available()
    if str(name) in known:
        return known[str(name)]
    path = Path(name)
    if path.is_file():
        return path
    raise LibraryError(
        f"no model '{name}'; give the path of a .safetensors model file or one of: {', '.join(known) or 'none'}"
    )


def _read(path: Path) -> tuple[ModelConfig, dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_header(path, metadata)
            config = parse(ModelConfig, json.loads(metadata["config"]), str(path))
            card = json.loads(metadata["card"])
            return config, card, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (the file is no dict)
    except SafetensorError as error:
        raise LibraryError(f"{path} is not a whole safetensors file ({error}); get the file again") from None
    except (ConfigError, KeyError, json.JSONDecodeError) as error:
        raise LibraryError(f"{path}: its header cannot be used ({error}); get the file again") from None


def _check_header(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise LibraryError(f"{path} is not a napari-pffnet model; import published weights with --init in training")
    version = metadata.get("version", "")
    if not version.isdigit() or int(version) > VERSION:
        raise LibraryError(
            f"{path} has format version {version}, this program reads up to {VERSION}; update napari-pffnet"
        )
