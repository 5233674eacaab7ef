import json

import numpy as np
import pytest
import tifffile

from napari_pffnet.evaluate.metrics import evaluate_pair
from napari_pffnet.evaluate.report import PairError, evaluate_files, find_pairs, to_csv, to_json, to_table, to_text

ONE = np.array([[1, 1, 1, 1, 0, 0]], np.uint16)
THREE = np.array([[1, 0, 2, 0, 3, 3]], np.uint16)


@pytest.fixture
def folders(tmp_path):
    for name in ("predictions", "truth"):
        (tmp_path / name).mkdir()
    return tmp_path / "predictions", tmp_path / "truth"


def save(folder, **images):
    for name, image in images.items():
        tifffile.imwrite(folder / f"{name}.tif", image)


def scores():
    return {"good": evaluate_pair(THREE, THREE), "bad": evaluate_pair(ONE, np.roll(ONE, 3))}


def test_pairs_by_name_with_or_without_the_suffix(folders):
    predictions, truth = folders
    save(truth, a=ONE, b=ONE)
    save(predictions, a=THREE, a_labels=ONE, a_semantic=ONE, a_overlay=ONE, b=ONE, c=ONE)
    pairs = find_pairs(predictions, truth)
    assert pairs.files == {
        "a": (predictions / "a_labels.tif", truth / "a.tif"),
        "b": (predictions / "b.tif", truth / "b.tif"),
    }
    assert pairs.faults == []
    assert pairs.extra == ["c"]
    assert find_pairs(*folders[::-1]).files.keys() == {"a", "b"}


def test_two_files_are_a_pair(folders):
    files = (folders[0] / "x.tif", folders[1] / "y_labels.tif")
    save(folders[0], x=ONE)
    save(folders[1], y_labels=ONE)
    assert find_pairs(*files).files == {"y": files}


def test_truth_without_prediction_and_double_names_are_faults(folders):
    predictions, truth = folders
    save(truth, a=ONE, b=ONE)
    save(predictions, b=ONE)
    (predictions / "b.png").write_bytes(b"")
    assert find_pairs(predictions, truth).faults == [
        f"{truth / 'a.tif'}: no prediction; expected {predictions / 'a_labels.tif'} or a.tif",
        f"{predictions / 'b.tif'}: same name as b.png; remove one of them",
    ]


def test_nothing_to_compare_is_an_error_that_names_the_folder(folders):
    predictions, truth = folders
    with pytest.raises(PairError, match="truth: no label images; expected NAME"):
        find_pairs(predictions, truth)
    (truth / "labels").mkdir()
    with pytest.raises(PairError, match=r"did you mean .*truth/labels\?"):
        find_pairs(predictions, truth)
    with pytest.raises(PairError, match="nowhere: no such folder"):
        find_pairs(predictions / "nowhere", truth)


def test_bad_files_are_faults_and_the_rest_goes_on(folders):
    predictions, truth = folders
    save(truth, a=ONE, b=ONE, c=ONE, d=ONE)
    save(predictions, a=ONE, b=ONE[:, 1:], c=ONE.astype(np.float32))
    (predictions / "d.tif").write_bytes(b"no image")
    found, faults = evaluate_files(find_pairs(predictions, truth).files)
    assert found == {"a": evaluate_pair(ONE, ONE)}
    assert [fault.split(":")[0] for fault in faults] == [str(predictions / f"{name}.tif") for name in "bcd"]
    assert "1×5 but the image is 1×6" in faults[0]


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
