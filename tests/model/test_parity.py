"""The network against numbers that the original implementation computed from weights made by a rule.

``tests/data/pffnet_r50.npz`` and ``.json``: R-50 body, tnbc configuration, evaluation mode, CPU, float32.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from napari_pffnet.config import InputConfig, ModelConfig
from napari_pffnet.model import PFFNet
from napari_pffnet.model.convert import load_original

DATA = Path(__file__).parents[1] / "data"
SINGLE = ("cls_score", "bbox_pred", "cls_logits", "maskiou.maskiou")


def rule_made(name: str, shape: list[int]) -> torch.Tensor:
    name = name.replace("semseg.body.", "backbone.body.")
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    values = rng.standard_normal(int(np.prod(shape))).astype(np.float32).reshape(shape)
    if name.endswith("bias"):
        values = 0.05 * values
    elif len(shape) == 1:
        values = 1 + 0.1 * values
    else:
        gain = 1 if any(part in name for part in SINGLE) else 2
        values = values * np.sqrt(gain / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, np.float32))


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    with np.load(DATA / "pffnet_r50.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def network() -> PFFNet:
    published = InputConfig(scale=255.0, mean=(128, 128, 128), std=(1, 1, 1), bgr=True)
    network = PFFNet(ModelConfig(input=published, inclusive_boxes=True)).eval()
    shapes = json.loads((DATA / "pffnet_r50.json").read_text())["parameters"]
    unused = load_original(network, {name: rule_made(name, shape) for name, shape in dict(shapes).items()})
    assert all("semseg" in name or "fc_bbranch" in name or "conv_logit" in name for name in unused)
    return network


@pytest.fixture(scope="module")
def features(network, reference):
    """The reference image is the network's input; this undoes the normalisation that the network applies."""
    image = (reference["image"].flip(0) + 128) / 255
    with torch.inference_mode():
        return network.encode([image])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= 1e-3 * scale


def half_open(inclusive: torch.Tensor) -> torch.Tensor:
    """The original's boxes end on their last pixel."""
    return inclusive + torch.tensor([0.0, 0, 1, 1])


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_body(features, reference, level):
    close(features.body[level - 2][0, ::64], reference[f"c{level}"])


@pytest.mark.parametrize(("level", "key"), [(2, "0"), (3, "1"), (4, "2"), (5, "3"), (6, "pool")])
def test_pyramid(features, reference, level, key):
    close(features.pyramid[key][0, ::16], reference[f"p{level}"])


@torch.inference_mode()
def test_semantic_maps(network, features, reference):
    close(network.fpn_semantic(features.pyramid["0"])[0], reference["semantic_fpn"])
    close(network.semantic_branch(features.body)[0], reference["semantic_branch"])


@torch.inference_mode()
def test_rpn_head(network, features, reference):
    objectness, deltas = network.rpn.head(list(features.pyramid.values()))
    for level in range(5):
        close(objectness[level][0], reference[f"rpn_objectness_p{level + 2}"].squeeze(0))
        close(deltas[level][0], reference[f"rpn_deltas_p{level + 2}"].squeeze(0))


@torch.inference_mode()
def test_heads(network, features, reference):
    boxes = [half_open(reference["boxes_xyxy"])]
    logits, deltas = network.box_head(network._pool(network.box_pool, features.cells(), boxes))
    close(logits, reference["class_logits"])
    close(deltas, reference["box_deltas"])
    pooled = network._pool(network.mask_pool, features.cells(), boxes)
    masks = network.mask_head(pooled)
    close(masks, reference["mask_logits"])
    close(network.quality_head(pooled, masks[:, 1].sigmoid()), reference["mask_quality"])


@torch.inference_mode()
def test_fusion(network, reference):
    boxes = half_open(reference["fusion_boxes_xyxy"])
    close(network.fusion(reference["semantic_fpn"], boxes, reference["fusion_mask_logits"]), reference["fusion_out"])


@torch.inference_mode()
def test_final_detections_agree_closely(network, features, reference):
    """The quality is clamped to what IoU can be; the original's is not, and leaves [0, 1] in a third of these."""
    found = network.predict(features)[0]
    overlap, rows = box_iou(half_open(reference["det_boxes"]), found["boxes"]).max(1)
    assert float(overlap.min()) >= 0.99
    assert (found["scores"][rows] - reference["det_scores"]).abs().max() <= 1e-3
    quality = reference["det_mask_scores"] / reference["det_scores"]
    assert (found["mask_quality"][rows] - quality.clamp(0, 1)).abs().max() <= 1e-2
