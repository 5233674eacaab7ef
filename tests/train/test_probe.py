"""Choosing what fits into memory, before it runs out."""

import weakref

import pytest
import torch

from helpers import tiny, write_folder
from napari_pffnet.config import AugmentConfig, DataConfig, TrainConfig
from napari_pffnet.data.opening import open_source
from napari_pffnet.model import PFFNet
from napari_pffnet.train import probe
from napari_pffnet.train.state import TrainingError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("data") / "squares")
    torch.manual_seed(0)
    config = TrainConfig(model=tiny(), data=DataConfig(augment=AugmentConfig(crop=256)), batch_size=4)
    return config, PFFNet(config.model), [open_source(folder)]


def fitted(monkeypatch, setting, free):
    monkeypatch.setattr(probe, "memory_free", lambda _: free)
    return probe.fit_memory(*setting, CPU)


def test_what_fits_stays_as_it_is(monkeypatch, setting):
    assert fitted(monkeypatch, setting, 2**40) == setting[0]


def test_a_smaller_batch_is_done_more_often(monkeypatch, setting):
    config, network, data = setting
    states = probe.STATES * sum(p.nbytes for p in network.parameters())
    crop = probe.PEAK * probe._kept(config, network, data, CPU)
    chosen = fitted(monkeypatch, setting, (states + 2.5 * crop) / probe.SPARE)
    assert (chosen.batch_size, chosen.optimizer.accumulate, chosen.data.augment.crop) == (2, 2, 256)
    chosen = fitted(monkeypatch, setting, (states + 0.6 * crop) / probe.SPARE)
    assert (chosen.batch_size, chosen.optimizer.accumulate, chosen.data.augment.crop) == (1, 4, 192)


@pytest.mark.parametrize(("batch", "expected"), [(4, (2, 2)), (5, (2, 3)), (7, (3, 3)), (1, (1, 1))])
def test_a_step_never_has_fewer_crops(batch, expected):
    chosen = probe.smaller(TrainConfig(batch_size=batch))
    assert (chosen.batch_size, chosen.optimizer.accumulate) == expected


def test_too_little_memory_for_anything_is_said(monkeypatch, setting):
    with pytest.raises(TrainingError, match="close other programs"):
        fitted(monkeypatch, setting, 0)


def test_a_crop_keeps_about_what_its_size_says(setting):
    config, network, data = setting
    small = config.model_copy(update={"data": DataConfig(augment=AugmentConfig(crop=128))})
    ratio = probe._kept(config, network, data, CPU) / probe._kept(small, network, data, CPU)
    assert 2 < ratio < 4.5


def test_measuring_times_steps_and_leaves_the_weights_alone(setting):
    config, network, data = setting
    small = config.model_copy(update={"data": DataConfig(augment=AugmentConfig(crop=64)), "batch_size": 1})
    before = [p.clone() for p in network.parameters()]
    chosen, seconds = probe.measure(small, network, data, CPU)
    assert chosen.precision in ("float32", "bfloat16")
    assert seconds > 0
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert all(p.grad is None for p in network.parameters())


def test_the_time_of_a_step_is_not_that_of_drawing_its_crops(setting, monkeypatch):
    config, network, data = setting
    small = config.model_copy(update={"data": DataConfig(augment=AugmentConfig(crop=64)), "precision": "float32"})
    order, draw, clock = [], probe.CropDataset.__getitem__, probe.time.perf_counter
    monkeypatch.setattr(probe.CropDataset, "__getitem__", lambda crops, i: order.append("draw") or draw(crops, i))
    monkeypatch.setattr(probe.time, "perf_counter", lambda: order.append("clock") or clock())
    probe.measure(small, network, data, CPU)
    assert order == ["draw"] * 12 + ["clock"] * 6


def runs_out(monkeypatch, network):
    """A GPU on which a step does not fit and leaves nothing free; tensors of the step, once it has failed."""
    left = []

    def step(*_):
        tensor = torch.zeros(8)
        left.append(weakref.ref(tensor))
        for p in network.parameters():
            p.grad = torch.zeros_like(p)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(probe, "_backward", step)
    monkeypatch.setattr(probe, "memory_free", lambda _: 0 if left else 2**34)
    return left


def test_of_crops_that_do_not_fit_the_next_smaller_one_is_tried(monkeypatch, setting):
    real = probe._backward

    def step(config, *rest):
        if config.data.augment.crop > 192:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(config, *rest)

    monkeypatch.setattr(probe, "_backward", step)
    chosen = probe.fit_memory(*setting, CPU)
    assert (chosen.batch_size, chosen.optimizer.accumulate, chosen.data.augment.crop) == (1, 4, 192)


def test_crops_of_which_none_fits_are_said(monkeypatch, setting):
    runs_out(monkeypatch, setting[1])
    with pytest.raises(TrainingError, match="a single crop of 128 pixels; close other programs"):
        probe.fit_memory(*setting, CPU)


def test_a_crop_that_does_not_fit_leaves_no_gradients_and_frees_its_tensors_first(monkeypatch, setting):
    config, network, data = setting
    left, alive = runs_out(monkeypatch, network), []
    real = probe.let_go

    def let_go(*arguments):
        alive.extend(tensor() is not None for tensor in left)
        real(*arguments)

    monkeypatch.setattr(probe, "let_go", let_go)
    probe._kept(config, network, data, CPU)
    assert alive == [False]
    assert all(p.grad is None for p in network.parameters())
