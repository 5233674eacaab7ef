"""The step Train without a screen: what is learnt from, the run, old against new."""

import json
import shutil
import sys
import time
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from panel_fakes import at_once
from psygnal import Signal
from train_fakes import CHOICES, FakeView, corrected, fake_command, poll, run_folders

from napari_pffnet._qt.train import controller as train_controller
from napari_pffnet._qt.train.controller import TrainController
from napari_pffnet._qt.train.runs import (
    TrainOptions,
    again,
    check_settings,
    command,
    new_folder,
    open_run,
    past,
    seen,
)
from napari_pffnet._qt.train.texts import NO_MODEL, NO_PROJECT, READONLY
from napari_pffnet.config import ConfigError, TrainConfig, apply_overrides, parse
from napari_pffnet.curate.project import Project
from napari_pffnet.io.project import PROJECT_FILE, Manifest, find_image, manifest_bytes, read_manifest
from napari_pffnet.io.regions import Regions
from napari_pffnet.library import pixel_print
from napari_pffnet.train.__main__ import build_parser
from napari_pffnet.train.child import find, start
from napari_pffnet.train.gate import gate_file
from projects import SHAPE


class Projects:
    """What the step Train needs of the step Project."""

    changed = Signal()
    leaving = Signal()

    def __init__(self):
        self.project = None
        self.saved = 0
        self.keeper = SimpleNamespace(save=self._save)

    def _save(self):
        self.saved += 1
        return True

    def open(self, folder):
        self.close()
        self.project = Project.open(folder)
        self.changed.emit()

    def close(self):
        if self.project:
            self.project.close()
        self.project = None


@pytest.fixture
def make(monkeypatch):
    """Makes a controller of a project whose training is a fake one; ends what goes on."""
    made = []

    def make(folder=None, *how, add=lambda _file, name, _note: name):
        monkeypatch.setattr(train_controller, "command", fake_command(*how))
        controller = TrainController(Projects(), FakeView(), at_once, lambda: CHOICES, add, Mock())
        made.append(controller)
        if folder:
            controller.projects.open(folder)
        controller.set_open(True)
        return controller

    yield make
    for controller in made:
        if controller.run:
            controller.run.kill()
        controller.close()
        controller.projects.close()


def test_without_a_project_it_says_what_is_needed(make):
    controller = make()
    for action in (controller.start, controller.stop, controller.discard, controller.keep_old, controller.poll):
        action()
    assert controller.view.page == "none"
    assert controller.view.last("set_status")[0] == NO_PROJECT


def test_done_images_count_and_one_is_held_out(make, tmp_path):
    controller = make(corrected(tmp_path))
    material, used, held = controller.view.last("set_material")
    assert [each.name for each in material] == ["a", "b", "c"]
    assert (used, held) == (["a", "b"], ["a"])
    assert controller.view.last("set_summary")[0] == "Learns from 1 image (2 nuclei), checked on 1 image (2 nuclei)."


def test_slices_of_one_stack_on_both_sides_are_told(make, tmp_path):
    file = corrected(tmp_path) / PROJECT_FILE
    manifest = read_manifest(file)
    file.write_bytes(
        manifest_bytes(Manifest(images=tuple(e.model_copy(update={"stack": "im"}) for e in manifest.images)))
    )
    controller = make(file.parent)
    _, used, held = controller.view.last("set_material")
    assert (used, held) == (["a", "b"], ["b"])
    told = controller.view.last("set_summary")[0]
    assert told.endswith("Both hold slices of 'im': on another image it may do less well.")


def test_an_image_that_is_done_later_joins(make, tmp_path):
    controller = make(corrected(tmp_path, done=("a",)))
    assert controller.view.last("set_summary")[0].endswith("checked on a part of it that is held out.")
    project = controller.projects.project
    project.write_regions("b", Regions(whole=True))
    project.set_state("b", "done")
    controller.projects.changed.emit()
    assert controller.view.last("set_summary")[0].startswith("Only one of these images has nuclei")
    labels = project.folder / "labels"
    shutil.copy(labels / "a.tif", labels / "b.tif")
    controller.projects.changed.emit()
    assert controller.view.last("set_material")[1:] == (["a", "b"], ["a"])


def test_another_project_starts_with_its_own_images_and_ticks(make, tmp_path, monkeypatch):
    controller = make(corrected(tmp_path / "one", done=("a", "b", "c")))
    monkeypatch.setattr(FakeView, "options", lambda _self: TrainOptions(("a", "b", "c"), ("b",)))
    controller.choice.count()
    assert controller.view.last("set_material")[2] == ["b"], "as the user has ticked"
    jobs = []
    controller.background = lambda _title, job, *, done, **_more: jobs.append((job, done))
    controller.projects.open(corrected(tmp_path / "two", done=("a", "b", "c")))
    assert controller.view.last("set_material") == ([], [], [])
    assert controller.view.set_summary.call_args.kwargs == {"ready": False}
    for job, done in jobs:
        done(job(None))
    assert controller.view.last("set_material")[2] == ["a"], "no tick of the other project"


def test_another_base_model_has_another_proposal_unless_the_user_has_chosen(make, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "napari_pffnet._qt.train.choice.seen", lambda base, _project: ({"mine": ["a"]}.get(base, []), [])
    )
    controller = make(corrected(tmp_path, done=("a", "b", "c")))
    assert controller.view.last("set_material")[2] == ["a"]
    chosen = {"held_out": ("a",)}
    monkeypatch.setattr(FakeView, "options", lambda _self: TrainOptions(("a", "b", "c"), **chosen))
    chosen["base"] = "mine"
    controller.choice.count()
    assert controller.view.last("set_material")[2] == ["b"], "what the base has learnt is held out last"
    chosen.update(base="default", held_out=("c",))
    controller.choice.count()
    assert controller.view.last("set_material")[2] == ["c"]


def test_a_base_model_that_is_gone_is_followed_by_another_proposal(make, tmp_path, monkeypatch):
    controller = make(corrected(tmp_path))
    bases = iter(["mine", "mine", *["default"] * 9])
    monkeypatch.setattr(FakeView, "options", lambda _self: TrainOptions(("a", "b"), ("a",), next(bases)))
    controller.view.set_material.reset_mock()
    controller.find_choices("mine", "")
    controller.view.set_material.assert_called_once()
    controller.find_choices()
    controller.view.set_material.assert_called_once()


def test_the_images_of_a_project_are_known_by_their_pixels(tmp_path, monkeypatch):
    folder = corrected(tmp_path)
    pixels = tifffile.imread(folder / "images" / "a.tif")
    data = {"learnt": ["a", "b"], "prints": {"a": [pixel_print(pixels)], "b": [pixel_print(pixels + 1)]}}
    monkeypatch.setattr("napari_pffnet._qt.train.runs.entry", lambda _name: Mock(card={"data": data}))
    assert seen("mine", folder) == (["a"], [])
    tifffile.imwrite(folder / "images" / "a.tif", pixels + 1)
    assert seen("mine", folder) == ([], [])


def test_an_image_without_nuclei_is_not_proposed_to_check_on(make, tmp_path, monkeypatch):
    folder = corrected(tmp_path, done=("a", "b", "c"))
    tifffile.imwrite(folder / "labels" / "a.tif", np.zeros(SHAPE, np.uint16))
    controller = make(folder)
    assert controller.view.last("set_material")[1:] == (["a", "b", "c"], ["b"])
    for used, held, text in (("abc", "a", "no nucleus to check on"), ("abc", "bc", "no nucleus to learn from")):
        monkeypatch.setattr(FakeView, "options", lambda _self, u=used, h=held: TrainOptions(tuple(u), tuple(h)))
        controller.choice.summarize()
        assert text in controller.view.last("set_summary")[0]
        assert controller.view.set_summary.call_args.kwargs == {"ready": False}


def test_images_whose_files_are_gone_cannot_be_learnt_from(make, tmp_path):
    folder = corrected(tmp_path, done=("a", "b", "c"))
    (folder / "labels" / "a.tif").unlink()
    (folder / "provenance").mkdir(exist_ok=True)
    (folder / "provenance" / "a.csv").write_text("index,origin\n1,painted\n2,painted\n")
    controller = make(folder)
    find_image(folder, controller.projects.project.entry("b")).unlink()
    controller.choice.count()
    material, used, _held = controller.view.last("set_material")
    assert used == ["c"]
    faults = {each.name: each.fault for each in material}
    assert "a.tif is gone, with 2 nuclei; open the image in the panel, which restores it" in faults["a"]
    assert "image 'b' is not at" in faults["b"]


@pytest.mark.parametrize(
    ("ticked", "held", "text"),
    [
        ((), (), "Tick at least one image to learn"),
        (("a", "b"), (), "Tick at least one"),
        (("a",), ("a",), "All images are held out"),
    ],
)
def test_choices_that_cannot_be_trained_are_explained(make, tmp_path, monkeypatch, ticked, held, text):
    controller = make(corrected(tmp_path))
    monkeypatch.setattr(FakeView, "options", lambda _self: TrainOptions(ticked, held))
    controller.choice.summarize()
    said = controller.view.set_summary.call_args
    assert text in said.args[0]
    assert said.kwargs == {"ready": False}


def test_from_fine_tune_to_accept(make, tmp_path):
    added, chosen = [], []
    folder = corrected(tmp_path)
    controller = make(folder, "steps=20", add=lambda *what: added.append(what) or what[1])
    controller.accepted.connect(chosen.append)
    assert controller.projects.saved == 1, "what is counted lies in files"
    controller.start()
    assert controller.view.page == "running"
    assert controller.projects.saved == 2
    poll(controller, lambda: controller.view.page == "gate")
    assert controller.view.last("set_progress")[:2] == (20, 20)
    losses, metrics = controller.view.last("set_curves")
    assert len(losses) == 10
    assert set(metrics) == {"AP50", "PQ"}
    gate, name, again = controller.view.last("set_gate")
    assert not again
    assert gate.headline() == "better than the old model: AP50 0.50 → 0.70"
    assert name.startswith("project 20")
    controller.accept(" liver ")
    assert chosen == ["liver"]
    [(file, name, note)] = added
    assert (file.name, name) == ("best.safetensors", "liver")
    assert "better than the old model" in note
    assert controller.view.page == "setup"
    assert open_run(folder) is None, "it is decided"


def test_keeping_the_old_adds_nothing(make, tmp_path):
    controller = make(corrected(tmp_path), add=pytest.fail)
    controller.start()
    poll(controller, lambda: controller.view.page == "gate")
    controller.keep_old()
    assert controller.view.page == "setup"
    assert controller.view.last("set_status")[0] == "The old model stays in use."


def listed(controller):
    """What the list of earlier trainings shows, the last one first."""
    return [(each.gate.pooled is not None, each.became) for each in controller.view.last("set_past")[0]]


def test_trainings_that_are_over_are_listed_with_what_became_of_them(make, tmp_path):
    controller = make(corrected(tmp_path))
    assert listed(controller) == []
    for end in (lambda: controller.accept("liver"), controller.keep_old):
        controller.start()
        poll(controller, lambda: controller.view.page == "gate")
        end()
    assert listed(controller) == [(True, "old kept"), (True, "liver")]
    [last, _] = controller.view.last("set_past")[0]
    assert last.date.startswith(last.output.name[:10])
    assert last.told.splitlines() == [
        "learnt from 2 images (30 nuclei)",
        "checked on a",
        "the new model is better than the old model: AP50 0.50 → 0.70",
    ]
    controller.projects.close()
    controller.projects.changed.emit()
    assert listed(controller) == []


def test_the_model_of_an_earlier_training_can_be_accepted_still(make, tmp_path):
    added = []
    controller = make(corrected(tmp_path), add=lambda _file, name, _note: added.append(name) or name)
    controller.start()
    poll(controller, lambda: controller.view.page == "gate")
    controller.keep_old()
    [training] = controller.view.last("set_past")[0]
    controller.past.look_again(training.output.name)
    poll(controller, lambda: controller.view.page == "gate")
    assert controller.view.last("set_gate")[2], "it was decided before"
    controller.accept("liver")
    assert added == ["liver"]
    controller.past.look_again(training.output.name)
    poll(controller, lambda: controller.view.page == "gate")
    controller.keep_old()  # the button says "Back" then
    assert controller.view.page == "setup"
    assert listed(controller) == [(True, "liver")], "nothing has changed"


def test_deleting_an_earlier_training_needs_a_yes(make, tmp_path):
    folder = corrected(tmp_path)
    controller = make(folder)
    controller.start()
    poll(controller, lambda: controller.view.page == "gate")
    controller.keep_old()
    [training] = run_folders(folder)
    for answer, left in ((False, [training]), (True, [])):
        controller.view.ask.return_value = answer
        controller.past.delete(training.name)
        assert run_folders(folder) == left
        assert len(listed(controller)) == len(left)


def test_what_an_earlier_training_was_told_is_listed(tmp_path):
    output = corrected(tmp_path) / "training" / "2026-01-01_000000"
    output.mkdir(parents=True)
    stored = command(
        tmp_path, output, TrainOptions(("a", "b"), ("a",), base="mine", effort="quick"), ["finetune.blend=1"]
    )
    (output / "run.json").write_text(json.dumps({"command": stored, "since": "2026-01-01 00:00"}))
    (output / "exit.json").write_text(json.dumps({"code": 2}))
    [training] = past(output.parents[1])
    assert (training.became, training.told) == ("broke off", "from mine, effort quick\nfinetune.blend=1")


def test_a_name_that_is_taken_is_asked_for_again(make, tmp_path):
    def taken(*_):
        raise ValueError("there is a model 'liver' already; choose another name")

    controller = make(corrected(tmp_path), add=taken)
    controller.start()
    poll(controller, lambda: controller.view.page == "gate")
    controller.accept("liver")
    assert "already" in controller.view.last("set_status")[0]
    assert controller.view.page == "gate"
    controller.accept("  ")
    assert controller.view.last("set_status")[0] == "Give the new model a name."


def test_pause_and_stop(make, tmp_path):
    controller = make(corrected(tmp_path), "steps=100000", "seconds=0.01")
    controller.start()
    poll(controller, lambda: controller.progress.step > 10)
    controller.pause(True)
    poll(controller, lambda: "paused" in controller.view.last("set_progress")[2])
    controller.pause(False)
    poll(controller, lambda: "left" in controller.view.last("set_progress")[2])
    controller.stop()
    poll(controller, lambda: controller.view.page == "gate")


def test_a_failure_is_shown_with_its_cause_and_the_next_run_is_free(make, tmp_path):
    folder = corrected(tmp_path)
    controller = make(folder, "memory")
    controller.start()
    poll(controller, lambda: controller.view.page == "failed")
    text, resumable = controller.view.last("set_failure")
    assert text.startswith("Memory ran out.")
    assert not resumable
    controller.discard()
    assert controller.view.page == "setup"
    assert run_folders(folder) == []


def test_a_run_that_broke_off_goes_on_in_its_folder(make, tmp_path, monkeypatch):
    folder = corrected(tmp_path)
    controller = make(folder, "crash")
    controller.start()
    (controller.run.output / "resume.pt").touch()
    poll(controller, lambda: controller.view.page == "failed")
    assert controller.view.last("set_failure")[1]
    run_json = controller.run.output / "run.json"
    about = json.loads(run_json.read_text())
    project, output = str(folder), str(controller.run.output)
    stored = command(folder, controller.run.output, TrainOptions(("a",), (), "mine", "quick", "cpu"), ["batch_size=2"])
    run_json.write_text(json.dumps({**about, "command": stored}))
    assert again(stored, folder, controller.run.output) == [
        *(sys.executable, "-m", "napari_pffnet.train", "--project", project, "--base", "mine", "--output", output),
        *("--effort", "quick", "--device", "cpu", "--resume", "auto"),
        *("finetune.images=[a]", "finetune.held_out=[]", "batch_size=2"),
    ]
    fake, given = fake_command("steps=1"), []

    def go_on(_stored, project, output, settings):
        given.append(settings)
        return fake(project, output, None, None)

    monkeypatch.setattr(train_controller, "again", go_on)
    controller.view.text = "optimizer.rat=1"
    controller.resume()
    assert "did you mean optimizer.rate?" in controller.view.last("set_status")[0]
    controller.view.text = "batch_size=1"
    controller.resume()
    assert given == [["batch_size=1"]]
    poll(controller, lambda: controller.view.page == "gate")
    assert len(run_folders(folder)) == 1


def test_the_best_of_a_run_that_broke_off_can_be_taken(make, tmp_path, monkeypatch):
    controller = make(corrected(tmp_path), "crash")
    controller.start()
    (controller.run.output / "resume.pt").touch()
    poll(controller, lambda: controller.view.page == "failed")
    fake = fake_command("steps=100000", "seconds=0.01")
    monkeypatch.setattr(train_controller, "again", lambda _stored, *given: fake(*given[:2], None, None))
    controller.finish()
    assert controller.run.stopping
    poll(controller, lambda: controller.view.page == "gate")
    assert controller.progress.step < 100


def test_the_model_that_a_project_brought_is_chosen_when_it_opens(make, tmp_path, monkeypatch):
    folder = corrected(tmp_path)
    for run, accepted in (("2026-01-01", "liver"), ("2026-01-02", "deleted"), ("2026-01-03", None)):
        (folder / "training" / run).mkdir(parents=True)
        (folder / "training" / run / "decision.json").write_text(json.dumps({"accepted": accepted}))
    (folder / "training" / "2026-01-03" / "decision.json").write_text("damaged")
    monkeypatch.setattr(train_controller, "available", lambda: {"default": None, "liver": None})
    controller = make()
    remembered = []
    controller.remembered.connect(lambda name, _before: remembered.append(name))
    controller.projects.open(folder)
    assert remembered == ["liver"]
    assert controller.view.last("choose_base") == ("liver",)
    assert "'deleted', which this project's training brought, is no longer in" in controller.view.last("set_status")[0]
    controller.view.choose_base.reset_mock()
    monkeypatch.setattr(FakeView, "options", lambda _self: TrainOptions(base="mine"))
    controller.remember()
    controller.view.choose_base.assert_not_called()


def test_a_model_that_is_renamed_stays_that_of_its_project(make, tmp_path, monkeypatch):
    folder = corrected(tmp_path)
    (folder / "training" / "2026-01-01").mkdir(parents=True)
    (folder / "training" / "2026-01-01" / "decision.json").write_text(json.dumps({"accepted": "liver", "date": "then"}))
    monkeypatch.setattr(train_controller, "available", lambda: {"default": None, "kidney": None})
    controller = make(folder)
    assert "'liver', which this project's training brought" in controller.view.last("set_status")[0]
    controller.find_choices("other", "kidney")
    controller.remember()
    assert controller.view.last("choose_base") == ("default",)
    controller.find_choices("liver", "kidney")
    controller.remember()
    assert controller.view.last("choose_base") == ("kidney",)
    assert json.loads((folder / "training" / "2026-01-01" / "decision.json").read_text())["date"] == "then"


def test_the_name_that_is_proposed_is_free(make, tmp_path, monkeypatch):
    taken = f"project {time.strftime('%Y-%m-%d')}"
    monkeypatch.setattr("napari_pffnet.library.changes.available", lambda: {taken: None})
    controller = make(corrected(tmp_path), "steps=1")
    controller.start()
    poll(controller, lambda: controller.view.page == "gate")
    assert controller.view.last("set_gate")[1] == f"{taken} 2"


def test_a_base_model_that_is_renamed_stays_chosen(make, tmp_path, monkeypatch):
    controller = make(corrected(tmp_path))
    monkeypatch.setattr(FakeView, "options", lambda _self: TrainOptions(base="mine"))
    controller.find_choices("mine", "ours")
    assert controller.view.last("set_choices") == (CHOICES, "ours")
    controller.find_choices("other", "new")
    assert controller.view.last("set_choices") == (CHOICES, None)


@pytest.mark.parametrize(
    "stored",
    [
        ["/bin/sh", "-c", "touch owned"],
        ["python", "-m", "os"],
        [],
        ["python", "-m", "napari_pffnet.train", "--project", "x", "--run-this", "y"],
    ],
)
def test_nothing_else_that_a_run_names_is_executed(make, tmp_path, stored):
    controller = make(corrected(tmp_path), "crash")
    controller.start()
    poll(controller, lambda: controller.view.page == "failed")
    run_json = controller.run.output / "run.json"
    run_json.write_text(json.dumps({**json.loads(run_json.read_text()), "command": stored}))
    controller.set_open(True)
    controller.run = find(controller.run.output)
    controller.resume()
    assert "run.json is damaged or not of this program" in controller.view.last("set_status")[0]
    assert controller.run.state == "failed"


def test_a_run_of_a_machine_that_is_gone_can_be_forgotten(make, tmp_path):
    folder = corrected(tmp_path)
    output = folder / "training" / "2026-01-01_000000"
    output.mkdir(parents=True)
    (output / "run.json").write_text(json.dumps({"pid": 7, "host": "elsewhere", "command": []}))
    controller = make(folder)
    assert controller.run.elsewhere == "elsewhere"
    controller.view.ask.return_value = True
    controller.discard()
    assert "another machine (elsewhere)" in controller.view.ask.call_args.args[0]
    assert run_folders(folder) == []


def test_an_end_without_a_model_offers_none(make, tmp_path):
    controller = make(corrected(tmp_path))
    controller.start()
    poll(controller, lambda: controller.run.state == "ended")
    (controller.run.output / "best.safetensors").unlink()
    poll(controller, lambda: controller.view.page == "failed")
    assert controller.view.last("set_failure")[0] == NO_MODEL


def test_a_run_that_was_started_by_hand_meanwhile_is_found(make, tmp_path):
    folder = corrected(tmp_path)
    controller = make(folder, "steps=100000", "seconds=0.01")
    output = folder / "training" / "by hand"
    other = start(fake_command("hang")(None, output, None, None), output)
    controller.start()
    assert controller.run.output == other.output, "no second one is started"
    other.kill()


def test_discarding_needs_a_yes(make, tmp_path):
    folder = corrected(tmp_path)
    controller = make(folder, "steps=100000", "seconds=0.01")
    controller.start()
    controller.view.ask.return_value = False
    controller.discard()
    assert controller.run.state == "running"
    controller.view.ask.return_value = True
    controller.discard()
    assert controller.run is None
    assert run_folders(folder) == []
    assert controller.view.last("set_past")[0] == [], "nor is it among the earlier ones"


def test_a_run_goes_on_without_the_panel_and_is_found_again(make, tmp_path):
    folder = corrected(tmp_path)
    first = make(folder, "steps=100000", "seconds=0.01")
    first.start()
    poll(first, lambda: first.progress.step > 5)
    first.close()
    first.projects.close()
    again = make(folder)
    assert again.view.page == "running"
    poll(again, lambda: again.progress.step > 5)
    again.start()
    assert len(run_folders(folder)) == 1, "one run at a time"
    again.stop()
    poll(again, lambda: again.view.page == "gate")


def test_another_project_has_its_own_run(make, tmp_path):
    controller = make(corrected(tmp_path / "one"), "steps=100000", "seconds=0.01")
    controller.start()
    run = controller.run
    controller.projects.open(corrected(tmp_path / "two"))
    assert controller.view.page == "setup"
    assert run.state == "running"
    run.kill()


def test_nothing_starts_with_wrong_settings_or_without_leave_to_write(make, tmp_path):
    controller = make(corrected(tmp_path))
    controller.view.text = "optimizer.rat=1"
    controller.start()
    assert "did you mean optimizer.rate?" in controller.view.last("set_status")[0]
    controller.view.text = ""
    controller.projects.project._lock.release()
    controller.projects.project._lock = None
    controller.start()
    assert controller.view.last("set_status")[0] == READONLY
    assert controller.run is None


def test_settings_are_lines_and_comments():
    assert check_settings("\n# slower\n optimizer.rate=1e-4 \n") == ["optimizer.rate=1e-4"]
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        check_settings("faster please")
    with pytest.raises(ConfigError, match=r"model\.diameter is as in the model to start from; leave it out"):
        check_settings("model.diameter=7")


def test_the_command_says_all_that_was_chosen(tmp_path):
    options = TrainOptions(("a", "b"), ("b",), "mine", "quick", "cpu")
    text = " ".join(command(tmp_path / "project", tmp_path / "out", options, ["batch_size=2"]))
    for part in ("--base mine", "--effort quick", "--device cpu", "batch_size=2", f"--output {tmp_path / 'out'}"):
        assert part in text


def test_a_run_that_was_started_by_hand_goes_on_as_the_command_line_would(tmp_path):
    stored = [sys.executable, "-m", "napari_pffnet.train", "--project", "x", "--output", "y"]
    assert again(stored, tmp_path / "project", tmp_path / "out") == [
        *(*stored[:3], "--project", str(tmp_path / "project"), "--base", "default", "--output", str(tmp_path / "out")),
        *("--effort", "normal", "--device", "auto", "--resume", "auto"),
    ]


@pytest.mark.parametrize("name", ["a", "Zelle 😀", "ü, [1]: 'x'", "1", "null", "b\x7f\x85", "x " * 100])
def test_the_training_reads_the_names_of_images_as_they_were_chosen(tmp_path, name):
    arguments = command(tmp_path / "project", tmp_path / "out", TrainOptions((name, "b"), (name,)), [])
    given = build_parser().parse_intermixed_args(arguments[3:]).overrides
    wanted = parse(TrainConfig, apply_overrides({}, given), "command").finetune
    assert (wanted.images, wanted.held_out) == ((name, "b"), (name,))


def test_folders_of_runs_do_not_collide(tmp_path):
    first = new_folder(tmp_path)
    first.mkdir(parents=True)
    assert new_folder(tmp_path) != first


def test_the_command_can_be_copied_and_nothing_starts(make, tmp_path):
    controller = make(corrected(tmp_path), "steps=1")
    controller.copy_command()
    assert "fake_training.py" in controller.view.last("copy")[0]
    assert controller.run is None
    controller.view.copy.reset_mock()
    controller.view.text = "optimizer.rat=1"
    controller.copy_command()
    controller.view.copy.assert_not_called()


def test_old_and_new_are_shown_side_by_side_and_taken_away(make, tmp_path):
    controller = make(corrected(tmp_path), "steps=1")
    controller.start()
    poll(controller, lambda: controller.view.page == "gate")
    labels = np.zeros(SHAPE, np.uint16)
    values = {"name": "a", "old": {}, "new": {}, "old_labels": "old.tif", "new_labels": "new.tif"}
    for which in ("old", "new"):
        tifffile.imwrite(controller.run.output / values[f"{which}_labels"], labels)
    truth, ignored = np.zeros((2, *SHAPE), np.uint16)
    truth[:8, :8], truth[-8:, -8:], ignored[-8:, -8:] = 1, 2, 1
    (controller.run.output / "gate").mkdir(exist_ok=True)
    for which, pixels in (("truth", truth), ("ignored", ignored)):
        tifffile.imwrite(controller.run.output / gate_file("a", which), pixels)
    (controller.run.output / "gate.json").write_text(json.dumps({"old": {}, "new": {}, "images": [values]}))
    controller.compare("a")
    name, image, truth, old, new, difference = controller.comparing.side_by_side.show.call_args.args
    assert (name, image.shape, old.shape, new.shape) == ("a", SHAPE, SHAPE, SHAPE)
    assert set(np.unique(truth)) == {0, 1}  # what lies in ignored pixels does not count
    assert difference.headline() == "the same nuclei; their outlines may differ"
    controller.comparing.side_by_side.remove.reset_mock()
    controller.compare("")
    controller.comparing.side_by_side.remove.assert_called_once()
    controller.compare("a")
    controller.comparing.side_by_side.remove.reset_mock()
    controller.view.end_comparison = Mock()
    controller.projects.leaving.emit()
    controller.comparing.side_by_side.remove.assert_called_once()
    controller.view.end_comparison.assert_called_once()
    jobs = []
    controller.background = lambda _title, job, *, done, **_more: jobs.append((job, done))
    controller.comparing.side_by_side.show.reset_mock()
    controller.compare("a")
    controller.projects.leaving.emit()
    [(job, done)] = jobs
    done(job(None))
    controller.comparing.side_by_side.show.assert_not_called()  # the user has gone on meanwhile
    jobs = []
    controller.background = lambda *args, **kwargs: jobs.append(lambda: at_once(*args, **kwargs))
    controller.compare("a")
    controller.keep_old()
    for job in jobs:
        job()
    controller.comparing.side_by_side.show.assert_not_called()  # decided meanwhile: nobody could close it
