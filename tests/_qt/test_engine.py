"""What the panel asks of the core, with the real core."""

import contextlib
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from napari.layers import Image

from fakes import fake_model
from helpers import tiny
from model_files import write_model
from napari_pffnet import library
from napari_pffnet._qt.engine import Engine, Request, _lazy
from napari_pffnet._qt.layers.planes import take_plane, whole
from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import limits
from napari_pffnet.library import LibraryError, add, available, remove, save_model
from napari_pffnet.model import PFFNet
from napari_pffnet.segment import Cancelled


@pytest.fixture
def request_(tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "tiny.safetensors", PFFNet(tiny()), {})
    plane = take_plane(Image(np.random.default_rng(0).random((64, 96))), (0, 0), (0, 1))
    return Request(plane, str(tmp_path / "tiny.safetensors"), "cpu", SegmentConfig(tile=64, tile_overlap=16))


def test_choices_are_the_library_s():
    choices = Engine().choices()
    assert [value for _, value in choices.models] == list(available())
    assert [value for _, value in choices.devices][:2] == ["auto", "cpu"]


def test_choices_know_the_user_s_models_but_no_damaged_ones(own_models, tmp_path):
    engine = Engine()
    add(write_model(tmp_path / "x.safetensors"), "mine", "for the <new> stain")
    (own_models / "damaged.safetensors").write_bytes(b"")
    choices = engine.choices()
    assert choices.models == [("default", "default"), ("mine", "mine")]
    assert choices.facts["mine"].splitlines()[0] == "for the <new> stain"


def test_blank_planes_of_stacks_are_not_looked_at(request_, monkeypatch):
    looked = []
    monkeypatch.setattr("napari_pffnet.segment.Segmenter.predict", lambda *_: looked.append(1))
    plane = take_plane(Image(np.full((64, 96), 7)), (0, 0), (0, 1))
    request = replace(request_, plane=plane, config=request_.config.model_copy(update={"scale": 1.0}), of_stack=True)
    outcome = Engine().run(request, lambda *_: None, lambda: False)
    assert (looked, len(outcome.prediction.boxes), outcome.prediction.shape) == ([], 0, (64, 96))
    assert not outcome.compose(request.config).labels.any()


def test_run_gives_a_prediction_of_the_plane(request_):
    steps = []
    outcome = Engine().run(request_, lambda done, total: steps.append((done, total)), lambda: False)
    assert outcome.prediction.shape == (64, 96)
    assert outcome.device == "CPU"
    assert steps[-1][0] == steps[-1][1] > 1
    assert outcome.prediction.compose(request_.config).labels.shape == (64, 96)


def test_the_whole_image_is_measured_once_a_run_and_never_for_its_zoom(request_, monkeypatch):
    measured = []
    for module in ("segmenter", "pointer"):
        monkeypatch.setattr(
            f"napari_pffnet.segment.{module}.limits", lambda *given: measured.append(1) or limits(*given)
        )
    engine = Engine()
    engine.zoom(request_, lambda: False)
    assert measured == []
    pointer = engine.run(request_, lambda *_: None, lambda: False).pointer
    pointer.prepare((10, 10, 20, 20))
    assert measured == [1]


def test_level_is_that_of_the_diameter_given_or_seen(monkeypatch):
    pixels = np.random.default_rng(0).random((2048, 2048), np.float32)
    layer = Image([pixels, pixels[::2, ::2], pixels[::4, ::4]], multiscale=True)
    engine, looked = Engine(), []
    engine._load = lambda name, device: fake_model(diameter=8)

    def level(**config):
        levels = [take_plane(layer, (0, 0), (0, 1), part=whole(layer, (0, 1), level)) for level in range(3)]
        return engine.level(Request(levels[0], "default", "cpu", SegmentConfig(**config)), levels)

    def estimate(segmenter, part, pixel_size):
        looked.append(part.shape)
        return 10.0

    assert level(diameter=8) == 0
    assert level(diameter=17) == 1
    assert not looked
    monkeypatch.setattr("napari_pffnet.segment.levels.estimate_diameter", estimate)
    assert level() == 0
    layer.scale, layer.units = (0.09, 0.09), ("um", "um")
    assert level() == 2, "10 pixels of the smallest level are 40 of the largest"


def test_model_is_loaded_once(request_):
    engine = Engine()
    assert engine._load(request_.model, "cpu") is engine._load(request_.model, "cpu")


def test_after_a_run_that_memory_drove_to_the_cpu_the_device_is_tried_again(request_, monkeypatch):
    monkeypatch.setattr("napari_pffnet.library.pick_device", lambda _name: torch.device("meta"))
    engine = Engine()
    model = engine._load(request_.model, "auto")
    model.network.to_empty(device="cpu")
    model.network.most_regions, model.allowed.tile = 64, 256
    again = engine._load(request_.model, "auto")
    assert (model.device.type, again.device.type) == ("cpu", "meta")
    assert (again.network.most_regions, again.allowed.tile) == (64, 256)
    assert engine._load(request_.model, "auto") is again
    again.network.to_empty(device="cpu")
    monkeypatch.setattr(type(again), "copied_to", Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory")))
    assert engine._load(request_.model, "auto") is again, "it goes on where it is"


def test_without_memory_the_features_of_earlier_images_are_forgotten_first(request_, monkeypatch):
    engine = Engine()
    engine.run(request_, lambda *_: None, lambda: False)
    encode = PFFNet.encode

    def full(network, images):
        if engine.memory():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(network, images)

    monkeypatch.setattr(PFFNet, "encode", full)
    with pytest.warns(UserWarning, match="without the features kept"):
        engine.run(replace(request_, config=SegmentConfig(tile=128)), lambda *_: None, lambda: False)
    assert engine.memory() > 0, "those of the image in view are kept"


def test_each_of_two_threads_gets_the_model_that_it_asked_for(tmp_path, monkeypatch):
    engine, threads, found = Engine(), ThreadPoolExecutor(1), []

    class Model(SimpleNamespace):
        @property
        def allowed(self):
            """Of the first: another thread asks for the second before the first is handed over."""
            if self.name == "first":
                found.append(threads.submit(lambda: engine._load("second", "cpu").name))
                with contextlib.suppress(TimeoutError):
                    found[0].result(0.2)
            return SimpleNamespace()

    for name in ("first", "second"):
        (tmp_path / name).touch()
    monkeypatch.setattr(library, "find", lambda name: tmp_path / name)
    monkeypatch.setattr(library, "load_model", lambda name, device: Model(name=name, device=device))
    with threads:
        assert engine._load("first", "cpu").name == "first"
    assert found[0].result() == "second"


def test_pixels_that_are_not_square_keep_both_sides():
    image = Image(np.zeros((3, 20, 30)), scale=(2, 0.5, 0.25), units=("um", "um", "um"))
    lazy = _lazy(take_plane(image, (0, 0, 0), (0, 1, 2)))
    assert (lazy.pixel_size, lazy.pixel_area, lazy.placement.scale) == (0.25, 0.125, (0.5, 0.25))


def test_a_closed_engine_holds_neither_model_nor_features(request_):
    engine = Engine()
    engine.run(request_, lambda *_: None, lambda: False)
    model = weakref.ref(engine._model.network)
    assert engine.memory() > 0
    engine.close()
    gc.collect()
    assert (model(), engine.memory()) == (None, 0)


def test_a_name_given_to_another_model_is_loaded_again(tmp_path):
    engine = Engine()
    add(write_model(tmp_path / "x.safetensors", {"number": 1}), "mine")
    assert engine._load("mine", "cpu").card == {"number": 1}
    remove("mine")
    with pytest.raises(LibraryError, match="no model 'mine'"):
        engine._load("mine", "cpu")
    add(write_model(tmp_path / "y.safetensors", {"number": 2}), "mine")
    assert engine._load("mine", "cpu").card == {"number": 2}


def test_cancel_and_missing_model(request_):
    with pytest.raises(Cancelled):
        Engine().run(request_, lambda *_: None, lambda: True)
    with pytest.raises(LibraryError, match="no model 'nowhere'"):
        Engine()._load("nowhere", "cpu")
