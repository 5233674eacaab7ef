"""Validation leaves the network in training as it is."""

import pytest
import torch

from fakes import BrightSquares
from helpers import tiny, write_folder
from napari_pffnet.config import SegmentConfig, TrainConfig
from napari_pffnet.data.opening import open_source
from napari_pffnet.train.validation import Validator


class Large(BrightSquares):
    """On a device where memory suffices for 64 regions at once, or not at all; knows where it was moved last."""

    def __init__(self, fits_on=()):
        super().__init__()
        self.place, self.fits_on = "gpu", fits_on

    def to(self, device):
        self.place = device
        return self

    def predict(self, features):
        if self.most_regions is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.place not in self.fits_on:
            self.place = "cpu"  # as the segmenter does at last
            raise RuntimeError("another fault")
        return super().predict(features)


@pytest.fixture
def validator(tmp_path):
    config = TrainConfig(model=tiny(), segment=SegmentConfig(tile=256))
    validator = Validator([open_source(write_folder(tmp_path))], config, torch.device("cpu"))
    validator.device = "gpu"
    return validator


def test_fewer_regions_at_once_hold_for_the_validation_alone(validator):
    network = Large(fits_on=["gpu"]).train()
    with pytest.warns(UserWarning, match="64 proposals at once"):
        assert validator.figures(network)["ap50"] == 1
    assert (network.most_regions, network.place, network.training) == (None, "gpu", True)


def test_a_network_that_was_moved_comes_back_even_after_an_error(validator):
    network = Large().train()
    with pytest.raises(RuntimeError, match="another fault"), pytest.warns(UserWarning, match="64 proposals at once"):
        validator.figures(network)
    assert (network.most_regions, network.place, network.training) == (None, "gpu", True)
