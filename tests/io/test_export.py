"""Nuclei for other programs, read back as these read them."""

import json
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import roifile
import shapely
import tifffile
from shapely.geometry import shape as geometry

from napari_pffnet.data.coco import CocoSource, decode, encode
from napari_pffnet.data.outlines import read_outlines
from napari_pffnet.io.export import outlines, unchanged, write_coco, write_geojson, write_rois
from napari_pffnet.io.place import Place
from napari_pffnet.synthetic import synthetic_nuclei

LABELS = np.zeros((12, 14), np.uint32)
LABELS[1:5, 2:7] = 70000
LABELS[2:4, 3:5] = 0  # a hole
LABELS[6, 6] = LABELS[7, 7] = 3  # pieces that touch at a corner
LABELS[9:, 10:] = 5  # at the edge of the image
TABLE = pd.DataFrame(
    {"index": [3, 5, 70000], "y": 0.0, "x": 0.0, "score": [0.5, np.nan, 0.98765], "mask_score": 0.25, "origin": "model"}
)


def drawn(shape, size):
    """Pixels whose centres an outline holds."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return shapely.contains_xy(shape, x, y)


@pytest.mark.parametrize("labels", [LABELS, synthetic_nuclei((90, 120), 12, 3)[1]], ids=["odd ones", "nuclei"])
def test_outlines_hold_the_pixels_and_nothing_else(labels):
    found = dict(outlines(labels))
    assert sorted(found) == [label for label in np.unique(labels) if label]
    for label, shape in found.items():
        assert shape.is_valid
        assert shape.area == np.count_nonzero(labels == label)
        np.testing.assert_array_equal(drawn(shape, labels.shape), labels == label)


def test_geojson_has_detections_with_measurements(tmp_path):
    write_geojson(tmp_path / "a.geojson", LABELS, TABLE)
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    features = {each["properties"]["name"]: each for each in content["features"]}
    assert sorted(features) == ["3", "5", "70000"]
    assert features["70000"]["properties"]["measurements"] == {"area": 16, "score": 0.9877, "mask_score": 0.25}
    assert features["5"]["properties"]["measurements"] == {"area": 12, "mask_score": 0.25}
    assert [features[name]["geometry"]["type"] for name in ("3", "5", "70000")] == [
        "MultiPolygon",
        "Polygon",
        "Polygon",
    ]
    assert len(features["70000"]["geometry"]["coordinates"]) == 2, "the hole is an inner ring"
    for name, each in features.items():
        assert each["properties"]["objectType"] == "detection"
        np.testing.assert_array_equal(drawn(geometry(each["geometry"]), LABELS.shape), int(name) == LABELS)


def test_rois_are_named_by_label_and_follow_pixel_edges(tmp_path):
    write_rois(tmp_path / "a.zip", LABELS)
    rois = {roi.name: roi for roi in roifile.roiread(tmp_path / "a.zip")}
    assert sorted(rois) == ["3", "3-2", "5", "70000"]
    areas = {name: shapely.Polygon(roi.coordinates()).area for name, roi in rois.items()}
    assert areas == {"3": 1, "3-2": 1, "5": 12, "70000": 20}
    np.testing.assert_array_equal(drawn(shapely.Polygon(rois["5"].coordinates()), LABELS.shape), LABELS == 5)
    write_rois(tmp_path / "none.zip", 0 * LABELS)
    assert (tmp_path / "none.zip").exists()


def test_coco_is_read_back_as_it_was(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(LABELS.shape, np.uint8))
    write_coco(tmp_path / "a.json", LABELS, TABLE, "a.tif")
    sample = CocoSource(tmp_path / "a.json").read(0)
    np.testing.assert_array_equal(sample.labels > 0, LABELS > 0)
    assert len(np.unique(sample.labels)) == 4
    annotations = {each["id"]: each for each in json.loads((tmp_path / "a.json").read_text())["annotations"]}
    assert annotations[70000]["bbox"] == [2, 1, 5, 4]
    assert annotations[70000]["area"] == 16
    assert {key: each["score"] for key, each in annotations.items()} == {3: 0.25, 5: 0.25, 70000: 0.25}


STACK = np.zeros((2, 3, 12, 14), np.int32)
STACK[1, :2, 2:5, 3:6] = 7  # one nucleus on two planes
STACK[0, 2, 8:, 1:4] = 4
SERIES = Place.of_all(STACK.shape, "TZYX")
PLANES = [(4, 2, 0), (7, 0, 1), (7, 1, 1)]


def test_objects_of_a_stack_have_the_plane_of_qupath(tmp_path):
    write_geojson(tmp_path / "a.geojson", STACK, place=SERIES)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    found = [(each["properties"]["name"], each["geometry"]["plane"]) for each in features]
    assert found == [(str(label), {"c": -1, "z": z, "t": t}) for label, z, t in PLANES]


def test_rois_of_a_stack_have_the_position_of_imagej(tmp_path):
    write_rois(tmp_path / "a.zip", STACK, SERIES)
    rois = roifile.roiread(tmp_path / "a.zip")
    found = [(roi.name, roi.z_position, roi.t_position, roi.position) for roi in rois]
    assert found == [(str(label), z + 1, t + 1, 0) for label, z, t in PLANES]
    with ZipFile(tmp_path / "a.zip") as file:
        assert file.namelist() == ["0003-4.roi", "0004-7.roi", "0005-7.roi"]
    for axes in ("ZYX", "TYX", "QYX"):
        write_rois(tmp_path / "a.zip", STACK[1], Place.of_all(STACK[1].shape, axes))
        rois = roifile.roiread(tmp_path / "a.zip")
        assert [(roi.position, roi.z_position, roi.t_position) for roi in rois] == [(1, 0, 0), (2, 0, 0)], "plain"


def test_coco_has_an_image_of_each_plane(tmp_path):
    write_coco(tmp_path / "a.json", STACK, image="a.tif", place=SERIES)
    content = json.loads((tmp_path / "a.json").read_text())
    planes = {each["id"]: each["plane"] for each in content["images"]}
    assert list(planes.values()) == [{"z": z, "t": t} for t in range(2) for z in range(3)], "empty ones, too"
    assert {each["file_name"] for each in content["images"]} == {"a.tif"}
    found = [(each["track_id"], *planes[each["image_id"]].values()) for each in content["annotations"]]
    assert found == PLANES
    assert len({each["id"] for each in content["annotations"]}) == 3
    for each in content["annotations"]:
        label, z, t = each["track_id"], *planes[each["image_id"]].values()
        np.testing.assert_array_equal(decode(encode(each["segmentation"], (12, 14)), (12, 14)), STACK[t, z] == label)


@pytest.mark.parametrize("step", [1.0, 2.0, 1.5, 3.984])
def test_a_part_lies_where_it_lies_in_the_whole_image(tmp_path, step):
    """Each pixel of the whole image is that of the part in which its centre lies, in every format."""
    size = (round(40 * step), round(50 * step))
    place = Place(("z", "y", "x"), (5, 10, 20), (1.0, step, step), (7, *size))
    y, x = (((np.arange(n) + 0.5) / step).astype(int) for n in size)
    level = np.zeros((40, 50), int)
    level[10:22, 20:34] = LABELS
    expected = level[np.ix_(y, x)]
    write_geojson(tmp_path / "a.geojson", LABELS[None], place=place)
    write_rois(tmp_path / "a.zip", LABELS[None], place)
    write_coco(tmp_path / "a.json", LABELS[None], place=place)
    np.testing.assert_array_equal(read_outlines(tmp_path / "a.geojson", size)[0], expected)
    filled = read_outlines(tmp_path / "a.zip", size)[0]
    np.testing.assert_array_equal(filled[expected > 0], expected[expected > 0])
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["images"] == [
        {"id": 1, "file_name": "", "height": size[0], "width": size[1], "plane": {"z": 5, "t": 0}}
    ]
    for each in content["annotations"]:
        np.testing.assert_array_equal(decode(encode(each["segmentation"], size), size), expected == each["id"])
        assert each["area"] == np.count_nonzero(expected == each["id"])
    for each in json.loads((tmp_path / "a.geojson").read_text())["features"]:
        label = int(each["properties"]["name"])
        assert each["properties"]["measurements"]["area"] == np.count_nonzero(expected == label)
        assert each["geometry"]["plane"]["z"] == 5


def test_labels_of_several_channels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="labels of 3 channels; save those of one channel"):
        write_geojson(tmp_path / "a.geojson", STACK[0], place=Place.of_all((3, 12, 14), "CYX"))


def test_rows_of_nuclei_that_changed_places_are_outdated():
    labels = np.zeros((20, 20), int)
    labels[2:6, 2:6], labels[10:14, 10:14], labels[15:18, 2:5] = 1, 2, 5
    table = pd.DataFrame(
        {"index": [1, 2, 5, 9], "y": [11.5, 3.5, 16.0, 1.0], "x": [11.5, 3.5, 3.0, 1.0], "area": [16, 16, 9, 4]}
    )
    assert unchanged(table, labels)["index"].tolist() == [5]
    assert unchanged(table[["index", "area"]], labels)["index"].tolist() == [1, 2, 5], "all that is known of them"
    assert unchanged(table, np.stack([labels, 0 * labels]))["index"].tolist() == [1, 2, 5], "of a stack the area counts"


def test_nuclei_on_several_planes_have_the_rows_of_their_planes(tmp_path):
    stack = np.zeros((2, 20, 20), int)
    stack[0, 2:6, 2:6], stack[1, 2:4, 2:4], stack[1, 9, 9] = 1, 1, 3
    table = pd.DataFrame({"index": [1, 1, 3], "z": [0, 1, 1], "y": [3.5, 2.5, 9], "x": [3.5, 2.5, 9]})
    table = table.assign(area=[16, 4, 1], area_um2=[4.0, 1.0, 0.25], mask_score=[0.5, 0.75, 1.0])
    place = Place.of_all(stack.shape, "ZYX")
    write_geojson(tmp_path / "a.geojson", stack, table, place)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [each["properties"]["measurements"] for each in features] == [
        {"area": area, "area_um2": area / 4, "mask_score": score} for area, score in ((16, 0.5), (4, 0.75), (1, 1))
    ]
    write_coco(tmp_path / "a.json", stack, table, place=place)
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [each["score"] for each in annotations] == [0.5, 0.75, 1]
    pd.testing.assert_frame_equal(unchanged(table, stack, place), table)
    assert unchanged(table, stack[::-1], place).empty, "as large as they were, on other planes"
