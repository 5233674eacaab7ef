"""Nuclei for other programs, read back as these read them."""

import json

import numpy as np
import pandas as pd
import pytest
import roifile
import shapely
import tifffile
from shapely.geometry import shape as geometry

from napari_pffnet.data.coco import CocoSource
from napari_pffnet.io.export import outlines, unchanged, write_coco, write_geojson, write_rois
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


def test_stacks_are_refused_in_words(tmp_path):
    with pytest.raises(ValueError, match="export the planes of a stack one by one"):
        write_geojson(tmp_path / "a.geojson", np.ones((2, 3, 3), int))


def test_rows_of_nuclei_that_changed_places_are_outdated():
    labels = np.zeros((20, 20), int)
    labels[2:6, 2:6], labels[10:14, 10:14], labels[15:18, 2:5] = 1, 2, 5
    table = pd.DataFrame(
        {"index": [1, 2, 5, 9], "y": [11.5, 3.5, 16.0, 1.0], "x": [11.5, 3.5, 3.0, 1.0], "area": [16, 16, 9, 4]}
    )
    assert unchanged(table, labels)["index"].tolist() == [5]
    assert unchanged(table[["index", "area"]], labels)["index"].tolist() == [1, 2, 5], "all that is known of them"
