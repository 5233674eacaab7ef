"""Two models on the same images."""

import numpy as np
import pytest
import tifffile

from helpers import write_folder
from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.parts import Side
from napari_pffnet.train import compare as module
from napari_pffnet.train.compare import compare
from napari_pffnet.train.gate import read_gate


class Fake:
    """A segmenter that finds what its model says."""

    def __init__(self, model, config):
        self.model, self.config = model, config

    def predict(self, image):
        if self.model is None:
            raise RuntimeError("out of memory")
        return self

    def compose(self, config):
        return self.model, None, None


@pytest.fixture
def source(tmp_path):
    return FolderSource(write_folder(tmp_path / "squares", 1))


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(module, "Segmenter", Fake)
    monkeypatch.setattr(module, "sized", lambda segmenter, image: segmenter)


def test_figures_of_each_image_and_of_all(source, tmp_path):
    truth = source.read(0).labels
    gate = compare(np.where(truth == 1, 1, 0), truth, source, SegmentConfig(), tmp_path)
    image = gate.images[0]
    assert (image.name, image.nuclei) == ("0", 2)
    assert (image.old["ap50"], image.new["ap50"]) == (0.5, 1.0)
    assert gate.pooled.new == {"ap50": 1.0, "aji": 1.0, "pq": 1.0}
    assert gate.replay is None
    assert read_gate(tmp_path).images == gate.images


def test_what_each_found_is_kept_to_look_at(source, tmp_path):
    truth = source.read(0).labels
    gate = compare(np.zeros_like(truth), truth, source, SegmentConfig(), tmp_path)
    assert np.array_equal(tifffile.imread(tmp_path / gate.images[0].new_labels), truth)
    assert not tifffile.imread(tmp_path / gate.images[0].old_labels).any()


def test_a_model_that_fails_has_found_nothing_and_the_reason_is_kept(source, tmp_path):
    gate = compare(source.read(0).labels, None, source, SegmentConfig(), tmp_path)
    assert gate.images[0].new["ap50"] == 0
    assert gate.images[0].fault == "new model: out of memory"


def test_what_is_found_where_nothing_is_annotated_does_not_count(source, tmp_path):
    part = Side(source, "train")
    truth = part.read(0).labels
    assert truth.any()
    gate = compare(truth, source.read(0).labels, part, SegmentConfig(), tmp_path)
    assert gate.pooled.new["ap50"] == gate.pooled.old["ap50"] == 1


def test_replay_images_are_told_apart(source, tmp_path):
    truth = source.read(0).labels
    gate = compare(truth, np.zeros_like(truth), source, SegmentConfig(), tmp_path, source)
    assert (gate.replay.old["ap50"], gate.replay.new["ap50"]) == (1, 0)
    assert not gate.better
