"""``napari-pffnet export``."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
from PIL import Image

from napari_pffnet.cli import main
from napari_pffnet.data.opening import check, open_source
from napari_pffnet.io.ome_zarr import LabelPyramid
from napari_pffnet.io.results import write_table

LABELS = np.zeros((8, 9), np.uint16)
LABELS[1:4, 1:4], LABELS[5:, 6:] = 2, 7


@pytest.fixture
def results(tmp_path):
    tifffile.imwrite(tmp_path / "a_labels.tif", LABELS)
    tifffile.imwrite(tmp_path / "a.tif", LABELS)
    write_table(tmp_path / "a.csv", pd.DataFrame({"index": [2, 7], "area": 9, "mask_score": [0.5, 0.75]}))
    return tmp_path


def export(*arguments):
    return main(["export", *map(str, arguments)])


def test_results_are_exported_with_their_scores(results, capsys):
    assert export(results, "--to", "geojson") == 0
    content = json.loads((results / "a.geojson").read_text())
    scores = {each["properties"]["name"]: each["properties"]["measurements"] for each in content["features"]}
    assert scores == {"2": {"area": 9, "mask_score": 0.5}, "7": {"area": 9, "mask_score": 0.75}}
    assert export(results / "a_labels.tif", "--to", "rois", "--output", results / "new") == 0
    assert [roi.name for roi in roifile.roiread(results / "new" / "a_rois.zip")] == ["2", "7"]
    assert export(results, "--to", "coco") == 0
    content = json.loads((results / "a_coco.json").read_text())
    annotations = content["annotations"]
    assert content["images"][0]["file_name"] == "a.tif"
    assert [(each["id"], each["score"]) for each in annotations] == [(2, 0.5), (7, 0.75)]


def test_nothing_is_replaced_unasked_and_bad_files_are_told(results, capsys):
    assert export(results, "--to", "rois") == 0
    tifffile.imwrite(results / "b_labels.tif", np.stack([LABELS] * 5), metadata={"axes": "CYX"})
    tifffile.imwrite(results / "c_labels.tif", LABELS / np.float32(2))
    capsys.readouterr()
    assert export(results, "--to", "rois") == 1
    told = capsys.readouterr().err
    assert "a_rois.zip is there already; replace it with --overwrite" in told
    assert "b_labels.tif: labels of 5 channels; save those of one channel" in told
    assert "c_labels.tif: labels are float32" in told
    assert "3 of 3 files failed" in told
    assert export(results / "a_labels.tif", "--to", "rois", "--overwrite") == 0
    (results / "empty").mkdir()
    assert export(results / "empty", "--to", "rois") == 2
    assert "no NAME_labels.tif in" in capsys.readouterr().err


def test_empty_tables_and_damaged_files_do_not_end_the_run(results, capsys):
    tifffile.imwrite(results / "blank_labels.tif", 0 * LABELS)
    (results / "blank.csv").write_text("index,y,x,area,mask_score\n")
    (results / "a.csv").write_text("index,area,mask_score\n2,999,0.5\n7,,\n")
    LabelPyramid(results / "x.zarr", "semantic", LABELS.shape, "uint8")
    LabelPyramid(results / "x.zarr", "nuclei", LABELS.shape, "uint32").write(0, 0, LABELS)
    [chunk] = (path for path in (results / "x.zarr" / "labels" / "nuclei" / "0" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(b"rubbish")
    assert export(results, "--to", "geojson") == 1
    assert "1 of 3 files failed" in capsys.readouterr().err
    assert json.loads((results / "blank.geojson").read_text())["features"] == []
    features = json.loads((results / "a.geojson").read_text())["features"]
    assert [each["properties"]["measurements"]["area"] for each in features] == [9, 9], "as they are now"
    (results / "other").mkdir()
    tifffile.imwrite(results / "other" / "a_labels.tif", LABELS)
    assert export(results / "a_labels.tif", results / "other", "--to", "rois", "--output", results / "new") == 2
    assert "several label images are named a; export them one by one" in capsys.readouterr().err


def test_nuclei_that_were_changed_have_no_scores(results, capsys):
    labels = LABELS.copy()
    labels[1, 1] = 0  # 2 was trimmed, 3 is new
    labels[7, :2] = 3
    tifffile.imwrite(results / "a_labels.tif", labels)
    table = pd.DataFrame({"index": [2, 7], "area": 9, "area_um2": 2.25, "mask_score": [0.5, 0.75]})
    write_table(results / "a.csv", table)
    assert export(results, "--to", "geojson") == 0
    assert "a_labels.tif: 2 nuclei have no scores, they were changed since a.csv was" in capsys.readouterr().err
    content = json.loads((results / "a.geojson").read_text())
    found = {each["properties"]["name"]: each["properties"]["measurements"] for each in content["features"]}
    assert found == {"2": {"area": 8}, "3": {"area": 2}, "7": {"area": 9, "area_um2": 2.25, "mask_score": 0.75}}


def test_label_images_become_one_data_set_that_can_be_trained_on(results, capsys):
    (results / "images").mkdir()
    tifffile.imwrite(results / "b_labels.tif", np.fliplr(LABELS))
    for name in ("a.png", "b.png"):
        Image.fromarray(LABELS.astype(np.uint8)).save(results / "images" / name)
    tifffile.imwrite(results / "c_labels.tif", LABELS)
    arguments = [results, "--to", "coco", "--output", results / "new", "--images", results / "images"]
    assert export(*arguments) == 1
    told = capsys.readouterr()
    assert "2 label images ->" in told.out
    assert f"c_labels.tif: {results / 'images'} has no image c; give the folder of" in told.err
    content = json.loads((results / "new" / "nuclei_coco.json").read_text())
    assert [each["id"] for each in content["annotations"]] == [2, 7, 9, 14]
    assert [each["file_name"] for each in content["images"]] == ["../images/a.png", "../images/b.png"]
    assert content["info"]["version"]
    source = open_source(results / "new")
    check([source])
    for number, labels in enumerate((LABELS, np.fliplr(LABELS))):
        np.testing.assert_array_equal(source.read(number).labels > 0, labels > 0)
    assert export(*arguments) == 2
    assert "nuclei_coco.json is there already; replace it with --overwrite" in capsys.readouterr().err
    assert export(results, "--to", "coco") == 0
    assert "note: 2 images are not beside their labels; to train on the file say --images" in capsys.readouterr().err


@pytest.mark.parametrize("axes", ["ZYX", "TYX", None])
def test_stacks_are_exported_with_their_planes_and_drawn_back(tmp_path, capsys, axes):
    stack = np.stack([0 * LABELS, LABELS, np.fliplr(LABELS), 0 * LABELS, LABELS])
    tifffile.imwrite(tmp_path / "s.tif", stack, metadata={"axes": axes} if axes else None)
    tifffile.imwrite(tmp_path / "s_labels.tif", stack, metadata={"axes": axes} if axes else None)
    write_table(tmp_path / "s.csv", pd.DataFrame({"index": [2, 7], "area": [27, 26], "mask_score": [0.5, 0.75]}))
    for form in ("geojson", "rois", "coco"):
        assert export(tmp_path / "s_labels.tif", "--to", form) == 0
    assert "s_labels.tif: 1 nuclei have no scores" in capsys.readouterr().err
    features = json.loads((tmp_path / "s.geojson").read_text())["features"]
    axis = "t" if axes == "TYX" else "z"
    assert [each["geometry"]["plane"][axis] for each in features] == [1, 1, 2, 2, 4, 4]
    assert {each["properties"]["measurements"].get("mask_score") for each in features} == {0.5, None}
    assert [roi.position for roi in roifile.roiread(tmp_path / "s_rois.zip")] == [2, 2, 3, 3, 5, 5]
    content = json.loads((tmp_path / "s_coco.json").read_text())
    assert [each["plane"][axis] for each in content["images"]] == [0, 1, 2, 3, 4]
    for file in ("s.geojson", "s_rois.zip"):
        assert export(tmp_path / file, "--to", "labels", "--images", tmp_path, "--overwrite") == 0
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "s_labels.tif"), stack)


def test_masks_are_no_labels(results, capsys):
    mask = np.zeros((40, 40), np.uint8)
    mask[::4, ::4] = 255
    Image.fromarray(mask).save(results / "mask.png")
    assert export(results / "mask.png", "--to", "geojson") == 1
    assert "mask.png: a mask, not labels: 255 is the only id and lies in many pieces" in capsys.readouterr().err


def test_large_results_are_exported(tmp_path):
    LabelPyramid(tmp_path / "x.zarr", "semantic", LABELS.shape, "uint8")
    LabelPyramid(tmp_path / "x.zarr", "nuclei", LABELS.shape, "uint32").write(0, 0, LABELS)
    assert export(tmp_path, "--to", "coco") == 0
    assert [each["id"] for each in json.loads((tmp_path / "x_coco.json").read_text())["annotations"]] == [2, 7]


def test_outlines_of_other_programs_become_label_images(results, capsys):
    assert export(results / "a_labels.tif", "--to", "geojson", "--output", results / "drawn") == 0
    assert export(results / "a_labels.tif", "--to", "rois", "--output", results / "sets") == 0
    assert export(results / "drawn", "--to", "labels") == 1
    assert "a.geojson: its image a is not beside it; give the folder of the images with --images" in (
        capsys.readouterr().err
    )
    for folder in ("drawn", "sets"):
        assert export(results / folder, "--to", "labels", "--images", results) == 0
        made = tifffile.imread(results / folder / "a_labels.tif")
        assert made.dtype == np.uint16
        np.testing.assert_array_equal(made, LABELS)
    assert export(results / "drawn" / "a.geojson", "--to", "coco", "--images", results) == 0
    source = open_source(results / "drawn" / "a_coco.json")
    np.testing.assert_array_equal(source.read(0).labels > 0, LABELS > 0)
    np.save(results / "sets" / "b_seg.npy", {"masks": LABELS})
    assert export(results / "sets", "--to", "labels", "--images", results, "--overwrite") == 0
    np.testing.assert_array_equal(tifffile.imread(results / "sets" / "b_labels.tif"), LABELS)
    assert export(results, "--to", "labels") == 2
    assert "no outlines (.geojson, .zip, .roi) or _seg.npy in" in capsys.readouterr().err


@pytest.mark.parametrize("linked", [True, False])
def test_scores_of_stacks_come_from_their_tables(tmp_path, capsys, linked):
    stack = np.stack([LABELS, LABELS if linked else np.where(LABELS, LABELS + 1, 0)])
    tifffile.imwrite(tmp_path / "s_labels.tif", stack, metadata={"axes": "ZYX"})
    ids = [2, 7, 2, 7] if linked else [2, 7, 3, 8]
    rows = pd.DataFrame({"index": ids, "z": [0, 0, 1, 1], "area": 9, "mask_score": [0.5, 0.6, 0.7, 0.8]})
    write_table(tmp_path / "s.csv", rows)
    if linked:
        nuclei = {"index": [2, 7], "area": 18, "mask_score": [0.6, 0.7]}
        write_table(tmp_path / "s_linked.csv", pd.DataFrame(nuclei))
    assert export(tmp_path, "--to", "coco") == 0
    assert "have no scores" not in capsys.readouterr().err
    annotations = json.loads((tmp_path / "s_coco.json").read_text())["annotations"]
    assert [each["score"] for each in annotations] == ([0.6, 0.7] * 2 if linked else [0.5, 0.6, 0.7, 0.8])


@pytest.fixture
def planes(tmp_path):
    """Results of planes 5 and 0 of 2×3, the latter without nuclei, in a folder of their own."""
    for folder in ("img", "out"):
        (tmp_path / folder).mkdir()
    stack = np.zeros((2, 3, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "img" / "s.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    for plane, labels in ((5, LABELS), (0, 0 * LABELS)):
        tifffile.imwrite(tmp_path / "out" / f"s_plane{plane}_labels.tif", labels)
    rows = {"index": [2, 7], "t": 1, "z": 2, "y": [2, 6], "x": [2, 7], "area": 9, "mask_score": [0.5, 0.75]}
    write_table(tmp_path / "out" / "s_plane5.csv", pd.DataFrame(rows))
    write_table(tmp_path / "out" / "s_plane0.csv", pd.DataFrame(rows).iloc[:0])
    return tmp_path


def test_results_of_one_plane_have_its_place(planes, capsys):
    file = planes / "out" / "s_plane5_labels.tif"
    assert export(file, "--to", "geojson") == 0
    features = json.loads((planes / "out" / "s_plane5.geojson").read_text())["features"]
    assert [each["geometry"]["plane"] for each in features] == [{"c": -1, "z": 2, "t": 1}] * 2
    measured = [each["properties"]["measurements"] for each in features]
    assert measured == [{"area": 9, "mask_score": 0.5}, {"area": 9, "mask_score": 0.75}]
    assert export(file, "--to", "rois") == 0
    rois = roifile.roiread(planes / "out" / "s_plane5_rois.zip")
    assert [(roi.name, roi.z_position, roi.t_position) for roi in rois] == [("2", 3, 2), ("7", 3, 2)]
    assert export(planes / "out", "--to", "coco", "--images", planes / "img") == 0
    images = json.loads((planes / "out" / "nuclei_coco.json").read_text())["images"]
    assert [(each["file_name"], each["plane"]) for each in images] == [
        ("../img/s.tif", {"z": 0, "t": 0}),
        ("../img/s.tif", {"z": 2, "t": 1}),
    ]
    assert export(file, "--to", "labels", "--output", planes) == 0
    assert tifffile.imread(planes / "s_plane5_labels.tif").shape == LABELS.shape


def test_images_may_be_named_as_results_of_planes_are(planes):
    tifffile.imwrite(planes / "out" / "s_plane5.tif", LABELS)
    assert export(planes / "out" / "s_plane5_labels.tif", "--to", "coco") == 0
    [image] = json.loads((planes / "out" / "s_plane5_coco.json").read_text())["images"]
    assert image == {"id": 1, "file_name": "s_plane5.tif", "height": 8, "width": 9}


@pytest.mark.parametrize("first", [LABELS, 0 * LABELS], ids=["on the first plane", "none"])
def test_outlines_of_qupath_without_a_plane_are_on_the_first(tmp_path, first):
    stack = np.stack([first, *[0 * LABELS] * 5])
    tifffile.imwrite(tmp_path / "s.tif", stack, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "s_labels.tif", stack, metadata={"axes": "ZYX"})
    for form in ("geojson", "rois"):
        assert export(tmp_path / "s_labels.tif", "--to", form) == 0
    content = json.loads((tmp_path / "s.geojson").read_text())
    for each in content["features"]:  # as QuPath does
        del each["geometry"]["plane"]
    (tmp_path / "s.geojson").write_text(json.dumps(content))
    for file in ("s.geojson", "s_rois.zip"):
        assert export(tmp_path / file, "--to", "labels", "--overwrite") == 0
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "s_labels.tif"), stack)


def test_large_stacks_are_looked_at_plane_by_plane(tmp_path):
    stack = np.zeros((60, 256, 256), np.uint16)
    stack[:, 2:5, 2:5], stack[:, 20:23, 20:23] = 7, 9
    tifffile.imwrite(tmp_path / "s_labels.tif", stack, metadata={"axes": "ZYX"}, compression="zlib")
    write_table(tmp_path / "s.csv", pd.DataFrame({"index": [7, 9], "area": 9 * 60, "mask_score": 0.5}))

    arguments = (tmp_path / "s_labels.tif", "--to", "geojson", "--overwrite")
    assert export(*arguments) == 0  # once, so that modules are there
    tracemalloc.start()
    try:
        assert export(*arguments) == 0
        assert tracemalloc.get_traced_memory()[1] < 1.5 * stack.nbytes
    finally:
        tracemalloc.stop()
