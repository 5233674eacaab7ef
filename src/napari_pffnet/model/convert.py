"""Weights of other programs, by name: the original PFFNet's ``.pth``, Detectron's ``.pkl``, torchvision's bodies.

Nothing is unpickled freely: ``.pth`` goes through torch's weights-only reader, ``.pkl`` through one that admits
arrays only.
"""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_pffnet.model.pffnet import PFFNet

log = logging.getLogger(__name__)

UNUSED = re.compile(
    r"semseg\.(body\.|semseg\.(fpn_inner|fpn_layer|res_layer1))|roi_heads\.box\.(fc_bbranch|.*conv_logit)"
)
ORIGINAL = (
    (r"^backbone\.body\.stem\.", "body."),
    (r"^backbone\.body\.", "body."),
    (r"^backbone\.fpn\.fpn_inner(\d)\.", "fpn.inner_blocks.{-1}."),
    (r"^backbone\.fpn\.fpn_layer(\d)\.", "fpn.layer_blocks.{-1}."),
    (r"^backbone\.fpn\.sem_block_3x3\.", "fpn_semantic."),
    (r"^semseg\.semseg\.sem_final_block\.", "semantic_branch.head."),
    (r"^semseg\.semseg\.gcn_layer(\d)\.gcn_l1\.", "semantic_branch.large_kernels.{-1}.left.0."),
    (r"^semseg\.semseg\.gcn_layer(\d)\.gcn_l2\.", "semantic_branch.large_kernels.{-1}.left.1."),
    (r"^semseg\.semseg\.gcn_layer(\d)\.gcn_r1\.", "semantic_branch.large_kernels.{-1}.right.0."),
    (r"^semseg\.semseg\.gcn_layer(\d)\.gcn_r2\.", "semantic_branch.large_kernels.{-1}.right.1."),
    (r"^semseg\.semseg\.res2_layer(\d)\.conv_1\.(\d)\.", "semantic_branch.residuals.{-1}.block.{+0}."),
    (r"^semseg\.semseg\.res2_layer(\d)\.conv_2\.(\d)\.", "semantic_branch.residuals.{-1}.block.{+2}."),
    (r"^semseg\.semseg\.res_layer(\d)\.conv_1\.(\d)\.", "semantic_branch.top_downs.{-2}.block.{+0}."),
    (r"^semseg\.semseg\.res_layer(\d)\.conv_2\.(\d)\.", "semantic_branch.top_downs.{-2}.block.{+2}."),
    (r"^rpn\.head\.conv\.", "rpn.head.conv.0.0."),
    (r"^rpn\.", "rpn."),
    (r"^roi_heads\.box\.feature_extractor\.", "box_head."),
    (r"^roi_heads\.box\.predictor\.", "box_head."),
    (r"^roi_heads\.mask\.feature_extractor\.mask_fcn(\d)\.", "mask_head.convs.{-1}."),
    (r"^roi_heads\.mask\.feature_extractor\.conv4_fc\.", "mask_head.dense.0."),
    (r"^roi_heads\.mask\.feature_extractor\.conv5_fc\.", "mask_head.dense.1."),
    (r"^roi_heads\.mask\.feature_extractor\.fc_final\.", "mask_head.dense.3."),
    (r"^roi_heads\.mask\.predictor\.conv5_mask\.", "mask_head.up.0."),
    (r"^roi_heads\.mask\.predictor\.mask_fcn_final\.", "mask_head.logits."),
    (r"^roi_heads\.maskiou\.feature_extractor\.maskiou_fcn(\d)\.", "quality_head.convs.{-1}."),
    (r"^roi_heads\.maskiou\.feature_extractor\.maskiou_fc(\d)\.", "quality_head.fc{+0}."),
    (r"^roi_heads\.maskiou\.predictor\.maskiou\.", "quality_head.quality."),
    (r"^roi_feature_fusion\.sem_block_3x3\.", "fusion.conv3."),
    (r"^roi_feature_fusion\.sem_block_1x1\.", "fusion.conv1."),
)
DETECTRON = (
    (r"^conv1_gn_s$", "body.bn1.weight"),
    (r"^conv1_gn_b$", "body.bn1.bias"),
    (r"^conv1_w$", "body.conv1.weight"),
    (r"^res(\d)_(\d+)_branch1_w$", "body.layer{-1}.{+0}.downsample.0.weight"),
    (r"^res(\d)_(\d+)_branch1_gn_s$", "body.layer{-1}.{+0}.downsample.1.weight"),
    (r"^res(\d)_(\d+)_branch1_gn_b$", "body.layer{-1}.{+0}.downsample.1.bias"),
    (r"^res(\d)_(\d+)_branch2([abc])_w$", "body.layer{-1}.{+0}.conv{abc}.weight"),
    (r"^res(\d)_(\d+)_branch2([abc])_gn_s$", "body.layer{-1}.{+0}.bn{abc}.weight"),
    (r"^res(\d)_(\d+)_branch2([abc])_gn_b$", "body.layer{-1}.{+0}.bn{abc}.bias"),
)


class ConvertError(ValueError):
    """Published weights that cannot be used; the message names the fix."""


def load_published(network: PFFNet, path: str | Path) -> list[str]:
    """Load published weights into a network.

    Parameters
    ----------
    network : PFFNet
        Changed in place. Its configuration must match the weights.
    path : str or Path
        ``.pth`` of the original PFFNet or of a torchvision body, or Detectron's ``.pkl`` (body only).

    Returns
    -------
    list of str
        Names in the file that the network has no use for (also logged).

    Raises
    ------
    ConvertError
        Unreadable, not one of these formats, or shapes differ from the network's.
    """
    path = Path(path)
    state = read_detectron(path) if path.suffix == ".pkl" else read_pth(path)
    if any(name.startswith("backbone.") for name in state):
        return load_original(network, state)
    if path.suffix == ".pkl":
        return _load_named(network, {name: rename(name, DETECTRON) for name in state}, state)
    return load_torchvision_body(network, state)


def load_original(network: PFFNet, state: dict[str, Tensor]) -> list[str]:
    """Load the original PFFNet's state by name; every weight of the network must be there."""
    names = {name: None if UNUSED.match(name) else rename(name, ORIGINAL) for name in state}
    missing = set(network.state_dict()) - {name for name in names.values() if name}
    if missing:
        raise ConvertError(
            f"the checkpoint lacks weights for: {', '.join(sorted(missing)[:5])}; check the model's switches"
        )
    return _load_named(network, names, state)


def load_torchvision_body(network: PFFNet, state: dict[str, Tensor]) -> list[str]:
    """Load a torchvision classifier's state into the body; its classifier is not used."""
    return _load_named(network, {name: f"body.{name}" for name in state}, state)


def rename(name: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    """Translate a name by the first rule that fits; ``{-1}`` is its next number less 1, ``{abc}`` a letter as 1..3."""
    for pattern, new in rules:
        found = re.match(pattern, name)
        if found:
            texts_and_slots = re.split(r"\{(.+?)\}", new)
            texts_and_slots[1::2] = map(_fill, texts_and_slots[1::2], found.groups())
            return "".join(texts_and_slots) + name[found.end() :]
    return None


def read_pth(path: Path) -> dict[str, Tensor]:
    """Read a ``.pth`` state, also one wrapped under ``model`` or with ``module.`` before its names."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the reader fail in any way
        raise ConvertError(f"cannot read {path} as weights: {error!r}; get the file again") from None
    state = state.get("model", state) if isinstance(state, dict) else {}
    tensors = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ConvertError(f"{path} holds no weights; give a state dictionary of name to tensor")
    return tensors


def read_detectron(path: Path) -> dict[str, Tensor]:
    """Read Detectron's pickle of named arrays with a reader that admits nothing else."""
    try:
        with path.open("rb") as file:
            return _arrays(_ArraysOnly(file, encoding="latin1").load())
    except Exception as error:  # damaged bytes make the reader fail in any way
        raise ConvertError(f"cannot read {path} as Detectron weights: {error!r}; get the file again") from None


def _arrays(blobs: Any) -> dict[str, Tensor]:
    blobs = blobs.get("blobs", blobs) if isinstance(blobs, dict) else {}
    return {
        str(name): torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in blobs.items()
        if isinstance(value, np.ndarray) and not str(name).endswith("_momentum")
    }


class _ArraysOnly(pickle.Unpickler):
    """Admits what numpy needs to rebuild plain arrays, and nothing that could run code."""

    ALLOWED = frozenset(
        (module, name)
        for package in ("numpy.core", "numpy._core")
        for module, name in ((f"{package}.multiarray", "_reconstruct"), (f"{package}.multiarray", "scalar"))
    ) | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}; only plain arrays are read")
        return super().find_class(module, name)


def _fill(slot: str, group: str) -> str:
    if slot == "abc":
        return str("abc".index(group) + 1)
    return str(int(group) + int(slot))


def _load_named(network: PFFNet, names: dict[str, str | None], state: dict[str, Tensor]) -> list[str]:
    own = network.state_dict()
    unused = [name for name, new in names.items() if new not in own]
    weights = {str(new): state[name] for name, new in names.items() if new in own}
    if not weights:
        raise ConvertError("no weight in the file belongs to this network; check model.body")
    wrong = [
        f"{name} {tuple(w.shape)}, here {tuple(own[name].shape)}"
        for name, w in weights.items()
        if w.shape != own[name].shape
    ]
    if wrong:
        raise ConvertError(f"shapes differ: {'; '.join(wrong[:3])}; set the model's widths and body as in the file")
    network.load_state_dict(weights, strict=False)
    log.info("loaded %d weights; not used: %s", len(weights), ", ".join(unused) or "none")
    return unused
