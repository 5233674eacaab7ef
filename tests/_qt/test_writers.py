"""Saving a Labels layer as napari's menu does."""

import json

import numpy as np
import pandas as pd
import pytest
import roifile
from napari.layers import Image, Labels
from npe2 import PluginManager

from napari_pffnet._qt.layers.planes import Part, take_plane

LABELS = np.zeros((1, 8, 9), np.int32)
LABELS[:, 1:4, 1:4] = 2


@pytest.fixture
def layer():
    PluginManager.instance().discover()
    table = pd.DataFrame({"index": [0, 2], "area": [np.nan, 9.0], "mask_score": [np.nan, 0.5]})
    return Labels(LABELS, name="nuclei", features=table, metadata={"napari-pffnet": {"image": "cells"}})


def test_the_suffix_chooses_the_format(layer, tmp_path):
    for suffix in (".geojson", ".zip", ".json", ".csv"):
        assert layer.save(str(tmp_path / f"a{suffix}")) == [str(tmp_path / f"a{suffix}")]
    [feature] = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert feature["properties"]["measurements"] == {"area": 9, "mask_score": 0.5}
    assert [roi.name for roi in roifile.roiread(tmp_path / "a.zip")] == ["2"]
    coco = json.loads((tmp_path / "a.json").read_text())
    assert (coco["images"][0]["file_name"], coco["annotations"][0]["score"]) == ("cells", 0.5)
    [row] = pd.read_csv(tmp_path / "a.csv").to_dict("records")
    assert row == {"index": 2, "y": 2, "x": 2, "area": 9, "mask_score": 0.5}


def test_levels_are_saved_at_full_resolution_and_faults_are_told(layer, tmp_path):
    levels = Labels([LABELS[0], LABELS[0, ::2, ::2]], multiscale=True)
    assert levels.save(str(tmp_path / "a.geojson"))
    assert json.loads((tmp_path / "a.geojson").read_text())["features"][0]["properties"]["measurements"] == {"area": 9}
    assert Labels(np.ma.masked_array(LABELS[0])).save(str(tmp_path / "masked.geojson"))
    assert (tmp_path / "masked.geojson").read_text() == (tmp_path / "a.geojson").read_text()
    with pytest.raises(RuntimeError, match="'channels': labels of 3 channels; save those of one"):
        Labels(np.ones((3, 4, 4), int), name="channels", axis_labels="cyx").save(str(tmp_path / "b.geojson"))
    with pytest.raises(RuntimeError, match="'empty' has no nuclei"):
        Labels(np.zeros((4, 4), int), name="empty").save(str(tmp_path / "b.csv"))


@pytest.mark.parametrize(("axes", "z", "t"), [(None, 2, 0), ("zyx", 2, 0), ("tyx", 0, 2)])
def test_stacks_are_saved_with_their_planes(tmp_path, axes, z, t):
    stack = np.zeros((3, 8, 9), np.int32)
    stack[2] = LABELS[0]
    layer = Labels(stack, axis_labels=axes)
    for suffix in (".geojson", ".zip", ".json"):
        layer.save(str(tmp_path / f"a{suffix}"))
    [feature] = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert feature["geometry"]["plane"] == {"c": -1, "z": z, "t": t}
    assert [roi.position for roi in roifile.roiread(tmp_path / "a.zip")] == [3]
    coco = json.loads((tmp_path / "a.json").read_text())
    [found] = coco["annotations"]
    assert coco["images"][found["image_id"] - 1]["plane"] == {"z": z, "t": t}


def test_what_is_saved_of_a_part_lies_where_it_lies_in_the_image(tmp_path):
    image = Image([np.zeros((7, 80, 60)), np.zeros((7, 40, 30))], multiscale=True, axis_labels="zyx")
    plane = take_plane(image, (5, 0, 0), (0, 1, 2), part=Part(1, 10, 20, 8, 9))
    note = {"image": "cells", "place": plane.place.note(plane.shape)}
    layer = Labels(LABELS, axis_labels="zyx", metadata={"napari-pffnet": note})
    for suffix in (".geojson", ".zip", ".json", ".csv"):
        layer.save(str(tmp_path / f"a{suffix}"))
    [feature] = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert np.ptp(feature["geometry"]["coordinates"][0], 0).tolist() == [6, 6]
    assert np.min(feature["geometry"]["coordinates"][0], 0).tolist() == [42, 22]
    assert (feature["geometry"]["plane"]["z"], feature["properties"]["measurements"]["area"]) == (5, 36)
    [roi] = roifile.roiread(tmp_path / "a.zip")
    assert (roi.left, roi.top, roi.position) == (42, 22, 6)
    coco = json.loads((tmp_path / "a.json").read_text())
    assert [coco["images"][0][key] for key in ("height", "width", "plane")] == [80, 60, {"z": 5, "t": 0}]
    assert coco["annotations"][0]["bbox"] == [42, 22, 6, 6]
    [row] = pd.read_csv(tmp_path / "a.csv").to_dict("records")
    assert row == {"index": 2, "y": 24.5, "x": 44.5, "z": 5, "area": 36}
    rows = pd.DataFrame({"index": [2], "area": [9]})
    shown = Labels([LABELS, LABELS[:, ::2, ::2]], multiscale=True, features=rows, metadata=layer.metadata)
    shown.save(str(tmp_path / "shown.csv"))
    assert pd.read_csv(tmp_path / "shown.csv")["area"].tolist() == [36], "not in memory"
    layer.data = LABELS[:, :5]  # no longer what was noted
    layer.save(str(tmp_path / "b.json"))
    assert json.loads((tmp_path / "b.json").read_text())["images"][0]["height"] == 5


def test_tables_have_a_row_for_each_nucleus_of_any_layer(tmp_path):
    stack = np.repeat(LABELS, 3, axis=0)
    stack[2] = 0
    stack[1, 6:8, 6:8] = 5
    accepted = pd.DataFrame({"index": [5], "state": ["accepted"], "area": [99]})
    Labels(stack, name="theirs", features=accepted).save(str(tmp_path / "a.csv"))
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False).set_index("index")
    assert table.index.tolist() == [2, 5]
    assert table.loc[2, ["y", "x", "first", "last", "area"]].tolist() == [2, 2, 0, 1, 18]
    assert table.loc[5, ["y", "x", "first", "last", "area"]].tolist() == [6.5, 6.5, 1, 1, 4]
    assert table["state"].tolist() == ["", "accepted"]
