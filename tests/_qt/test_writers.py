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
    assert pd.read_csv(tmp_path / "a.csv").to_dict("records") == [{"index": 2, "area": 9.0, "mask_score": 0.5}]


def test_levels_are_saved_at_full_resolution_and_stacks_are_refused(layer, tmp_path):
    levels = Labels([LABELS[0], LABELS[0, ::2, ::2]], multiscale=True)
    assert levels.save(str(tmp_path / "a.geojson"))
    assert json.loads((tmp_path / "a.geojson").read_text())["features"][0]["properties"]["measurements"] == {"area": 9}
    with pytest.raises(RuntimeError, match="'stack' has 3 planes, and this format knows one"):
        Labels(np.ones((3, 4, 4), int), name="stack").save(str(tmp_path / "b.geojson"))
    with pytest.raises(RuntimeError, match="'plain' has no table of nuclei"):
        Labels(LABELS[0], name="plain").save(str(tmp_path / "b.csv"))
