import numpy as np
import pytest

from fakes import BrightSquares, fake_model
from napari_pffnet.config import SegmentConfig
from napari_pffnet.segment import Segmenter, segment_image


class OnlySmall(BrightSquares):
    """Finds nothing that is larger than 60 pixels."""

    def found_in(self, image):
        found = super().found_in(image)
        small = (found["boxes"][:, 2:] - found["boxes"][:, :2]).amax(1) < 60
        return {name: values if name == "semantic" else values[small] for name, values in found.items()}


def large_squares():
    y, x = np.indices((500, 500)) // 100
    return ((y % 2) & (x % 2)).astype(np.float32)


def test_an_image_is_seen_at_the_zoom_that_suits_its_nuclei():
    model = fake_model(OnlySmall(), diameter=24)
    assert not Segmenter(model).predict(large_squares()).compose().labels.any()
    found = segment_image(large_squares(), model)
    assert found.labels.shape == found.semantic.shape == (500, 500)
    assert len(found.table) == found.labels.max() == 4


def test_thresholds_and_sizes_can_be_given():
    model = fake_model(diameter=24)
    assert len(segment_image(large_squares(), model, config=SegmentConfig(score_threshold=1.0)).table) == 0
    with pytest.raises(ValueError, match="zoomed"):
        segment_image(large_squares(), model, config=SegmentConfig(diameter=1e-3))
