import io
import json
import re

import pytest
import tifffile

from fakes import squares_image
from model_files import changed_weight, write_model
from napari_pffnet.cli import main
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library import add, available, entries

CARD = {
    "date": "2026-11-20",
    "parent": {"name": "default", "sha256": "0123456789abcdef"},
    "gate": {"old": {"ap50": 0.5}, "new": {"ap50": 0.62345678}},
    "recipe": {"seed": 0},
}


@pytest.fixture
def models(capsys):
    """Run a command; return exit code, lines of output and of errors."""

    def run(*arguments):
        code = main(["models", *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err.splitlines()

    return run


@pytest.fixture
def mine(tmp_path):
    return add(write_model(tmp_path / "x.safetensors", CARD), "My cells", "20 images\nof liver")


def names():
    return [entry.name for entry in entries()]


def test_list_has_a_line_per_model_and_says_where_they_are(models, mine, own_models):
    code, lines, errors = models("list")
    assert (code, errors) == (0, [f"note: your models are in {own_models}"])
    assert lines[0].split() == ["name", "date", "from", "quality", "note"]
    assert lines[1].startswith("default ")
    assert lines[1].endswith("comes with the package")
    assert re.split("  +", lines[2]) == [
        "My cells", "2026-11-20", "default 01234567", "AP50 0.62 (parent 0.50)", "20 images of liver"
    ]  # fmt: skip


def test_list_reports_damaged_files_and_goes_on(models, mine, own_models):
    (own_models / "bad.safetensors").write_bytes(b"")
    code, lines, errors = models("list")
    assert code == 1
    assert [line.split("  ")[0] for line in lines[1:]] == ["default", "bad", "My cells"]
    assert errors[0].startswith("failed: bad: ")
    assert "get the file again" in errors[0]


def test_list_reports_a_changed_file(models, mine):
    changed_weight(mine.path)
    code, lines, errors = models("list")
    assert code == 1
    assert "damaged" in lines[2]
    assert "import it again" in errors[0]


def test_show_tells_what_is_known_in_lines_or_json(models, mine):
    code, lines, _ = models("show", "My cells")
    assert code == 0
    assert {"name: My cells", f"file: {mine.path}", f"sha256: {mine.sha256}", "      ap50: 0.6235"} <= set(lines)
    assert not any("seed" in line for line in lines)
    shown = json.loads("\n".join(models("show", "My cells", "--json")[1]))
    assert shown["card"] == CARD
    assert (shown["note"], shown["sha256"], shown["fault"]) == ("20 images\nof liver", mine.sha256, "")
    assert models("show", "default")[0] == 0


def test_show_looks_at_every_byte(models, mine):
    changed_weight(mine.path)
    code, lines, _ = models("show", "My cells")
    assert code == 1
    assert any(line.startswith("fault: ") for line in lines)


def test_a_model_goes_to_a_colleague_and_comes_back(models, mine, tmp_path):
    target = tmp_path / "for Ann.safetensors"
    assert models("export", "My cells", target) == (0, [f"My cells -> {target}"], [])
    code, _, errors = models("export", "My cells", target)
    assert (code, "is there already" in errors[0]) == (2, True)
    code, lines, _ = models("import", target, "--note", "from Bob")
    assert code == 0
    assert lines[1] == "use it with: --model 'for Ann'"
    assert {entry.name: entry.note for entry in entries()}["for Ann"] == "from Bob"
    code, _, errors = models("import", target)
    assert (code, "there is a model 'for Ann' already" in errors[0]) == (2, True)
    assert models("import", target, "--name", "again")[0] == 0
    assert fingerprint(available()["again"]) == mine.sha256


def test_rename_and_note(models, mine):
    assert models("rename", "My cells", "liver")[:2] == (0, ["My cells -> liver"])
    assert models("note", "liver", "the good one")[:2] == (0, ["liver: the good one"])
    assert [(entry.name, entry.note) for entry in entries()][1:] == [("liver", "the good one")]
    assert models("note", "liver", "")[1] == ["liver: no note"]


@pytest.mark.parametrize(("answer", "left"), [("y\n", False), ("YES\n", False), ("\n", True), ("", True)])
def test_remove_asks(models, mine, monkeypatch, answer, left):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, _, errors = models("remove", "My cells")
    assert code == int(left)
    assert str(mine.path) in errors[0]
    assert ("My cells" in names()) == mine.path.exists() == left


def test_remove_does_not_ask_with_yes(models, mine, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert models("remove", "My cells", "--yes") == (0, [f"moved to the trash: {mine.path}"], [])
    assert names() == ["default"]


@pytest.mark.parametrize("command", ["rename default new", "note default x", "remove default", "remove default --yes"])
def test_models_of_the_package_stay_as_they_are(models, command):
    code, lines, errors = models(*command.split())
    assert (code, lines) == (2, [])
    assert "comes with the package" in errors[-1]
    assert names() == ["default"]


@pytest.mark.parametrize("command", ["show", "export", "rename", "note", "remove"])
def test_unknown_names_are_wrong_input(models, command, tmp_path):
    code, _, errors = models(command, "nowhere", *{"show": (), "remove": ()}.get(command, (tmp_path / "x",)))
    assert code == 2
    assert "no model 'nowhere'" in errors[-1]


def test_segment_knows_the_names(mine, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", squares_image((64, 64))[0])
    arguments = ["--output", str(tmp_path / "out"), "--device", "cpu", "--model"]
    assert main(["segment", str(tmp_path / "a.tif"), *arguments, "My cells"]) == 0
    assert main(["segment", str(tmp_path / "a.tif"), *arguments, "other"]) == 2
    assert "one of: default, My cells" in capsys.readouterr().err
