from itertools import pairwise

import numpy as np
import pytest

from napari_pffnet.segment.tiles import make_tiles

SHAPES = [((1, 1), 8, 2), ((64, 64), 64, 16), ((65, 200), 64, 16), ((100, 333), 32, 31), ((50, 50), 16, 0)]


@pytest.mark.parametrize(("shape", "size", "overlap"), SHAPES)
def test_cores_cover_the_image_once_and_lie_half_an_overlap_inside(shape, size, overlap):
    count = np.zeros(shape, int)
    for tile in make_tiles(shape, size, overlap):
        count[tile.core] += 1
        assert np.zeros(shape)[tile.window][tile.core_in_tile].shape == count[tile.core].shape
        for span, length in zip(tile, shape, strict=True):
            assert 0 < span.stop - span.start <= size
            assert span.start == 0 or span.core_start - span.start >= overlap // 2
            assert span.stop == length or span.stop - span.core_stop >= overlap // 2
    assert (count == 1).all()


@pytest.mark.parametrize(("shape", "size", "overlap"), SHAPES)
def test_all_tiles_have_one_shape_and_neighbours_overlap(shape, size, overlap):
    tiles = make_tiles(shape, size, overlap)
    assert len({(t.y.stop - t.y.start, t.x.stop - t.x.start) for t in tiles}) == 1
    spans = sorted({t.x for t in tiles})
    assert all(left.stop - right.start >= overlap for left, right in pairwise(spans))


def test_an_image_a_little_over_the_tile_costs_little_more():
    tiles = make_tiles((1040, 1040), 1024, 128)
    assert len(tiles) == 4
    assert tiles[0].y.stop == (1040 + 128) / 2


@pytest.mark.parametrize("overlap", [-1, 8])
def test_overlap_must_be_under_the_size(overlap):
    with pytest.raises(ValueError, match="under the tile size 8"):
        make_tiles((20, 20), 8, overlap)


@pytest.mark.parametrize("step", [32, 12.8, 64])
@pytest.mark.parametrize("shape", [(700, 1033), (513, 2000)])
def test_tiles_start_on_the_networks_grid_and_only_the_last_may_be_cut(shape, step):
    tiles = make_tiles(shape, 512, 128, step)
    assert sum((t.core[0].stop - t.core[0].start) * (t.core[1].stop - t.core[1].start) for t in tiles) == np.prod(shape)
    for tile in tiles:
        for span, length in zip(tile, shape, strict=True):
            assert abs(span.start / step - round(span.start / step)) * step <= 0.5
            assert span.stop == length or span.stop - span.core_stop >= 63
            assert span.stop - span.start <= 513
