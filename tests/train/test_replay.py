"""Crops that travel with a model."""

import numpy as np
import pytest
import torch

from helpers import tiny, write_folder
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.sources import Sample
from napari_pffnet.library import load_model, save_model
from napari_pffnet.model import PFFNet
from napari_pffnet.train.replay import ReplaySource, collect, merge, read_replay, sample_crops, to_tensors


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return FolderSource(write_folder(tmp_path_factory.mktemp("data") / "squares", 3, shape=(300, 400)))


def crop(number):
    return Sample(f"{number}", np.full((8, 8), number, np.uint8), np.ones((8, 8), np.int32))


def test_crops_are_small_have_nuclei_and_come_from_all_images(source):
    crops = collect(source, 5, (1, 99.8))
    assert {c.name for c in crops} == {"0", "1", "2"}
    assert all(c.labels.any() and c.labels.shape == (256, 256) for c in crops)
    assert all(c.image.dtype == np.uint8 for c in crops)
    assert len(crops) == 5


def test_no_crop_is_there_twice(tmp_path):
    small = FolderSource(write_folder(tmp_path / "small", 2, shape=(200, 256)))
    crops = collect(small, 6, (1, 99.8))
    assert sorted(each.name for each in crops) == ["0", "1"]
    assert [int(c.name) for c in merge([crop(1), crop(1), crop(2)], [crop(2), crop(3)], 6)] == [1, 2, 3]


def test_the_same_seed_gives_the_same_crops(source):
    one, other = (collect(source, 3, (1, 99.8), seed=1) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))


def test_half_of_a_replay_set_is_inherited():
    old, new = [crop(i) for i in range(10)], [crop(i) for i in range(20, 30)]
    merged = merge(old, new, 6)
    assert [int(c.name) for c in merged] == [0, 4, 9, 20, 21, 22]
    assert len(merge(old, new[:1], 6)) == 6
    assert merge([], new, 3) == new[:3]
    assert merge([], [], 3) == []


def test_they_travel_in_the_model_file_and_leave_its_weights_alone(tmp_path):
    torch.manual_seed(0)
    network = PFFNet(tiny())
    colour = Sample("c", np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=np.int32), np.full((8, 8), 255, np.uint8))
    file = tmp_path / "model.safetensors"
    save_model(file, network, {}, extras=to_tensors({"learn": [crop(1), colour], "check": [crop(2)]}))
    read = read_replay(file)
    assert [len(read[use]) for use in ("learn", "check")] == [2, 1]
    assert np.array_equal(read["learn"][0].image, crop(1).image)
    assert read["learn"][0].semantic is None
    again = ReplaySource(read["learn"]).read(1)
    assert again.image.shape == (8, 8, 3)
    assert np.array_equal(again.labels, colour.labels)
    assert (again.semantic == 255).all()
    state = load_model(file).network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_model_without_crops_has_none(tmp_path):
    save_model(tmp_path / "model.safetensors", PFFNet(tiny()), {})
    assert read_replay(tmp_path / "model.safetensors") == {"learn": [], "check": []}


def test_the_images_of_the_package_stand_in_parted_into_learning_and_checking():
    crops = sample_crops((1, 99.8))
    assert [len(crops[use]) for use in ("learn", "check")] == [8, 2]
    assert all(c.labels.any() for samples in crops.values() for c in samples)
    assert all((c.semantic == 255).any() for c in crops["check"])
