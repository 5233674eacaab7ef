"""The same nucleus seen in two tiles: kept once, whole, and by what it is."""

import numpy as np
import pytest

from napari_pffnet.config import SegmentConfig
from napari_pffnet.library import load_model
from napari_pffnet.samples import u2os
from napari_pffnet.segment import Segmenter
from napari_pffnet.segment.seams import in_image, merge
from napari_pffnet.segment.tiles import make_tiles

LEFT, RIGHT = make_tiles((100, 180), 110, 40)
DISC = (np.hypot(*(np.indices((28, 28)) - 13.5)) < 14).astype(np.float16)


def seen(*boxes, scores=None, masks=None):
    count = len(boxes)
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "scores": np.array(scores or [0.9] * count, np.float32),
        "quality": np.ones(count, np.float32),
        "masks": np.ones((count, 28, 28), np.float16) if masks is None else np.array(masks),
    }


def test_the_tiles_overlap_from_70_to_110_and_meet_at_90():
    assert (RIGHT.x.start, LEFT.x.stop, LEFT.x.core_stop) == (70, 110, 90)


def test_who_saw_more_around_it_describes_it_even_with_a_lower_score():
    merged = merge([seen((74, 20, 95, 40)), seen((75, 20, 96, 40), scores=[0.99])], [LEFT, RIGHT])
    assert merged["boxes"].tolist() == [[74, 20, 95, 40]]


@pytest.mark.parametrize("order", [1, -1])
def test_a_nucleus_cut_by_one_tile_is_taken_from_the_other(order):
    found, tiles = [seen((92, 20, 110, 40)), seen((92, 20, 130, 40))], [LEFT, RIGHT]
    assert merge(found[::order], tiles[::order])["boxes"].tolist() == [[92, 20, 130, 40]]


def test_a_nucleus_that_every_tile_cuts_is_joined():
    merged = merge([seen((40, 20, 110, 60)), seen((70, 20, 150, 60))], [LEFT, RIGHT])
    assert merged["boxes"].tolist() == [[40, 20, 150, 60]]
    assert (merged["masks"] > 0.5).all()


def test_neighbours_whose_boxes_overlap_stay_two_since_their_masks_do_not():
    """Two triangles of one square: box IoU 0.9, no common pixel."""
    lower, upper = (np.array(m, np.float16) for m in (np.tri(28, k=-1), np.tri(28, k=-1).T))
    found = [seen((80, 20, 100, 40), masks=[lower]), seen((80, 20, 101, 40), masks=[upper])]
    assert len(merge(found, [LEFT, RIGHT])["boxes"]) == 2


def test_where_one_tile_sees_two_nuclei_and_the_other_a_clump_the_owner_of_the_place_is_right():
    pair, clump = seen((70, 20, 80, 30), (80, 20, 89, 30)), seen((70, 20, 111, 30), scores=[0.99])
    clump["boxes"][0, 2] = 89  # its centre lies in the left core: the right tile is a guest there
    assert len(merge([pair, clump], [LEFT, RIGHT])["boxes"]) == 2


def test_a_nucleus_that_only_the_guest_saw_is_kept():
    merged = merge([seen((20, 20, 40, 40)), seen((78, 60, 98, 80))], [LEFT, RIGHT])
    assert len(merged["boxes"]) == 2


def test_four_tiles_around_a_corner_keep_one():
    tiles = make_tiles((180, 180), 110, 40)
    merged = merge([seen((82 + i, 81 + i, 98 + i, 99 + i), masks=[DISC]) for i in range(4)], tiles)
    assert len(merged["boxes"]) == 1


def test_the_best_comes_first_and_nothing_gives_nothing():
    merged = merge([seen((5, 5, 15, 15), scores=[0.6]), seen((150, 5, 160, 15), scores=[0.8])], [LEFT, RIGHT])
    assert merged["scores"].tolist() == pytest.approx([0.8, 0.6])
    assert len(merge([seen(), seen()], [LEFT, RIGHT])["boxes"]) == 0


def test_a_tile_keeps_what_is_centred_in_its_core_or_just_beyond():
    kept = in_image(seen((10, 5, 30, 15), (15, 5, 35, 15), (1, 5, 21, 15)), RIGHT, margin=8)
    assert kept["boxes"][:, 0].tolist() == [80, 85]


def test_real_nuclei_are_found_in_tiles_as_without():
    image = u2os()[0][0][:256, :384]
    model = load_model()
    labels = [
        Segmenter(model, SegmentConfig(tile=tile, tile_overlap=96, precision="float32")).predict(image).compose().labels
        for tile in (224, 512)
    ]
    tiled, whole = labels
    ids = np.unique(whole)[1:]
    best = [max(_iou(whole == i, tiled == j) for j in np.unique(tiled[whole == i])) for i in ids]
    assert abs(int(tiled.max()) - len(ids)) <= 1
    assert np.mean(np.array(best) > 0.9) >= 0.9


def _iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)
