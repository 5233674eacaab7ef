"""From a model's name to a network that is ready on a device."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pffnet.config import ModelConfig
from napari_pffnet.library.files import LibraryError, build
from napari_pffnet.library.folder import find, verify
from napari_pffnet.memory import Allowed

if TYPE_CHECKING:
    import torch

    from napari_pffnet.model import PFFNet

DEFAULT = "default"


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
    allowed : Allowed
        What memory allows to do with it.
    """

    network: PFFNet
    config: ModelConfig
    card: dict[str, Any]
    path: Path
    allowed: Allowed = field(default_factory=Allowed)

    @property
    def device(self) -> torch.device:
        """Where the network is: the CPU if memory ran out elsewhere."""
        return next(self.network.parameters()).device

    def copied_to(self, device: torch.device) -> Model:
        """Return the model with a network of its own on another device; what memory allows is the same."""
        return replace(self, network=copy.deepcopy(self.network).to(device))


def load_model(name: str | Path = DEFAULT, device: str | torch.device = "cpu") -> Model:
    """Rebuild a model from its file alone.

    Parameters
    ----------
    name : str or Path
        A name from `available` or the path of a ``.safetensors`` model file; see `find`.
    device : str or torch.device
        Where the weights go; ``"auto"`` as of `pick_device`.

    Raises
    ------
    LibraryError
        No such device or model, not a model file, truncated, written by a newer version, or in the user's folder and
        no longer what was added there.
    """
    path = find(name)
    verify(path)
    network, config, card = build(path)
    return Model(network.to_device(pick_device(device) if isinstance(device, str) else device), config, card, path)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` prefers CUDA, then MPS, then the CPU.

    Raises
    ------
    LibraryError
        The named device is not available on this machine.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise LibraryError(f"unknown device '{name}'; use auto, cpu, cuda or mps")
    if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
        raise LibraryError(f"device '{name}' is not available on this machine; use --device auto or cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise LibraryError(f"unknown device '{name}'; number devices as in cuda:0") from None
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise LibraryError(f"no device '{name}': CUDA devices of this machine: {count}, counted from cuda:0")
    return device
