"""One nucleus where the user points, by the model that comes with the package."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_pffnet.config import SegmentConfig
from napari_pffnet.library import load_model
from napari_pffnet.segment import FeatureCache, Pointer, Segmenter
from napari_pffnet.segment.prediction import Prediction
from napari_pffnet.synthetic import synthetic_nuclei

IMAGE, TRUTH = synthetic_nuclei((160, 160), count=12, seed=3)


@pytest.fixture(scope="module")
def model():
    return load_model("default")


@pytest.fixture
def encoded(model, monkeypatch):
    """Segmenter and how often it ran the network's body."""
    segmenter, seen = Segmenter(model, SegmentConfig(tile=160)), []
    encode = model.network.encode
    monkeypatch.setattr(model.network, "encode", lambda images: seen.append(1) or encode(images))
    return segmenter, seen


def bounds(label):
    rows, columns = np.nonzero(label == TRUTH)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def iou(found, label):
    mask = np.zeros(TRUTH.shape, bool)
    mask[found.indices] = True
    return np.count_nonzero(mask & (label == TRUTH)) / np.count_nonzero(mask | (label == TRUTH))


def test_drawn_box_gives_its_nucleus_and_the_body_runs_once(encoded):
    segmenter, seen = encoded
    pointer = Pointer(segmenter, IMAGE, FeatureCache())
    assert not pointer.ready(bounds(1))
    pointer.prepare(bounds(1))
    assert pointer.ready(bounds(1))
    labels = [label for label in range(1, 13) if min(bounds(label)) > 2 and max(bounds(label)) < 158]
    found = [pointer.nucleus_in(bounds(label)) for label in labels]
    assert np.mean([iou(each, label) for each, label in zip(found, labels, strict=True)]) > 0.8
    assert all(0 <= each.score <= 1 and 0 <= each.quality <= 1 for each in found)
    assert len(seen) == 1


def test_click_gives_the_nucleus_that_covers_it_after_a_run(encoded):
    segmenter, seen = encoded
    pointer = Pointer(segmenter, IMAGE, FeatureCache())
    pointer.prediction = segmenter.predict(IMAGE, keep=pointer.keep)
    y0, x0, y1, x1 = bounds(2)
    place = (y0 + y1) / 2 + 0.4, (x0 + x1) / 2
    found = pointer.nucleus_at(*place)
    assert (round(place[0]), round(place[1])) in zip(*found.indices, strict=True)
    assert iou(found, 2) > 0.7
    assert len(seen) == 1


def test_rejected_detection_is_the_answer_where_it_is_the_best(encoded):
    segmenter, _ = encoded
    far = np.argwhere(TRUTH == 0)[np.argmax(np.abs(np.argwhere(TRUTH == 0) - 80).sum(1))]
    y, x = np.clip(far, 6, 153)
    pointer = Pointer(segmenter, IMAGE, FeatureCache())
    pointer.prediction = Prediction(
        boxes=np.array([[x - 5, y - 5, x + 5, y + 5]], np.float32),
        scores=np.ones(1, np.float32),
        quality=np.ones(1, np.float32),
        masks=np.ones((1, 28, 28), np.float16),
        semantic=np.zeros(IMAGE.shape, np.float16),
    )
    found = pointer.nucleus_at(y, x)
    assert len(found.indices[0]) == 100
    assert found.score == found.quality == 1


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_answers_are_in_image_pixels_at_any_scale(model, scale):
    pointer = Pointer(Segmenter(model, SegmentConfig(tile=300, scale=scale)), IMAGE, FeatureCache())
    assert iou(pointer.nucleus_in(bounds(2)), 2) > 0.6


def test_only_the_tile_around_is_computed_and_again_when_forgotten(encoded):
    segmenter, seen = encoded
    image = np.pad(IMAGE, ((0, 300), (0, 400)), constant_values=1000)
    cache = FeatureCache()
    pointer = Pointer(segmenter, image, cache)
    assert iou(pointer.nucleus_in(bounds(2)), 2) > 0.7
    (tile,) = (pointer.cache.get(key) for key in list(cache._kept))
    assert [part.stop - part.start for part in tile.window] == [160, 160]
    assert not pointer.ready((300, 300, 320, 320))
    cache.clear()
    assert not pointer.ready(bounds(2))
    pointer.nucleus_in(bounds(2))
    assert len(seen) == 2


def test_what_another_run_makes_forgotten_meanwhile_is_no_fault(model):
    class Forgetful(FeatureCache):
        def put(self, key, features):
            pass

    pointer = Pointer(Segmenter(model, SegmentConfig(tile=160)), IMAGE, Forgetful())
    assert iou(pointer.nucleus_in(bounds(2)), 2) > 0.7


def test_on_background_nothing_is_found(encoded):
    segmenter, _ = encoded
    pointer = Pointer(segmenter, IMAGE, FeatureCache())
    pointer.prediction = segmenter.predict(IMAGE, keep=pointer.keep)
    far = distance_transform_edt(TRUTH == 0)
    places = np.argwhere(far >= np.sort(far, axis=None)[-40])[::8]
    assert [pointer.nucleus_at(float(y), float(x)) for y, x in places] == [None] * len(places)


def test_outside_nothing_is_found(encoded):
    pointer = Pointer(encoded[0], IMAGE, FeatureCache())
    assert pointer.nucleus_in((-30, -30, -20, -20)) is None
    assert pointer.nucleus_at(-20, 400) is None
