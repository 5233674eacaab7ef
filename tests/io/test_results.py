import os

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_pffnet.data.normalize import normalize
from napari_pffnet.io.images import pixel_sizes_of, read_image
from napari_pffnet.io.results import OUTLINE, is_result, write_labels, write_overlay, write_semantic, write_table
from napari_pffnet.io.tiff import tiff


@pytest.mark.parametrize(("largest", "dtype"), [(0, np.uint16), (65535, np.uint16), (65536, np.uint32)])
def test_labels_are_as_wide_as_their_ids_need(largest, dtype, tmp_path):
    labels = np.zeros((7, 9), np.int32)
    labels[2, 3] = largest
    write_labels(tmp_path / "a.tif", labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.compression.name == "ADOBE_DEFLATE"
        assert file.asarray().dtype == dtype
        np.testing.assert_array_equal(file.asarray(), labels)


def test_semantic_keeps_the_ignored(tmp_path):
    semantic = np.array([[0, 1, 255]], np.uint8)
    write_semantic(tmp_path / "a.tif", semantic)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), semantic)


@pytest.mark.parametrize(
    ("axes", "shape", "known"),
    [("ZYX", (5, 7, 9), 0.5), ("TZYX", (2, 3, 7, 9), 0.5), ("IYX", (5, 7, 9), None), ("QQYX", (2, 3, 7, 9), None)],
)
def test_stacks_keep_axes_and_the_size_of_pixels_where_the_format_can(axes, shape, known, tmp_path):
    stack = np.arange(np.prod(shape)).reshape(shape)
    write_labels(tmp_path / "a.tif", stack, axes, 0.5)
    array, letters, size = read_image(tmp_path / "a.tif")
    assert (letters, size) == (axes, known)
    np.testing.assert_array_equal(array, stack)


def test_the_same_pixels_make_the_same_file():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert tiff(pixels, 0.5) == tiff(pixels, 0.5)
    assert tiff(pixels, 0.5) != tiff(pixels + 1, 0.5)


def test_each_size_of_a_pixel_is_kept(tmp_path):
    sizes = {"X": 0.5, "Y": 0.25, "Z": 2.0}
    write_semantic(tmp_path / "a.tif", np.zeros((5, 7, 9)), "ZYX", sizes)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert pixel_sizes_of(file) == sizes
        tags = file.pages[0].tags
        assert [tags[f"{axis}Resolution"].value for axis in "XY"] == [(20_000, 1), (40_000, 1)]
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER


@pytest.mark.parametrize("size", [5e-7, 1e9])
def test_sizes_that_no_pixel_has_are_written_all_the_same(tmp_path, size):
    write_labels(tmp_path / "a.tif", np.ones((5, 7), np.uint16), pixel_size=size)
    assert read_image(tmp_path / "a.tif")[2] == pytest.approx(size)


def test_table_reads_back(tmp_path):
    table = pd.DataFrame({"index": [1, 2], "area": [30, 40], "score": [0.12345, 1.0]})
    write_table(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text().splitlines() == ["index,area,score", "1,30,0.1235", "2,40,1.0000"]
    write_table(tmp_path / "a.csv", table, 0.25)
    assert (tmp_path / "a.csv").read_text().splitlines()[:2] == ["index,area,area_um2,score", "1,30,7.5000,0.1235"]
    write_table(tmp_path / "a.csv", table, place={"t": 1, "z": 5})
    assert (tmp_path / "a.csv").read_text().splitlines()[:2] == ["index,t,z,area,score", "1,1,5,30,0.1235"]
    assert list(table) == ["index", "area", "score"]


@pytest.mark.parametrize("colours", [(), (3,)])
def test_overlay_draws_outlines_inside_the_labels(colours, tmp_path):
    image = np.zeros((20, 30, *colours), np.uint16)
    image[:, 15:] = 4000
    labels = np.zeros((20, 30), np.int32)
    labels[5:10, 5:12] = 3
    write_overlay(tmp_path / "a.png", normalize(image), labels)
    with Image.open(tmp_path / "a.png") as file:
        picture = np.asarray(file)
    outline = (picture == OUTLINE).all(-1)
    assert outline.sum() == 5 * 7 - 3 * 5
    assert outline[5:10, 5:12].sum() == outline.sum()
    assert (picture[:, 15:] == 255).all()


def test_files_that_nobody_has_touched_are_told_from_others(tmp_path):
    table = pd.DataFrame([range(8)], columns=["index", "y", "x", "area", "score", "quality", "mask_score", "overlap"])
    write_labels(tmp_path / "a.tif", np.ones((5, 7), int))
    write_table(tmp_path / "a.csv", table, 0.25)
    write_table(tmp_path / "b.csv", table, place={"t": 0, "z": 3, "plane": 2})
    linked = table.drop(columns="overlap").assign(z=1)
    for at, name in enumerate(("z_first", "z_last", "planes"), start=1):
        linked.insert(at, name, at)
    write_table(tmp_path / "c.csv", linked)
    write_overlay(tmp_path / "a.png", np.zeros((3, 5, 7), np.float32), np.ones((5, 7), int))
    assert all(map(is_result, tmp_path.iterdir()))
    with Image.open(tmp_path / "a.png") as picture:
        facts = PngInfo()
        facts.add_text("Software", picture.info["Software"])
        picture.point(lambda value: 255 - value).save(tmp_path / "a.png", pnginfo=facts)
    write_table(tmp_path / "a.csv", table.drop(columns="score"))
    write_table(tmp_path / "b.csv", table.assign(kind=1))
    for name, column in (("d", "g"), ("e", "plane_of_interest"), ("f", "peak_last")):
        write_table(tmp_path / f"{name}.csv", table.assign(**{column: 1}), place={"z": 3})
    linked = table.drop(columns="overlap").assign(planes=2)
    linked.insert(1, "z_first", 0)
    write_table(tmp_path / "g.csv", linked.assign(z_last=1))
    write_table(tmp_path / "c.csv", table.drop(columns="overlap").assign(z_first=0, z_last=1))
    tifffile.imwrite(tmp_path / "a.tif", np.ones((5, 7), np.uint16))
    assert not any(map(is_result, [*tmp_path.iterdir(), tmp_path / "none.csv"]))


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    def fail(_file):
        raise OSError("disk full")

    write_semantic(tmp_path / "a.tif", np.ones((2, 2)))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_labels(tmp_path / "a.tif", np.full((2, 2), 7))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    assert (tifffile.imread(tmp_path / "a.tif") == 1).all()
