import multiprocessing
from contextlib import closing

import numpy as np
import pytest
import torch

from helpers import write_folder
from napari_pffnet.config import AugmentConfig, DataConfig
from napari_pffnet.data.dataset import CropDataset, make_batches, prepare
from napari_pffnet.data.normalize import PERCENTILES
from napari_pffnet.data.opening import open_source
from napari_pffnet.data.sources import DataError, Sample

AUGMENT = AugmentConfig(crop=64, scale=(0.7, 1.4), quarter_turns=True, intensity=0.2, noise=0.05)


class Flat:
    """Images of one brightness next to black, without nuclei; counts what is read."""

    def __init__(self, value, count=3):
        self.value, self.count, self.reads = value, count, 0

    def __len__(self):
        return self.count

    def name(self, index):
        return str(index)

    def read(self, index):
        self.reads += 1
        image = np.zeros((96, 96, 3), np.uint8)
        image[..., self.value] = 200
        return Sample(self.name(index), image, np.zeros((96, 96), np.int32))

    def faults(self):
        return []


def dataset(sources, length=24, seed=1, **config):
    return CropDataset(sources, DataConfig(**{"augment": AUGMENT, **config}), (1.0, 99.8), seed, length)


@pytest.fixture
def folder(tmp_path):
    return open_source(write_folder(tmp_path))


def same(one, two):
    (a, s), (b, t) = one, two
    return torch.equal(a, b) and all(torch.equal(s[key], t[key]) for key in t)


def test_an_item_depends_on_seed_and_index_alone(folder):
    first, second = dataset([folder]), dataset([folder], cache=False)
    list(first)
    assert all(same(first[i], second[i]) for i in (5, 2, 17))
    assert not same(first[5], first[6])
    assert not same(first[5], dataset([folder], seed=2)[5])


def test_target_fits_the_crop(folder):
    for image, target in dataset([folder]):
        assert image.shape == (3, 64, 64)
        assert target["instances"].max() == len(target["boxes"])
        assert ((target["boxes"] >= 0) & (target["boxes"] <= 64)).all()


def test_weights_share_out_the_sources():
    sources = [Flat(0), Flat(1)]
    images = [image for image, _ in dataset(sources, 400, weights=(3.0, 1.0), augment=AugmentConfig(crop=32))]
    share = np.mean([float(image[0].mean() > 0.5) for image in images])
    assert 0.68 < share < 0.82


def test_cache_reads_each_image_once():
    cached, fresh = Flat(0), Flat(0)
    list(dataset([cached]))
    list(dataset([fresh], cache=False))
    assert (cached.reads, fresh.reads) == (3, 24)


def test_grey_is_kept_as_one_channel_and_the_sample_is_not_changed():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    labels = np.zeros((8, 8), np.int32)
    labels[2:4] = 7
    sample = Sample("a", np.stack([image] * 3, -1), labels)
    ready = prepare(sample, PERCENTILES)
    assert ready.image.shape == (1, 8, 8)
    assert ready.areas.tolist() == [48, 16]
    assert labels.max() == 7


def test_memory_counts_all_that_is_kept_of_a_sample():
    semantic = np.full((64, 64), 255, np.uint8)
    semantic[:32, :32] = 0
    ready = prepare(Sample("a", np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.int32), semantic), PERCENTILES)
    kept = 64 * 64 * (2 + 4 + 1) + 8 * 1  # image, labels, semantic; areas
    assert ready.nbytes == kept + 4 * 4 * 2 * 8  # places


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_go_on_where_a_run_stopped(folder, workers):
    data = dataset([folder], 10)
    all_batches, late = list(make_batches(data, 2, workers)), list(make_batches(data, 2, workers, start=4))
    assert (len(all_batches), len(late)) == (5, 3)
    for (images, targets), (others, _) in zip(all_batches[2:], late, strict=True):
        assert len(images) == len(targets) == 2
        assert all(torch.equal(a, b) for a, b in zip(images, others, strict=True))


def test_two_processes_share_the_items_of_one(folder):
    data = dataset([folder], 12)
    one = [image for images, _ in make_batches(data, 4, start=4) for image in images]
    ranks = [
        [image for images, _ in make_batches(data, 2, start=4, rank=r, world=2) for image in images] for r in (0, 1)
    ]
    interleaved = [image for pair in zip(*ranks, strict=True) for image in pair]
    assert all(torch.equal(a, b) for a, b in zip(one, interleaved, strict=True))


def test_workers_end_with_the_batches_even_in_the_middle(folder):
    def interrupted():
        with closing(make_batches(dataset([folder]), 2, workers=2)) as batches:
            next(batches)
            assert len(multiprocessing.active_children()) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert multiprocessing.active_children() == []


def test_faulty_settings_are_named(folder):
    with pytest.raises(DataError, match=r"data.weights has 2 numbers for 1 data folders"):
        dataset([folder], weights=(1.0, 2.0))
    with pytest.raises(DataError, match="no annotated image"):
        dataset([])


def test_the_gpu_is_left_alone_unless_batches_are_for_it(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(True))
    list(make_batches(dataset([folder], 2), 2))
    assert not asked
