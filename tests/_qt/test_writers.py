"""Saving a Labels layer as napari's menu does."""

import json

import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
from napari.layers import Image, Labels
from npe2 import PluginManager

from fakes import fake_model, squares_image
from napari_pffnet import library
from napari_pffnet._qt.engine import Engine
from napari_pffnet._qt.layers.planes import Part, take_plane, take_stack
from napari_pffnet._qt.segment.stack_run import StackRequest, run_stack
from napari_pffnet.cli import main
from napari_pffnet.config import SegmentConfig
from napari_pffnet.readers import FEATURES
from napari_pffnet.segment import Pointer
from napari_pffnet.segment.segmenter import ignore

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
    for suffix in (".geojson", ".zip", ".json", ".csv"):
        with pytest.raises(RuntimeError, match="'signed' has negative labels"):
            Labels(-np.eye(4, dtype=int), name="signed").save(str(tmp_path / f"c{suffix}"))


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
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert list(table) == ["index", "plane", "y", "x", "area", "state"]
    assert table.to_numpy().tolist() == [[2, 0, 2, 2, 9, ""], [2, 1, 2, 2, 9, ""], [5, 1, 6.5, 6.5, 4, "accepted"]]


@pytest.mark.parametrize(("units", "area"), [(("s", "µm", "nm"), 0.009), (("s", "pixel", "pixel"), None)])
def test_areas_are_in_square_micrometres_too_where_units_are_known(tmp_path, units, area):
    Labels(LABELS, axis_labels="tyx", scale=(1, 0.5, -2), units=units).save(str(tmp_path / "a.csv"))
    [row] = pd.read_csv(tmp_path / "a.csv").to_dict("records")
    assert row == {"index": 2, "y": 2, "x": 2, "area": 9, **({"area_um2": area} if area else {})}


def test_areas_that_a_table_has_already_are_counted_anew(tmp_path):
    layer = Labels(LABELS, scale=(1, 0.5, 0.5), units=("s", "µm", "µm"), features={"index": [2], "area_um2": [77.0]})
    assert layer.save(str(tmp_path / "a.csv"))
    assert pd.read_csv(tmp_path / "a.csv")["area_um2"].tolist() == [2.25]


@pytest.mark.parametrize("linked", [True, False])
def test_the_table_of_a_stack_in_the_panel_is_that_of_the_command(tmp_path, monkeypatch, linked):
    monkeypatch.setattr(library, "load_model", lambda name, device: fake_model(diameter=12))
    monkeypatch.setattr(Pointer, "keep", staticmethod(ignore))  # the fake network's features cannot be kept
    image = squares_image((100, 120))[0]
    stack = np.stack([image, image * (np.arange(120) % 17 < 9), 0 * image])[None].repeat(2, 0)
    facts = {"axes": "TZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2}
    tifffile.imwrite(tmp_path / "a.tif", stack, ome=True, metadata=facts)
    how = ["--all-planes", *["--link"] * linked, "--scale", "1"]
    assert main(["segment", str(tmp_path / "a.tif"), "--output", str(tmp_path), *how]) == 0
    expected = pd.read_csv(tmp_path / "a.csv")
    layer = Image(stack, axis_labels="tzyx", scale=(1, 2, 0.25, 0.5), units=("s", "µm", "µm", "µm"))
    planes = take_stack(layer, (0, 0, 0, 0), (0, 1, 2, 3))
    request = StackRequest(planes, "default", "cpu", SegmentConfig(scale=1), linked)
    result = run_stack(Engine(), request, lambda *_: None, lambda: False).result
    Labels(result.labels, features=result.table[FEATURES], **planes.placement).save(str(tmp_path / "panel.csv"))
    saved = pd.read_csv(tmp_path / "panel.csv")
    if linked:  # a layer knows the means of a nucleus, not what it was on each plane
        scores = ["score", "quality", "mask_score", "overlap"]
        means = saved.drop_duplicates("index").set_index("index")[scores]
        pd.testing.assert_frame_equal(expected.groupby("index")[scores].mean(), means, atol=1e-4)
        expected, saved = expected.drop(columns=scores), saved.drop(columns=scores)
    pd.testing.assert_frame_equal(expected, saved)
