"""Norms see all tiles of an image alike."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from fakes import fake_model
from helpers import squares, tiny
from napari_pffnet.model.pffnet import PFFNet
from napari_pffnet.segment import Segmenter
from napari_pffnet.segment.steady import measure, steady, whole_map_norms


def pyramid(network, image):
    with torch.inference_mode():
        return network.encode([image]).pyramid["0"]


def test_statistics_of_the_image_itself_change_nothing_and_end_with_the_block():
    network, (image, _) = PFFNet(tiny()).eval(), squares()
    own = pyramid(network, image)
    statistics = measure(network, lambda: pyramid(network, image))
    with steady(network, statistics):
        np.testing.assert_allclose(pyramid(network, image), own, atol=1e-4)
        brighter = pyramid(network, image * 2)
    assert not torch.allclose(brighter, pyramid(network, image * 2), atol=1e-2)
    np.testing.assert_array_equal(pyramid(network, image), own)


def test_only_norms_of_whole_maps_are_meant():
    names = whole_map_norms(PFFNet(tiny()))
    assert len(names) == 8 + 8 + 6
    assert {name.split(".")[0] for name in names} == {"fpn", "semantic_branch"}


def test_without_statistics_nothing_happens():
    network, (image, _) = PFFNet(tiny()).eval(), squares()
    with steady(network, {}):
        np.testing.assert_array_equal(pyramid(network, image), pyramid(network, image))


def test_another_thread_that_uses_the_network_meanwhile_sees_nothing_of_it():
    network, (image, _) = PFFNet(tiny()).eval(), squares()
    own = pyramid(network, image)
    statistics = measure(network, lambda: pyramid(network, image * 2))
    with steady(network, statistics), ThreadPoolExecutor(1) as other:
        np.testing.assert_array_equal(other.submit(pyramid, network, image).result(), own)
        assert not torch.allclose(pyramid(network, image), own, atol=1e-2)


def test_a_network_without_such_norms_needs_no_statistics_and_no_part_is_read():
    def parts():
        raise AssertionError("read")
        yield

    assert Segmenter(fake_model()).statistics_of(parts(), (0, 1)) == {}
