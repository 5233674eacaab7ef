"""Pyramid and semantic branch with and without norms."""

import pytest
import torch

from helpers import annotated, tiny
from napari_pffnet.config import BodyConfig
from napari_pffnet.model.pffnet import PFFNet

FROZEN = BodyConfig(name="mobilenet_v2", norm="frozen_batch")


@pytest.fixture(params=["group", "none"])
def network(request):
    torch.manual_seed(0)
    return PFFNet(tiny(body=FROZEN, map_norm=request.param))


def seen(network, image):
    """What the network makes of the left end of an image: its finest map, its semantic map."""
    with torch.inference_mode():
        features = network.eval().encode([image])
        return features.pyramid["0"][..., :8], network.semantic_branch(features.body)[..., :32]


def test_without_norms_what_is_far_away_changes_nothing(network):
    image = torch.rand(3, 32, 1024)
    other = image.clone()
    other[..., -64:] = 1
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(seen(network, image), seen(network, other), strict=True)]
    assert same == [network.config.map_norm == "none"] * 2


def test_every_weight_learns(network):
    image, target = annotated()
    sum(network.train()([image], [target]).values()).backward()
    parts = (network.fpn.layer_blocks[0], network.semantic_branch)  # coarse levels hold no nucleus here
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for part in parts for p in part.parameters())
