import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_pffnet.evaluate.metrics import evaluate_pair
from napari_pffnet.evaluate.report import PairError, evaluate_files, find_pairs, to_csv, to_json, to_table, to_text
from napari_pffnet.io.ome_zarr import LabelPyramid

ONE = np.array([[1, 1, 1, 1, 0, 0]], np.uint16)
THREE = np.array([[1, 0, 2, 0, 3, 3]], np.uint16)


@pytest.fixture
def folders(tmp_path):
    for name in ("predictions", "truth"):
        (tmp_path / name).mkdir()
    return tmp_path / "predictions", tmp_path / "truth"


def save(folder, **images):
    for name, image in images.items():
        tifffile.imwrite(folder / f"{name}.tif", image, photometric="minisblack")


def scores():
    return {"good": evaluate_pair(THREE, THREE), "bad": evaluate_pair(ONE, np.roll(ONE, 3))}


def test_pairs_by_name_with_or_without_the_suffix(folders):
    predictions, truth = folders
    save(truth, a=ONE, b=ONE)
    save(predictions, a=THREE, a_labels=ONE, a_semantic=ONE, a_overlay=ONE, b=ONE, c=ONE)
    pairs = find_pairs(truth, predictions)
    assert pairs.files == {
        "a": (truth / "a.tif", predictions / "a_labels.tif"),
        "b": (truth / "b.tif", predictions / "b.tif"),
    }
    assert pairs.faults == []
    assert pairs.extra == ["c"]
    assert find_pairs(*folders).files.keys() == {"a", "b"}


def test_two_files_are_a_pair(folders):
    predictions, truth = folders
    files = (truth / "y_labels.tif", predictions / "x.tif")
    save(predictions, x=ONE)
    save(truth, y_labels=ONE)
    assert find_pairs(*files).files == {"y": files}


def test_truth_without_prediction_and_double_names_are_faults(folders):
    predictions, truth = folders
    save(truth, a=ONE, b=ONE)
    save(predictions, b=ONE)
    (predictions / "b.png").write_bytes(b"")
    assert find_pairs(truth, predictions).faults == [
        f"{truth / 'a.tif'}: no prediction; expected {predictions / 'a_labels.tif'} or a.tif",
        f"{predictions / 'b.tif'}: same name as b.png; remove one of them",
    ]


def test_nothing_to_compare_is_an_error_that_names_the_folder(folders):
    predictions, truth = folders
    with pytest.raises(PairError, match="truth: no label images; expected NAME"):
        find_pairs(truth, predictions)
    (truth / "labels").mkdir()
    with pytest.raises(PairError, match=r"did you mean .*truth/labels\?"):
        find_pairs(truth, predictions)
    with pytest.raises(PairError, match="nowhere: no such folder"):
        find_pairs(truth, predictions / "nowhere")


def test_bad_files_are_faults_and_the_rest_goes_on(folders):
    predictions, truth = folders
    save(truth, a=ONE, b=ONE, c=ONE, d=ONE)
    save(predictions, a=ONE, b=ONE[:, 1:], c=ONE / np.float32(2))
    (predictions / "d.tif").write_bytes(b"no image")
    found, faults, _ = evaluate_files(find_pairs(truth, predictions).files)
    assert found == {"a": evaluate_pair(ONE, ONE)}
    assert [fault.split(":")[0] for fault in faults] == [str(predictions / f"{name}.tif") for name in "bcd"]
    assert "1×5 but the truth is 1×6" in faults[0]


def test_table_of_images_means_and_pooled_precision():
    table = to_table(scores())
    assert table.index.tolist() == ["good", "bad", "mean", "pooled"]
    assert table["nuclei"].tolist()[:2] == [3, 1]
    assert table.loc["pooled", ["nuclei", "found"]].tolist() == [4, 4]
    assert table["ap50"].tolist() == pytest.approx([1, 0, 0.5, 3 / 5])
    assert table["pq"].tolist()[:3] == [1, 0, 0.5]
    assert table.loc["pooled", ["aji", "aji_plus", "dice", "dq", "sq", "pq"]].isna().all()


def test_text_cuts_long_names_and_wraps_wide_tables():
    table = to_table({"n" * 60: evaluate_pair(ONE, ONE)})
    lines = to_text(table, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "n" * 23 + "…" in lines[1]
    assert "NA" not in to_text(table, 200)


def test_csv_and_json_hold_the_same_figures():
    table = to_table(scores())
    assert to_csv(table).splitlines()[2].startswith("bad,1,1,0.000000")
    content = json.loads(to_json(table, ["x.tif: unreadable"]))
    assert content["images"]["good"]["aji"] == 1
    assert content["mean"]["ap90"] == 0.5
    assert content["pooled"] == {"nuclei": 4, "found": 4, **{name: 0.6 for name in content["pooled"] if "ap" in name}}
    assert content["faults"] == ["x.tif: unreadable"]


def test_stacks_and_large_results_are_compared_part_by_part(folders, monkeypatch):
    monkeypatch.setattr("napari_pffnet.evaluate.label_files.PART", 20)
    predictions, truth = folders
    save(predictions, large=np.zeros((40, 30), np.uint8))  # the image beside its result
    random = np.random.default_rng(0)
    stack = random.integers(0, 4, (3, 6, 8)).astype(np.uint16)
    other = np.where(random.random(stack.shape) < 0.8, stack, 5)
    plane = random.integers(0, 9, (40, 30)).astype(np.uint32)
    save(truth, stack=stack[:, None], large=plane)
    save(predictions, stack_labels=other)
    LabelPyramid(predictions / "large.zarr", "semantic", plane.shape, "uint8")
    LabelPyramid(predictions / "large.zarr", "nuclei", plane.shape, "uint32").write(0, 0, plane)
    found, faults, _ = evaluate_files(find_pairs(truth, predictions).files)
    assert faults == []
    assert found == {"large": evaluate_pair(plane, plane), "stack": evaluate_pair(stack, other)}


def test_zarr_folders_of_any_kind_of_labels(tmp_path):
    save(tmp_path, truth=ONE)
    for form in (2, 3):
        zarr.save_array(tmp_path / f"array{form}.zarr", ONE, zarr_format=form)
    zarr.save_array(tmp_path / "float.zarr", ONE.astype(float))
    zarr.open_group(tmp_path / "empty.zarr", mode="w").create_group("labels")
    zarr.open_group(tmp_path / "bare.zarr", mode="w")
    files = {path.stem: (tmp_path / "truth.tif", path) for path in tmp_path.glob("*.zarr")}
    assert find_pairs(*files["array2"]).files == {"truth": files["array2"]}
    found, faults, _ = evaluate_files(files)
    assert found == dict.fromkeys(["array2", "array3"], evaluate_pair(ONE, ONE))
    assert sorted(fault.split(".zarr: ")[1] for fault in faults) == [
        "holds no labels (no 'multiscales'); give an OME-Zarr label image or an array",
        "holds the labels of nothing; give the folder of one",
        "labels are float64; save integers (uint16), one id per nucleus, background 0",
    ]


def test_labels_of_stacks_are_checked(folders):
    predictions, truth = folders
    stack = np.stack([ONE, ONE])
    spots = np.zeros((1, 40, 40), np.uint8)
    spots[0, ::4, ::4] = 7
    save(truth, size=stack, mask=spots, colour=np.zeros((8, 8), np.uint8))
    save(predictions, size=ONE, mask=spots)
    tifffile.imwrite(predictions / "colour.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    _, faults, _ = evaluate_files(find_pairs(truth, predictions).files)
    told = "\n".join(sorted(faults))
    assert "labels are a colour image" in told
    assert "a mask, not labels: 7 is the only id" in told
    assert "labels are 1×6 but the truth is 2×1×6; save both at one size" in told


LINKED = np.stack([ONE, ONE])
ALONE = np.stack([ONE, np.where(ONE, ONE + 6, 0)])


@pytest.mark.parametrize(
    ("predicted", "true", "fix"),
    [
        (ALONE, LINKED, "link the prediction (segment --all-planes --link)"),
        (LINKED, ALONE, "leave out --link"),
        (LINKED, LINKED, None),
        (ALONE, ALONE, None),
        (ALONE * 0, LINKED, None),
        (ONE, ONE, None),
    ],
)
def test_stacks_of_which_only_one_is_linked_are_told(folders, predicted, true, fix):
    predictions, truth = folders
    save(truth, a=true)
    save(predictions, a=predicted)
    notes = evaluate_files(find_pairs(truth, predictions).files).notes
    assert len(notes) == bool(fix)
    assert all("ids of the prediction are on one plane only" in note and fix in note for note in notes)


def test_planes_are_compared_each_by_itself(folders):
    predictions, truth = folders
    save(truth, a=LINKED, flat=ONE)
    save(predictions, a=np.stack([ALONE[1], ONE * 0]), flat=ONE)
    files = find_pairs(truth, predictions).files
    scores, faults, notes = evaluate_files(files, by_planes=True)
    assert (faults, notes) == ([], [])
    assert list(scores) == ["a_plane0", "a_plane1", "flat"]
    table = to_table(scores)
    assert table.loc["a_plane0", "ap50"] == 1
    assert table.loc["a_plane1", "found"] == 0
    assert to_table(evaluate_files(files).scores).loc["a", "ap60"] < 1
    save(predictions, a=ONE)
    assert "save both at one size" in evaluate_files(files, by_planes=True).faults[0]


def test_a_plane_that_is_named_as_a_file_is_told(folders):
    for folder in folders:
        save(folder, a=LINKED, a_plane0=ONE)
    predictions, truth = folders
    scores, faults, _ = evaluate_files(find_pairs(truth, predictions).files, by_planes=True)
    assert list(scores) == ["a_plane0"]
    assert "has a plane named as a file, a_plane0" in faults[0]


@pytest.mark.parametrize("end", ["_labels", "_cp_masks", "_mask", "_seg"])
def test_label_images_are_told_from_images_by_the_ends_of_other_programs(folders, end):
    predictions, truth = folders
    save(predictions, **{"a": np.arange(6)[None], f"a{end}": ONE})
    save(truth, a=ONE)
    pairs = find_pairs(truth, predictions)
    assert pairs == ({"a": (truth / "a.tif", predictions / f"a{end}.tif")}, [], [])


def test_two_label_images_of_one_name_are_told(folders):
    predictions, truth = folders
    save(predictions, a_cp_masks=ONE, a_seg=ONE)
    save(truth, a=ONE)
    assert "same name as a_cp_masks.tif; remove one of them" in find_pairs(truth, predictions).faults[0]


def test_labels_of_one_plane_are_those_of_no_other_name(folders):
    predictions, truth = folders
    save(predictions, a=ONE, a_plane3_labels=ONE, a_plane3_semantic=ONE)
    save(truth, a=ONE, a_plane3=ONE)
    pairs = find_pairs(truth, predictions)
    assert pairs.files == {"a_plane3": (truth / "a_plane3.tif", predictions / "a_plane3_labels.tif")}
    assert pairs.faults == [f"{truth / 'a.tif'}: no prediction; expected {predictions / 'a_labels.tif'} or a.tif"]
