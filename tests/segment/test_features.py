"""The bounded cache of features."""

import numpy as np
import torch

from helpers import squares, tiny
from napari_pffnet.model.pffnet import PFFNet
from napari_pffnet.segment.features import FeatureCache, TileFeatures


def features(size=64):
    network = PFFNet(tiny()).eval()
    with torch.inference_mode():
        return network.encode([torch.zeros(3, size, size)]).of_image(0)


def tile(kept):
    return TileFeatures((slice(0, 64), slice(0, 64)), (1.0, 1.0), kept)


def test_those_used_longest_ago_make_room():
    kept = features()
    cache = FeatureCache(limit=2 * kept.nbytes)
    cache.put("a", tile(kept))
    cache.put("b", tile(features()))
    assert cache.get("a") is not None
    cache.put("c", tile(features()))
    assert cache.get("b") is None
    assert cache.get("a").features is kept
    assert cache.nbytes == 2 * kept.nbytes


def test_one_tile_is_kept_even_if_it_is_too_large():
    cache = FeatureCache(limit=1)
    cache.put("a", tile(features()))
    assert cache.get("a")
    cache.put("a", tile(features()))
    assert cache.get("a")
    cache.clear()
    assert cache.nbytes == 0


def test_regions_read_no_more_than_what_is_kept():
    network = PFFNet(tiny()).eval()
    image, _ = squares()
    boxes, labels = [torch.tensor([[8.0, 8, 40, 32]])], [torch.ones(1, dtype=torch.int64)]
    with torch.inference_mode():
        everything = network.encode([image])
        kept = everything.of_image(0)
        for part in (everything, kept):
            np.testing.assert_array_equal(network.rate(part, boxes)[0].boxes, network.rate(everything, boxes)[0].boxes)
            np.testing.assert_array_equal(
                network.describe(part, boxes, labels)[0][0], network.describe(everything, boxes, labels)[0][0]
            )
    pyramid = sum(network.config.fpn_channels * (96 // s) * (128 // s) * 4 for s in (4, 8, 16, 32))
    assert pyramid <= kept.nbytes < 1.01 * pyramid < everything.nbytes
