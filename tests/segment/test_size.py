import numpy as np
import pytest
import torch
from skimage.data import immunohistochemistry
from skimage.transform import rescale

from fakes import BrightSquares, fake_model
from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.sizes import typical_diameter
from napari_pffnet.labels import areas
from napari_pffnet.library import load_model
from napari_pffnet.samples import u2os
from napari_pffnet.segment import Cancelled, Segmenter, estimate_diameter, sized
from napari_pffnet.segment.size import liveliest, liveliness


def squares(side, shape=(512, 512)):
    """Bright squares at distances of twice their side."""
    y, x = np.indices(shape) // side
    return ((y % 2) & (x % 2)).astype(np.float32)


@pytest.mark.parametrize("side", [8, 24, 100])
def test_the_diameter_of_squares_is_that_of_discs_of_their_area(side):
    found = estimate_diameter(Segmenter(fake_model(diameter=24)), squares(side))
    assert found == pytest.approx(2 * side / np.pi**0.5, rel=0.2)


def test_what_only_one_zoom_sees_does_not_count():
    class Fooled(BrightSquares):
        """Takes all of a very small image for three large nuclei."""

        def found_in(self, image):
            if max(image.shape[1:]) > 150:
                return super().found_in(image)
            thirds = torch.zeros_like(image)
            for start in (0, 48, 96):
                thirds[:, 8:120, start : start + 30] = 1
            return super().found_in(thirds)

    found = estimate_diameter(Segmenter(fake_model(Fooled(), diameter=24)), squares(24))
    assert found == pytest.approx(2 * 24 / np.pi**0.5, rel=0.2)


def test_brown_glands_are_not_taken_for_nuclei():
    found = estimate_diameter(Segmenter(load_model(device="cpu")), immunohistochemistry())
    assert 8 < found < 20


def test_objects_of_impossible_size_are_no_nuclei():
    segmenter = Segmenter(fake_model(diameter=24))
    assert estimate_diameter(segmenter, squares(100), 0.2) == pytest.approx(113, rel=0.2)
    assert estimate_diameter(segmenter, squares(100), 0.5) == 8 / 0.5
    assert estimate_diameter(segmenter, squares(100), 353) == pytest.approx(113, rel=0.2), "72 dpi is no pixel size"


def test_where_no_nuclei_are_seen_the_size_of_the_pixels_tells():
    segmenter = Segmenter(fake_model(diameter=24))
    nothing = np.zeros((60, 50), np.float32)
    assert estimate_diameter(segmenter, nothing, 0.1) == 80
    assert sized(segmenter, nothing, 0.1).scale == pytest.approx(1.3 * 24 / 80)
    assert sized(segmenter, nothing, 0.3) is segmenter


@pytest.mark.parametrize("looks", [0, 2])
def test_cancel_stops_before_the_next_look(looks):
    segmenter = Segmenter(fake_model(diameter=24))
    with pytest.raises(Cancelled):
        sized(segmenter, squares(8), cancelled=lambda: len(segmenter.model.network.seen) == looks)
    assert len(segmenter.model.network.seen) == looks


def test_nothing_found_is_no_diameter():
    assert estimate_diameter(Segmenter(fake_model(diameter=24)), np.zeros((60, 50), np.float32)) is None


def test_large_nuclei_are_seen_smaller_and_come_back_at_full_size():
    image = squares(100)
    segmenter = sized(Segmenter(fake_model(diameter=24)), image)
    assert segmenter.scale == pytest.approx(0.28, abs=0.04)
    labels = segmenter.predict(image).compose().labels
    assert labels.shape == image.shape
    assert ((labels > 0) == (image > 0)).mean() > 0.95


@pytest.mark.parametrize("config", [SegmentConfig(scale=1), SegmentConfig(diameter=24)])
def test_what_the_user_has_set_stands(config):
    segmenter = Segmenter(fake_model(diameter=24), config)
    assert sized(segmenter, squares(100)) is segmenter
    assert not segmenter.model.network.seen


def test_a_model_that_does_not_say_what_it_knows_sees_images_as_they_are():
    segmenter = Segmenter(fake_model(diameter=None))
    assert sized(segmenter, squares(100)) is segmenter


@pytest.mark.parametrize("factor", [0.5, 2])
def test_the_shipped_model_finds_the_diameter_of_real_nuclei(factor):
    (image, *_), (labels, *_) = u2os()
    part = image[:384, :384]
    wanted = typical_diameter(areas(labels[:384, :384]))
    found = estimate_diameter(Segmenter(load_model("default")), rescale(part, factor))
    assert found == pytest.approx(factor * wanted, rel=0.2)


def test_the_part_with_the_most_contrast_is_looked_at():
    image = np.zeros((300, 500), np.float32)
    image[210:290, 120:190] = squares(8, (80, 70))
    y, x = liveliest(image, 100)
    assert (y, x) == (slice(200, 300), slice(100, 200))


def test_what_is_not_finite_is_not_lively():
    image = np.full((300, 500), np.nan, np.float32)
    image[210:290, 120:190] = squares(8, (80, 70))
    y, x = liveliest(image, 100)
    assert (y, x) == (slice(200, 300), slice(100, 200))
    assert liveliest(np.full((300, 500), np.nan), 100) == (slice(0, 100), slice(0, 100))


def test_nuclei_are_livelier_than_the_edge_of_tissue():
    image = np.full((512, 1536, 3), 240, np.uint8)
    image[:, 300:] = 90  # tissue; the edge is in the first of three windows
    image[:, 1024:][squares(12) > 0] = 60
    assert liveliest(image, 512) == (slice(0, 512), slice(1024, 1536))
    assert liveliest(image[..., 0].astype(np.float32), 512) == (slice(0, 512), slice(1024, 1536))
    noise = np.random.default_rng(0).normal(0, 1, (2, 512, 512))
    few = np.zeros((512, 512))
    few[100:112, 100:112] = few[300:312, 400:412] = 90
    assert liveliness(few + 3 * noise[0]) > liveliness(6 * noise[1]), "noise is no nuclei"
    assert [liveliness(np.zeros(shape)) for shape in ((1, 1), (3, 200), (70, 3))] == [0, 0, 0]
