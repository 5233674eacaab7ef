"""Saving a Labels layer as napari's menu does."""

import json

import numpy as np
import pandas as pd
import pytest
import roifile
from napari.layers import Labels
from npe2 import PluginManager

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


def test_levels_are_saved_at_full_resolution_and_stacks_are_refused(layer, tmp_path):
    levels = Labels([LABELS[0], LABELS[0, ::2, ::2]], multiscale=True)
    assert levels.save(str(tmp_path / "a.geojson"))
    assert json.loads((tmp_path / "a.geojson").read_text())["features"][0]["properties"]["measurements"] == {"area": 9}
    assert Labels(np.ma.masked_array(LABELS[0])).save(str(tmp_path / "masked.geojson"))
    assert (tmp_path / "masked.geojson").read_text() == (tmp_path / "a.geojson").read_text()
    with pytest.raises(RuntimeError, match="'stack' has 3 planes, and this format knows one"):
        Labels(np.ones((3, 4, 4), int), name="stack").save(str(tmp_path / "b.geojson"))
    with pytest.raises(RuntimeError, match="'empty' has no nuclei"):
        Labels(np.zeros((4, 4), int), name="empty").save(str(tmp_path / "b.csv"))


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
