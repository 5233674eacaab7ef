import numpy as np

from fakes import fake_model, squares_image
from napari_pffnet.segment import Segmenter
from napari_pffnet.segment.stack import predict_plane

IMAGE, COUNT = squares_image((200, 240))


def test_blank_planes_are_not_looked_at_and_others_are_seen_as_ever():
    segmenter = Segmenter(fake_model(diameter=12))
    blank = predict_plane(segmenter, np.full(IMAGE.shape, 7, np.uint16))
    assert segmenter.model.network.seen == []
    assert blank.compose().labels.shape == blank.semantic.shape == IMAGE.shape
    assert len(blank.compose().table) == 0
    seen = predict_plane(segmenter, IMAGE)
    np.testing.assert_array_equal(seen.boxes, segmenter.predict(IMAGE).boxes)
    assert len(seen.boxes) == COUNT
    faint = predict_plane(segmenter, IMAGE * 1e-6)
    assert len(faint.boxes) == COUNT, "at the limits of the plane itself"
