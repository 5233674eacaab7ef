"""What the comparison of two models says, and how it is kept."""

import json

import pytest

from napari_pffnet.train.gate import GATE_FILE, Compared, Gate, lines, read_gate


def row(name, old, new):
    return Compared(name, *({"ap50": value, "aji": value, "pq": value} for value in (old, new)), nuclei=700)


GATE = Gate(
    row("all", 0.5, 0.7), (row("a", 0.4, 0.8), row("b", 0.6, 0.55), row("c", 0.5, 0.502)), row("replay", 0.9, 0.9)
)


def test_small_differences_are_none():
    assert [image.change("ap50") for image in GATE.images] == [1, -1, 0]


def test_it_is_said_in_a_sentence():
    assert GATE.headline() == (
        "better than the old model: AP50 0.50 → 0.70, 1 of 3 images better, 1 worse, on replay images AP50 0.90 → 0.90"
    )
    assert Gate(row("all", 0.5, 0.4)).headline().startswith("worse than the old model")
    forgetful = Gate(row("all", 0.5, 0.7), (), row("replay", 0.9, 0.8))
    assert forgetful.headline().endswith("but it forgets: on replay images AP50 0.90 → 0.80")
    assert Gate().headline() == "not compared with the old model"


@pytest.mark.parametrize(("new", "replay", "better"), [(0.7, 0.9, True), (0.4, 0.9, False), (0.7, 0.8, False)])
def test_a_new_model_is_better_only_if_nothing_is_forgotten(new, replay, better):
    assert Gate(row("all", 0.5, new), (), row("replay", 0.9, replay)).better is better


@pytest.mark.parametrize(("new", "better", "in_doubt"), [(0.74, True, True), (0.9, True, False), (0.5, False, False)])
def test_of_few_nuclei_a_small_difference_is_chance(new, better, in_doubt):
    """14 of 17 found, then one more false, as good as nothing; a half lost is more than that."""
    gate = Gate(Compared("all", {"ap50": 0.82}, {"ap50": new}, 17))
    assert (gate.better, gate.in_doubt) == (better, in_doubt)
    assert gate.headline().startswith("as good as the old model, as far as 17 nuclei can tell: AP50 0.82") == better
    forgets = Gate(row("all", 0.5, 0.7), (), Compared("replay", {"ap50": 0.82}, {"ap50": new}, 17))
    assert forgets.better == better
    assert ("forgets" in forgets.headline()) != better


def test_what_the_old_model_knew_is_said(tmp_path):
    gate = Gate(row("all", 0.5, 0.4), (), row("replay", 0.9, 0.8), ("a", "b"))
    assert "and it forgets: on replay" in gate.headline()
    assert gate.headline().endswith("but the old model has learnt from a, b, which flatters it")
    gate.write(tmp_path)
    assert read_gate(tmp_path).known == ("a", "b")


def test_it_is_read_as_it_was_written(tmp_path):
    GATE.write(tmp_path)
    again = read_gate(tmp_path)
    assert again.images == GATE.images
    assert again.replay == GATE.replay
    assert (again.pooled.old, again.pooled.new, again.pooled.nuclei) == (GATE.pooled.old, GATE.pooled.new, 2100)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"old": 1, "new": {}, "images": []}', '{"images": [{}]}'])
def test_a_damaged_file_is_no_comparison(tmp_path, content):
    (tmp_path / GATE_FILE).write_text(content)
    assert not read_gate(tmp_path).usable
    assert not read_gate(tmp_path / "nowhere").usable


def test_a_terminal_shows_one_line_an_image_and_faults():
    gate = Gate(row("all", 0.5, 0.7), (Compared("a", {}, {}, fault="new model: no"),))
    shown = lines(gate)
    assert len(shown) == 2
    assert "(new model: no)" in shown[0]
    assert "AP50 0.500 -> 0.700 +" in shown[1]
    assert json.dumps(shown)
