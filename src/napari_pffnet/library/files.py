"""The model file: one safetensors file holds weights, configuration and model card. Nothing in it can run code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError, safe_open

from napari_pffnet.config import ModelConfig, parse
from napari_pffnet.io.atomic import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from napari_pffnet.model import PFFNet

FORMAT = "napari-pffnet-model"
VERSION = 1
SUFFIX = ".safetensors"
EXTRA = "extra."
#: How files begin that hold a pickle: PyTorch's zip archives and bare pickles.
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class LibraryError(ValueError):
    """A model that cannot be found, read or changed; the message names the fix."""


def save_model(
    path: str | Path,
    network: PFFNet,
    card: dict[str, Any],
    *,
    half: bool = False,
    extras: Mapping[str, Tensor] | None = None,
) -> None:
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
    extras : mapping of str to Tensor, optional
        Stored beside the weights, as ``extra.NAME``; see `read_extras`.
    """
    from safetensors.torch import save

    weights = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    weights |= {f"{EXTRA}{name}": value.contiguous() for name, value in (extras or {}).items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": network.config.model_dump_json(),
        "card": json.dumps(card),
    }
    write_atomic(Path(path), save(weights, metadata))


def read_extras(path: Path) -> dict[str, Tensor]:
    """Read what is stored beside the weights, into memory: the file can be moved and deleted afterwards.

    Raises
    ------
    LibraryError
        Not a model file, or truncated.
    """
    with _opened(path, "pt") as file:
        extras = [key for key in file.keys() if key.startswith(EXTRA)]  # noqa: SIM118 (the file is no dict)
        return {key.removeprefix(EXTRA): file.get_tensor(key).clone() for key in extras}


def read_header(path: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Read configuration and card; the weights are not read, but a file that is cut short is noticed.

    Raises
    ------
    LibraryError
        Not a model file, truncated, or written by a newer version.
    """
    with _opened(path, "numpy") as file:
        metadata = file.metadata() or {}
    _check_format(path, metadata)
    try:
        config = parse(ModelConfig, json.loads(metadata["config"]), str(path))
        card = json.loads(metadata["card"])
    except (KeyError, ValueError, RecursionError) as error:
        raise LibraryError(f"{path}: its header cannot be used ({error}); get the file again") from None
    if not isinstance(card, dict):
        raise LibraryError(f"{path}: its header cannot be used (the card is no table of facts); get the file again")
    return config, card


def build(path: Path) -> tuple[PFFNet, ModelConfig, dict[str, Any]]:
    """Rebuild the network on the CPU, with configuration and card.

    Raises
    ------
    LibraryError
        As of `read_header`, or the weights do not fit the configuration or are not finite.
    """
    from napari_pffnet.model import PFFNet

    config, card = read_header(path)
    _check_shapes(path, config)
    network = PFFNet(config)
    with _opened(path, "pt") as file:
        network.load_state_dict({key: file.get_tensor(key) for key in _weights(file)})
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise LibraryError(f"{path}: some weights are no numbers: its training went wrong; use another model")
    return network.float().eval(), config, card


def _check_shapes(path: Path, config: ModelConfig) -> None:
    """Compare names and shapes before memory is taken: a damaged configuration could ask for any amount."""
    import torch

    from napari_pffnet.model import PFFNet

    with _opened(path, "numpy") as file:
        stored = {key: list(file.get_slice(key).get_shape()) for key in _weights(file)}
    try:
        with torch.device("meta"):
            wanted = {key: list(value.shape) for key, value in PFFNet(config).state_dict().items()}
    except (RuntimeError, ValueError, OverflowError) as error:
        raise LibraryError(f"{path}: no network can be built as it says ({error}); get the file again") from None
    wrong = sorted(key for key in wanted.keys() | stored.keys() if wanted.get(key) != stored.get(key))
    if wrong:
        shown = ", ".join(f"{key} {stored.get(key, 'missing')}" for key in wrong[:3])
        raise LibraryError(f"{path}: weights do not fit its configuration ({shown}); get the file again")


def _weights(file: Any) -> list[str]:
    return [key for key in file.keys() if not key.startswith(EXTRA)]  # noqa: SIM118 (the file is no dict)


@contextmanager
def _opened(path: Path, framework: Literal["pt", "numpy"]) -> Iterator[Any]:
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except SafetensorError as error:
        raise LibraryError(_explain(path, error)) from None
    except OSError as error:
        raise LibraryError(f"{path} cannot be read ({error}); check the file and its permissions") from None


def _explain(path: Path, error: SafetensorError) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(PICKLES):
        return (
            f"{path} is a PyTorch or pickle file, which could run code and is not opened; give a .safetensors model "
            "file (published weights are read by training: --init)"
        )
    return f"{path} is not a whole safetensors file ({error}); get the file again"


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise LibraryError(f"{path} is not a napari-pffnet model; import published weights with --init in training")
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit()) or int(version[:9]) > VERSION:
        raise LibraryError(
            f"{path} has format version {version}, this program reads up to {VERSION}; update napari-pffnet"
        )
