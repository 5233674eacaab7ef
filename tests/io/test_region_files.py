import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from skimage.draw import polygon2mask

from napari_pffnet.io.project import ProjectError
from napari_pffnet.io.regions import Area, Regions, outlines_of, read_regions, regions_bytes


def box(y0, x0, y1, x1):
    return Area(kind="rectangle", corners=((y0, x0), (y0, x1), (y1, x1), (y1, x0)))


def test_pixels_whose_centres_are_inside_are_complete():
    mask = Regions(areas=(box(1.5, 2.5, 4.5, 6.5),)).mask((8, 9))
    expected = np.zeros((8, 9), bool)
    expected[2:5, 3:7] = True
    np.testing.assert_array_equal(mask, expected)


def test_neighbouring_areas_share_no_pixel_and_leave_no_gap():
    parts = [Regions(areas=(area,)).mask((8, 9)) for area in (box(0, 0, 3, 9), box(3, 0, 8, 9))]
    np.testing.assert_array_equal(parts[0].astype(int) + parts[1], np.ones((8, 9), int))


def test_polygon_may_stick_out():
    mask = Regions(areas=(Area(corners=((-5, -5), (-5, 12), (12, -5))),)).mask((8, 8))
    np.testing.assert_array_equal(mask, np.add.outer(np.arange(8), np.arange(8)) < 7)


@pytest.mark.parametrize("seed", range(20))
def test_outlines_of_any_shape_hold_its_pixels(seed):
    """Triangles with points of a pixel, pieces that touch at a corner, lines."""
    corners = np.random.default_rng(seed).uniform(-5, 45, (3, 2))
    mask = polygon2mask((40, 40), corners)
    mask[seed, 3:9] = mask[30 + seed % 5, 30 + seed % 5] = True
    found = Regions(areas=outlines_of(mask)).mask(mask.shape)
    lost, more = mask & ~found, found & ~mask
    assert not (lost & ~binary_dilation(~mask)).any()
    assert not (more & ~binary_dilation(mask)).any()


def test_whole_image_and_none():
    assert Regions(whole=True).mask((2, 3)).all()
    assert not Regions().mask((2, 3)).any()


def test_file_reads_back_and_a_person_can_read_it(tmp_path):
    regions = Regions(areas=(box(0.5, 1, 4, 6.25), Area(corners=((0, 0), (5, 0), (0, 5)))))
    file = tmp_path / "a.json"
    file.write_bytes(regions_bytes(regions))
    assert read_regions(file) == regions
    assert '{"kind": "polygon", "corners": [[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]]}' in file.read_text()
    assert read_regions(tmp_path / "none.json") == Regions()


@pytest.mark.parametrize("text", ["{", "[]", '{"whole": true, "area": []}', '{"areas": [{"corners": [[1, 2]]}]}'])
def test_damaged_file_is_named(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ProjectError, match=r"a.json.*; correct that place, or delete the file"):
        read_regions(file)
