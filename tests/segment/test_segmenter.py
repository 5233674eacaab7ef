from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fakes import BrightSquares, fake_model, squares_image
from napari_pffnet.config import SegmentConfig
from napari_pffnet.library import Model
from napari_pffnet.segment import Cancelled, Segmenter
from napari_pffnet.segment.segmenter import sample_windows

TILED = SegmentConfig(tile=100, tile_overlap=32)


class Hungry(BrightSquares):
    """Runs out of memory on images with a side over `limit`, as GPU and CPU do."""

    def __init__(self, limit, error=torch.OutOfMemoryError):
        super().__init__()
        self.limit, self.error = limit, error

    def encode(self, images):
        if max(images[0].shape) > self.limit:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().encode(images)


@pytest.mark.parametrize("shape", [(300, 420), (101, 90), (90, 401)])
def test_tiled_equals_untiled(shape):
    image, count = squares_image(shape)
    tiled, whole = fake_model(), fake_model()
    got = Segmenter(tiled, TILED).predict(image).compose()
    wanted = Segmenter(whole).predict(image).compose()
    assert len(tiled.network.seen) > len(whole.network.seen) == 1
    assert len(wanted.table) == count
    np.testing.assert_array_equal(got.labels, wanted.labels)
    np.testing.assert_array_equal(got.semantic, wanted.semantic)
    assert got.table.equals(wanted.table)


@pytest.mark.parametrize("at_once", [2, 3, 100])
def test_tiles_seen_together_give_what_they_give_one_by_one(at_once):
    image, _ = squares_image((300, 420))
    config = TILED.model_copy(update={"tile_batch": at_once, "scale": 0.9})
    batches, steps = [], []

    class Counting(BrightSquares):
        def encode(self, images):
            batches.append(len(images))
            return super().encode(images)

    segmenter = Segmenter(fake_model(Counting()), config)
    got = segmenter.predict(image, lambda done, total: steps.append((done, total)))
    wanted = Segmenter(fake_model(), config.model_copy(update={"tile_batch": 1})).predict(image)
    count = sum(batches)
    assert max(batches) == min(at_once, count)
    assert steps == [(done, count) for done in range(0, count, at_once)] + [(count, count)]
    for name in ("boxes", "scores", "quality", "masks", "semantic"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


def test_where_the_device_cannot_resize_the_cpu_does(monkeypatch):
    image, _ = squares_image((150, 120))
    segmenter, interpolate, tried = Segmenter(fake_model(), SegmentConfig(scale=0.7)), F.interpolate, []

    def fails_at_first(*arguments, **more):
        tried.append(1)
        if len(tried) % 2:
            raise NotImplementedError("aten::_upsample_bilinear2d_aa.out is not implemented for the MPS device")
        return interpolate(*arguments, **more)

    wanted = segmenter.predict(image)
    monkeypatch.setattr(F, "interpolate", fails_at_first)
    got = segmenter.predict(image)
    assert tried
    np.testing.assert_array_equal(got.semantic, wanted.semantic)
    np.testing.assert_array_equal(got.boxes, wanted.boxes)


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_nucleus_that_two_tiles_place_differently_counts_once(shift):
    class Shifted(BrightSquares):
        def predict(self, features):
            [result] = super().predict(features)
            result["boxes"][:, [0, 2]] += shift * (-1) ** len(self.seen)
            return [result]

    image = np.zeros((60, 180), np.float32)
    image[20:40, 80:100] = 1
    prediction = Segmenter(fake_model(Shifted()), SegmentConfig(tile=110, tile_overlap=40)).predict(image)
    assert prediction.boxes.tolist() in ([[80 + shift, 20, 100 + shift, 40]], [[80 - shift, 20, 100 - shift, 40]])


@pytest.mark.parametrize(
    ("config", "seen"),
    [
        (SegmentConfig(scale=0.5), (50, 70)),
        (SegmentConfig(diameter=48), (50, 70)),
        (SegmentConfig(diameter=12), (200, 280)),
        (SegmentConfig(diameter=12, scale=1), (100, 140)),
    ],
)
def test_the_network_sees_the_zoomed_image_and_results_are_in_image_pixels(config, seen):
    image = np.zeros((100, 140), np.uint8)
    image[20:60, 40:100] = 200
    model = fake_model(diameter=24)
    labels, semantic, table = Segmenter(model, config).predict(image).compose()
    assert model.network.seen == [seen]
    np.testing.assert_array_equal(labels, image > 0)
    np.testing.assert_array_equal(semantic, image > 0)
    assert table[["y", "x", "area"]].values.tolist() == [[39.5, 69.5, 2400]]


def test_tiles_are_counted_in_pixels_of_the_zoomed_image():
    model, image = fake_model(), np.random.default_rng(0).random((150, 400))
    Segmenter(model, SegmentConfig(tile=100, tile_overlap=20, scale=0.5)).predict(image)
    assert model.network.seen == [(75, 80)] * 3


def test_a_diameter_needs_a_model_that_knows_its_own():
    with pytest.raises(ValueError, match=r"fake does not say .* give the scale"):
        Segmenter(fake_model(), SegmentConfig(diameter=12))


def test_predictions_keep_the_thresholds():
    image, count = squares_image((101, 90))
    config = SegmentConfig(min_area=10_000)
    assert len(Segmenter(fake_model(), config).predict(image).compose().table) == 0
    assert len(Segmenter(fake_model()).predict(image).compose().table) == count > 0


@pytest.mark.parametrize("image", [np.zeros((40, 50)), np.full((40, 50, 3), 7, np.uint8), np.zeros((1, 1), bool)])
def test_an_image_without_nuclei_gives_empty_results(image):
    labels, semantic, table = Segmenter(fake_model()).predict(image).compose()
    assert labels.shape == semantic.shape == image.shape[:2]
    assert not labels.any()
    assert len(table) == 0


@pytest.mark.parametrize(
    ("shape", "message"), [((0, 5), "no pixels"), ((5,), "expected an image"), ((2, 9, 9), "2×9×9")]
)
def test_what_is_no_plane_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        Segmenter(fake_model()).predict(np.zeros(shape))


def test_of_several_tiles_blank_and_unwanted_ones_are_left_out():
    image, steps = np.zeros((100, 500), np.float32), []
    image[20:40, 30:50], image[20:40, 330:350] = 1, 0.8
    wanted = np.zeros(image.shape, bool)
    wanted[25:30, 335:340] = True
    model = fake_model()
    segmenter = Segmenter(model, SegmentConfig(tile=100, tile_overlap=20))
    whole = segmenter.predict(image, lambda done, total: steps.append((done, total)))
    assert len(model.network.seen) == steps[-1][1] == 3 < len(segmenter.tiles(image.shape))
    assert sorted(whole.boxes[:, 0].tolist()) == [30, 330]
    np.testing.assert_array_equal(whole.compose().labels > 0, image > 0)
    model.network.seen.clear()
    part = segmenter.predict(image, wanted=wanted)
    assert len(model.network.seen) == 2
    assert part.boxes.tolist() == [[330, 20, 350, 40]]
    nowhere = segmenter.predict(np.zeros((100, 500)), lambda done, total: steps.append((done, total)))
    assert steps[-1] == (1, 1), "who computes a share is told a number"
    assert (len(nowhere.boxes), nowhere.compose().labels.shape) == (0, (100, 500))


def test_progress_counts_tiles_and_cancel_stops_before_the_next():
    model, steps = fake_model(), []
    segmenter = Segmenter(model, TILED)
    image = np.random.default_rng(0).random((100, 200))
    segmenter.predict(image, lambda done, total: steps.append((done, total)))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    model.network.seen.clear()
    with pytest.raises(Cancelled):
        segmenter.predict(image, cancelled=lambda: len(model.network.seen) == 2)
    assert len(model.network.seen) == 2


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_the_tiles_for_good(error):
    image, count = squares_image((300, 600))
    model, config = fake_model(Hungry(520, error)), SegmentConfig(tile=1024)
    with pytest.warns(UserWarning, match="going on with tiles of 512 pixels"):
        assert len(Segmenter(model, config).predict(image).boxes) == count
    assert len(Segmenter(model, config).predict(image).boxes) == count
    assert Segmenter(model, config.model_copy(update={"tile": 256})).predict(image).config.tile == 256


def test_out_of_memory_first_means_one_tile_at_a_time():
    class Narrow(BrightSquares):
        def encode(self, images):
            if len(images) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().encode(images)

    image, count = squares_image((300, 420))
    model, config = fake_model(Narrow()), TILED.model_copy(update={"tile_batch": 4})
    with pytest.warns(UserWarning, match="one tile at a time"):
        assert len(Segmenter(model, config).predict(image).boxes) == count
    again = Segmenter(model, config)
    assert len(again.predict(image).boxes) == count, "it is remembered"
    assert again.config.tile == TILED.tile


def test_features_are_forgotten_once_before_tiles_get_smaller():
    image, count = squares_image((300, 600))
    model = fake_model(Hungry(520, torch.OutOfMemoryError))
    freed = []
    model.allowed.forget = lambda: freed.append(1) or 1
    with pytest.warns(UserWarning, match="going on") as told:
        assert len(Segmenter(model, SegmentConfig(tile=1024)).predict(image).boxes) == count
    assert len(freed) == 2, "what was tried since has filled it again"
    assert ["features kept" in str(each.message) for each in told] == [True, False]


class Greedy(BrightSquares):
    """Runs out of memory while more than 64 regions are looked at together."""

    def predict(self, features):
        if self.most_regions is None or self.most_regions > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().predict(features)


def test_out_of_memory_with_the_smallest_tile_means_fewer_proposals_at_once():
    image, count = squares_image((200, 200))
    model = fake_model(Greedy())
    segmenter = Segmenter(model, SegmentConfig(tile=256))
    with pytest.warns(UserWarning, match="64 proposals at once"):
        assert len(segmenter.predict(image).boxes) == count
    seen = len(model.network.seen)
    Segmenter(model, SegmentConfig(tile=256)).predict(image)
    assert len(model.network.seen) == seen + 1, "it is remembered"


def test_a_tile_of_a_large_image_is_looked_at_with_fewer_proposals_too():
    image, count = squares_image((200, 200))
    with pytest.warns(UserWarning, match="64 proposals at once"):
        assert len(Segmenter(fake_model(Greedy())).look([image], (0, 1))[0]["boxes"]) == count
    with pytest.raises(MemoryError, match="a tile of 200"), pytest.warns(match="64 proposals"):
        Segmenter(fake_model(Hungry(1))).look([image], (0, 1))


def test_a_place_that_is_pointed_at_is_encoded_once_kept_features_are_forgotten():
    image, _ = squares_image((200, 200))
    window = slice(0, 200), slice(0, 200)

    class Pointed(Hungry):
        def encode(self, images):
            super().encode(images)
            return Mock()

    network = Pointed(100)
    model, freed = fake_model(network), []

    def forget():
        freed.append(1)
        network.limit = 1000
        return 1

    model.allowed.forget = forget
    with pytest.warns(UserWarning, match="without the features kept"):
        assert Segmenter(model).encode(image, window, (0, 1)).window == window
    assert freed == [1]
    with pytest.raises(MemoryError, match="a tile of 200"), pytest.warns(match="64 proposals"):
        Segmenter(fake_model(Pointed(1))).encode(image, window, (0, 1))


def test_a_tile_of_a_large_image_is_encoded_without_keeping_anything_for_gradients():
    kept = []

    class Watched(BrightSquares):
        def encode(self, images):
            kept.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            return super().encode(images)

    Segmenter(fake_model(Watched())).look([squares_image((200, 200))[0]], (0, 1))
    assert kept == [(False, True)]


def test_without_memory_for_the_smallest_tile_the_cpu_takes_over(monkeypatch):
    class OnGPU(Hungry):
        where = "cuda"

        def to(self, device):
            self.where, self.limit = device, 1000

    monkeypatch.setattr(Model, "device", property(lambda self: torch.device(self.network.where)))
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, _device: tensor)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: torch.no_grad())
    monkeypatch.setattr("napari_pffnet.segment.segmenter.short_float", lambda _device: torch.float32)
    monkeypatch.setattr("napari_pffnet.segment.shortage.empty_cache", lambda _device: None)
    image, count = squares_image()
    monkeypatch.setattr("napari_pffnet.segment.shortage.FEWEST_REGIONS", None)
    with pytest.warns(UserWarning, match=r"on cuda .* going on with the CPU"):
        prediction = Segmenter(fake_model(OnGPU(1)), SegmentConfig(tile=256, tile_batch=1)).predict(image)
    assert len(prediction.boxes) == count


def test_no_memory_at_all_is_an_error_and_others_are_not_mistaken_for_it():
    with pytest.raises(MemoryError, match="256 pixels"), pytest.warns(match="64 proposals"):
        Segmenter(fake_model(Hungry(1)), SegmentConfig(tile=256)).predict(np.zeros((50, 50)))

    class Broken(BrightSquares):
        def encode(self, images):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        Segmenter(fake_model(Broken())).predict(np.zeros((50, 50)))


@pytest.mark.parametrize(
    ("precision", "able", "dtype"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("float32", True, torch.float32),
        ("bfloat16", False, torch.bfloat16),
    ],
)
def test_short_floats_where_the_processor_has_them_or_as_told(monkeypatch, precision, able, dtype):
    monkeypatch.setattr("napari_pffnet.model.precision._cpu_has_short_floats", lambda: able)
    with Segmenter(fake_model(), SegmentConfig(precision=precision)).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_torch_that_does_not_tell_of_short_floats_has_none(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    with Segmenter(fake_model()).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_places_to_measure_on_overlap_little_and_lie_within_the_image():
    for length in (100, 1200, 2048, 4000):
        windows = sample_windows((length, 900), 768)
        rows = sorted({(y.start, y.stop) for y, _ in windows})
        assert rows[0][0] == 0
        assert rows[-1][1] >= min(length, rows[0][1])
        assert rows[-1][0] < length
        assert sum(min(stop, length) - start for start, stop in rows) <= length + 32 * len(rows)
        assert all(stop - start <= 768 for start, stop in rows)
