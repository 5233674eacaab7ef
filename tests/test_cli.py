import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile

from helpers import tiny
from napari_pffnet.cli import main
from napari_pffnet.library import save_model
from napari_pffnet.model import PFFNet

LABELS = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2]], np.uint16)


@pytest.fixture
def truth(tmp_path):
    (tmp_path / "truth").mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / "truth" / f"{name}.tif", LABELS)
    return tmp_path / "truth"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, PFFNet(tiny()), {})
    return str(path)


def test_who_reads_the_output_may_have_enough():
    script = "import sys; from napari_pffnet.cli import main; sys.exit(main(['models', 'show', 'default', '--json']))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_images_are_segmented_when_nobody_reads_the_output(model, tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((64, 64), np.uint8))
    command = [sys.executable, "-m", "napari_pffnet.cli", "segment", str(tmp_path), "--model", model]
    command += ["--output", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        process.stdout.close()
        assert process.wait() == 0
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {"a.csv", "b.csv"}


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def test_evaluate_prints_a_table_and_writes_it(truth, tmp_path, capsys):
    csv, out = tmp_path / "new" / "scores.csv", tmp_path / "scores.json"
    assert evaluate(truth, truth, "--csv", csv, "--json", out) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["nuclei", "a", "b", "mean", "pooled"]
    assert printed.err == ""
    assert pd.read_csv(csv, index_col="image").loc["mean", "pq"] == 1
    assert json.loads(out.read_text())["pooled"]["nuclei"] == 4


def test_evaluate_reports_what_is_missing_or_does_not_fit(truth, tmp_path, capsys):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for name, image in {"a": LABELS, "c": LABELS}.items():
        tifffile.imwrite(predictions / f"{name}_labels.tif", image)
    assert evaluate(predictions, truth) == 1
    printed = capsys.readouterr()
    assert "pooled" in printed.out
    assert "b.tif: no prediction" in printed.err
    assert "1 of 2 images not evaluated" in printed.err
    assert "no truth for c" in printed.err
    tifffile.imwrite(predictions / "a_labels.tif", LABELS[1:])
    assert evaluate(predictions, truth, "--csv", tmp_path / "none.csv") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "labels are 1×5 but the truth is 2×5 (height×width)" in printed.err
    assert (tmp_path / "none.csv").read_text() == "image\n", "figures of an earlier run would be taken for these"
    assert evaluate(predictions, truth, "--json", tmp_path / "none.json") == 1
    told = json.loads((tmp_path / "none.json").read_text())
    assert told["images"] == {}
    assert len(told["faults"]) == 2


@pytest.mark.parametrize("option", ["--csv", "--json"])
def test_evaluate_writes_no_table_over_an_image(truth, tmp_path, option, capsys):
    before = (truth / "a.tif").read_bytes()
    for path in (truth / "a.tif", tmp_path / "new.PNG"):
        assert evaluate(truth / "a.tif", truth / "b.tif", option, path) == 2
        assert f"{path} is the name of an image, not of a table; give" in capsys.readouterr().err
    assert evaluate(truth, truth, option, truth) == 2
    assert f"{truth} is a folder; give the name of a file" in capsys.readouterr().err
    assert (truth / "a.tif").read_bytes() == before
    assert not (tmp_path / "new.PNG").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("evaluate nowhere nowhere", "no such folder"),
        ("segment nowhere.tif --output out --score 2", "score_threshold"),
        ("segment nowhere.tif --output out --model missing", "no model 'missing'"),
        ("segment . --output out", "no images in ."),
    ],
)
def test_wrong_input_is_one_line_and_code_2(command, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_errors_of_several_lines_become_one(tmp_path, capsys):
    (tmp_path / "a.tif").write_bytes(b"")
    assert main(["segment", str(tmp_path), "--output", str(tmp_path), "--model", "two\nlines"]) == 2
    assert capsys.readouterr().err.startswith("error: no model 'two lines'")


@pytest.mark.parametrize("command", ["", "segmnet", "segment a.tif", "evaluate a"])
def test_wrong_usage_exits_with_code_2(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert "usage: napari-pffnet" in capsys.readouterr().err


def test_segment_writes_four_files_per_image_and_goes_on_after_a_bad_one(model, tmp_path, capsys):
    images, output = tmp_path / "images", tmp_path / "output"
    images.mkdir()
    tifffile.imwrite(images / "good.tif", np.arange(64 * 48, dtype=np.uint16).reshape(64, 48))
    (images / "bad.tif").write_bytes(b"no image")
    assert main(["segment", str(images), "--output", str(output), "--model", model, "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{images / 'good.tif'}: ")
    assert "bad.tif" in printed.err.splitlines()[0]
    assert printed.err.splitlines()[1] == "1 of 2 files failed"
    suffixes = ("_labels.tif", "_semantic.tif", ".csv", "_overlay.png")
    assert {path.name for path in output.iterdir()} == {f"good{suffix}" for suffix in suffixes}
    assert tifffile.imread(output / "good_labels.tif").shape == (64, 48)


def test_of_a_damaged_file_one_line_is_told(model, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0junk")
    command = [sys.executable, "-m", "napari_pffnet.cli", "segment", str(tmp_path / "a.tif"), "--model", model]
    done = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["failed", "1 of 1 files failed"]


def test_segment_refuses_two_images_of_one_name(model, tmp_path, capsys):
    for suffix in ("tif", "png"):
        (tmp_path / f"same.{suffix}").write_bytes(b"")
    assert main(["segment", str(tmp_path), "--output", str(tmp_path / "out"), "--model", model]) == 2
    assert "several images are named same" in capsys.readouterr().err


def test_help_needs_no_torch():
    code = "import sys, napari_pffnet.cli; print([name for name in ('torch', 'napari', 'qtpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_names_that_the_terminal_cannot_show_do_not_end_a_run(model, tmp_path):
    for name in ("核.tif", "plain.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((64, 64), np.uint8))
    command = [sys.executable, "-m", "napari_pffnet.cli", "segment", str(tmp_path), "--model", model]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u6838.tif" in done.stdout
    assert len(list((tmp_path / "out").glob("*_labels.tif"))) == 2
