"""Fine-tuning on few images: what it learns from, how it ends, and that nothing is lost on the way."""

import json
import pickle
import shutil
import socket
import subprocess
import sys
import weakref
from functools import partial

import numpy as np
import pytest
import tifffile
import torch

from helpers import tiny, write_folder
from napari_pffnet.config import ConfigError, FinetuneConfig
from napari_pffnet.curate.intake import NewImage
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.work import Annotation
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.opening import open_source
from napari_pffnet.data.parts import Chosen, Kept, Side
from napari_pffnet.data.sources import DataError, hold_out
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.io.process import started
from napari_pffnet.io.regions import Regions
from napari_pffnet.library import LibraryError, load_model, save_model, seen_by
from napari_pffnet.model import PFFNet
from napari_pffnet.train import finetune as module
from napari_pffnet.train.__main__ import main
from napari_pffnet.train.child import OUTPUT_VARIABLE, find
from napari_pffnet.train.events import Checkpoint, Comparison, Message, Plan, Step, Validation
from napari_pffnet.train.finetune import finetune, recipe
from napari_pffnet.train.gate import Compared, Gate
from napari_pffnet.train.material import open_material, prints
from napari_pffnet.train.replay import ReplaySource, read_replay, sample_crops
from napari_pffnet.train.start import prepare
from napari_pffnet.train.state import DivergedError, TrainingError
from projects import SHAPE, paint, painted, project

CPU = torch.device("cpu")
SMALL = ["data.augment.crop=64", "batch_size=1", "precision=float32", "finetune.blend=1"]


@pytest.fixture(autouse=True)
def few_loss_crops(monkeypatch):
    monkeypatch.setattr("napari_pffnet.train.validation.LOSS_CROPS", 1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("base") / "old.safetensors"
    save_model(file, PFFNet(tiny()), {})
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "squares", 3)


def events_of(base, folder, output, *overrides, resume=None):
    output.mkdir(exist_ok=True)
    config = recipe(tiny(), "quick", 2, [*SMALL, "schedule.steps=2", "validate_every=1", *overrides])
    material = open_material(folder, config.finetune)
    return finetune(config, load_model(base), material, output, device=CPU, resume=resume)


def test_the_recipe_grows_with_the_images_and_the_effort():
    steps = [recipe(tiny(), "normal", images).schedule.steps for images in (1, 5, 20, 100)]
    assert steps == sorted(set(steps))
    assert recipe(tiny(), "quick", 5).schedule.steps < steps[1] < recipe(tiny(), "thorough", 5).schedule.steps
    assert recipe(tiny(), "quick", 1).model == tiny()


def test_settings_win_over_the_recipe_and_are_checked():
    assert recipe(tiny(), "quick", 1, ["optimizer.rate=0.5"]).optimizer.rate == 0.5
    with pytest.raises(ConfigError, match=r"did you mean optimizer\.rate"):
        recipe(tiny(), "quick", 1, ["optimizer.rat=0.5"])


def test_images_are_held_out_by_name_or_one_in_five(folder):
    assert open_material(folder, FinetuneConfig()).names == ("0",)
    chosen = open_material(folder, FinetuneConfig(images=("1", "2"), held_out=("2",)))
    assert (chosen.names, len(chosen.train), chosen.train.name(0)) == (("2",), 1, "1")


def row(path):
    """A folder of one image with six nuclei."""
    folder = write_folder(path / "row", 1)
    labels = np.zeros((96, 128), np.uint16)
    for number in range(1, 7):
        labels[40:50, 20 * number - 15 : 20 * number] = number
    tifffile.imwrite(folder / "labels" / "0.tif", labels)
    return folder


def test_of_a_single_image_a_quarter_is_held_out(tmp_path):
    material = open_material(row(tmp_path), FinetuneConfig())
    assert material.names == ("0 (a quarter)",)
    assert [len(np.unique(side.read(0).labels)) - 1 for side in (material.train, material.held_out)] == [4, 2]
    assert material.nuclei == 4


def test_an_image_with_too_few_nuclei_to_part_is_refused(folder):
    with pytest.raises(DataError, match="no nucleus to check on in 1; correct another image"):
        open_material(folder, FinetuneConfig(images=("1",)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (FinetuneConfig(images=("7",)), "nothing can be learnt from 7; there are 0, 1, 2"),
        (FinetuneConfig(images=("1",), held_out=("1",)), "every image is held out"),
    ],
)
def test_images_that_are_not_there_are_named(folder, config, message):
    with pytest.raises(DataError, match=message):
        open_material(folder, config)


def test_of_a_project_the_images_that_are_done_count(tmp_path):
    project(tmp_path).close()
    with pytest.raises(DataError, match="complete here"):
        open_material(tmp_path / "project", FinetuneConfig())


def test_of_a_stack_that_is_held_out_nothing_is_learnt(tmp_path):
    made = Project.create(tmp_path / "project")
    nuclei = np.zeros((64, 64), np.int32)
    nuclei[8:20, 8:20] = 1
    images = [("A z0", "A", nuclei), ("A z1", "A", nuclei), ("A z2", "A", 0 * nuclei), ("b", None, nuclei)]
    images += [(name, None, nuclei) for name in "cdef"]
    new = [
        NewImage(name, partial(np.full, (64, 64), i), annotation=partial(Annotation, labels), stack=stack)
        for i, (name, stack, labels) in enumerate(images)
    ]
    for name in made.take(made.gather_pixels(new)).names:
        made.write_regions(name, Regions(whole=True))
        made.set_state(name, "done")
    made.close()
    material = open_material(made.folder, FinetuneConfig())
    assert material.names == ("A z0", "A z1")
    assert [material.train.name(i) for i in range(len(material.train))] == ["b", "c", "d", "e", "f"]


def test_a_run_ends_with_a_model_that_knows_where_it_comes_from(base, folder, tmp_path):
    before = base.read_bytes()
    events = list(events_of(base, folder, tmp_path / "out"))
    assert isinstance(events[0], Plan)
    assert (events[0].images, events[0].nuclei, events[0].held_out) == (2, 4, ("0",))
    assert [e.step for e in events if isinstance(e, Validation)] == [0, 1, 2]
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2]
    assert isinstance(events[-2], Checkpoint)
    assert isinstance(events[-1], Comparison)
    made = load_model(tmp_path / "out" / "best.safetensors")
    assert made.card["parent"]["name"] == "old"
    assert made.card["parent"]["sha256"] == fingerprint(base)
    data = dict(made.card["data"])
    assert set(data.pop("prints")) == {"0", "1", "2"}
    assert data == {"images": ["1", "2"], "learnt": ["1", "2"], "nuclei": 4, "held_out": ["0"]}
    assert set(made.card["gate"]["new"]) == {"ap50", "aji", "pq"}
    replay = read_replay(tmp_path / "out" / "best.safetensors")
    assert {"1", "2"} < {crop.name for crop in replay["learn"]}, "and crops of the package's images"
    assert "0" in {crop.name for crop in replay["check"]}
    assert base.read_bytes() == before
    old = load_model(base).network.state_dict()
    changed = {name.split(".")[0] for name, value in made.network.state_dict().items() if not value.equal(old[name])}
    assert {"body", "fpn", "semantic_branch", "rpn", "box_head", "mask_head", "quality_head"} <= changed


def test_frozen_parts_stay_as_they_are(base, folder, tmp_path):
    list(events_of(base, folder, tmp_path / "out", "optimizer.frozen=[body, fpn]"))
    old, new = (load_model(file).network.state_dict() for file in (base, tmp_path / "out" / "best.safetensors"))
    changed = {name.split(".")[0] for name, value in new.items() if not value.equal(old[name])}
    assert not changed & {"body", "fpn"}
    assert "box_head" in changed


def test_a_blend_of_nothing_is_the_base_model(base, folder, tmp_path):
    list(events_of(base, folder, tmp_path / "out", "finetune.blend=0"))
    old, new = (load_model(file).network.state_dict() for file in (base, tmp_path / "out" / "best.safetensors"))
    assert all(torch.allclose(value, old[name], atol=1e-6) for name, value in new.items())


def test_a_model_made_with_settings_that_are_gone_is_fine_tuned(base, folder, tmp_path):
    old = tmp_path / "older.safetensors"
    settings = {"pull": 20.0, "distillation": 1.0, "blend": None, "blend_tolerance": 0.01}
    save_model(old, load_model(base).network, {"recipe": {"finetune": settings}, "blend": {"part": 0.5, "scores": {}}})
    list(events_of(old, folder, tmp_path / "out"))
    assert load_model(tmp_path / "out" / "best.safetensors").card["parent"]["name"] == "older"


class Judge:
    """A validator that gives these figures, one after the other."""

    def __init__(self, *values, noise=0.05):
        self.values, self.noise = list(values), noise

    def __call__(self, _network):
        return {"mean_ap": self.values.pop(0)}

    def write_preview(self, path):
        """Nothing to see."""


def judged(monkeypatch, base, folder, output, *values):
    """Steps that were done, the step of the weights that were taken, and why it ended."""
    judge = Judge(*values)
    monkeypatch.setattr("napari_pffnet.train.loop.Validator", lambda *_: judge)
    monkeypatch.setattr(module.Validator, "noise", judge.noise)
    given = [f"schedule.steps={len(values)}", "finetune.patience=2"]
    events = list(events_of(base, folder, output, *given))
    steps = [e.step for e in events if isinstance(e, Step)]
    ended = [e.text for e in events if isinstance(e, Message) and e.text.startswith("ended")]
    return steps[-1], load_model(output / "best.safetensors").card["step"], ended


def test_it_ends_early_when_it_gets_worse_and_takes_the_best(base, folder, tmp_path, monkeypatch):
    assert judged(monkeypatch, base, folder, tmp_path / "out", 0.9, 0.88, 0.5, 0.6, 0.7) == (
        *(4, 1),
        ["ended at step 4: 2 validations were clearly worse than the best"],
    )


def test_differences_by_chance_end_nothing_and_the_longer_training_counts(base, folder, tmp_path, monkeypatch):
    assert judged(monkeypatch, base, folder, tmp_path / "out", 0.6, 0.56, 0.57, 0.58) == (4, 4, [])


def test_what_is_checked_on_few_nuclei_is_uncertain(folder):
    config = recipe(tiny(), "quick", 2, SMALL)
    material = open_material(folder, config.finetune)
    assert module.Validator([material.held_out], config, CPU).noise == pytest.approx(0.5 / 2**0.5)


def test_a_stop_file_ends_it_with_the_best_model_so_far(base, folder, tmp_path):
    events = events_of(base, folder, tmp_path / "out", "schedule.steps=50", "validate_every=0")
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, Step) and event.step == 2:
            (tmp_path / "out" / "stop").touch()
    assert [e.step for e in seen if isinstance(e, Step)][-1] == 2
    assert [e.step for e in seen if isinstance(e, Validation)] == [0, 2]
    assert (tmp_path / "out" / "best.safetensors").is_file()


def test_losses_that_explode_lead_back_to_a_lower_rate(base, folder, tmp_path, monkeypatch):
    from napari_pffnet.train import loop

    real, calls = loop.train_step, []

    def explode_once(model, state, *rest):
        calls.append(state.optimizer.param_groups[0]["lr"])
        if len(calls) == 3:
            raise loop.DivergedError("loss_mask is not finite", state.step)
        return real(model, state, *rest)

    monkeypatch.setattr(loop, "train_step", explode_once)
    events = list(events_of(base, folder, tmp_path / "out", "schedule.steps=4", "checkpoint_every=1"))
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2, 3, 4]
    assert any("back to step 2, at half the rate" in e.text for e in events if isinstance(e, Message))
    assert calls[3] == pytest.approx(calls[2] / 2)


def test_losses_that_explode_every_time_end_the_run(base, folder, tmp_path):
    with pytest.raises(TrainingError, match=r"Lower optimizer\.rate"):
        list(events_of(base, folder, tmp_path / "out", "schedule.steps=30", "optimizer.rate=1e12", "validate_every=0"))
    assert {file.name for file in (tmp_path / "out").glob("*.safetensors")} == set()
    assert (tmp_path / "out" / "resume.pt").is_file()


def test_memory_that_runs_out_leads_to_a_smaller_setting(base, folder, tmp_path, monkeypatch):
    from napari_pffnet.train import loop

    real = loop.train_step

    def large_fails(model, state, batches, config, *rest):
        if config.batch_size > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, state, batches, config, *rest)

    monkeypatch.setattr(loop, "train_step", large_fails)
    events = list(events_of(base, folder, tmp_path / "out", "batch_size=4"))
    said = [e.text for e in events if isinstance(e, Message)]
    assert [text for text in said if "memory ran out" in text] == [
        "memory ran out: going on with a batch of 2 and crops of 64 pixels",
        "memory ran out: going on with a batch of 1 and crops of 64 pixels",
    ]
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2]


def test_memory_that_runs_out_before_anything_is_saved(base, folder, tmp_path, monkeypatch):
    from napari_pffnet.train.state import TrainState

    real, tried = TrainState.start, []

    def first_fails(*arguments, **more):
        tried.append(1)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments, **more)

    monkeypatch.setattr("napari_pffnet.train.loop.TrainState.start", first_fails)
    events = list(events_of(base, folder, tmp_path / "out", "batch_size=2"))
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2]
    assert len(tried) > 1


def test_an_error_of_another_kind_is_no_matter_of_memory(base, folder, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not fit")
        yield

    monkeypatch.setattr(module, "fit", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(events_of(base, folder, tmp_path / "out"))


def test_replay_is_mixed_in(base, folder, tmp_path):
    replay = write_folder(tmp_path / "replay", 1)
    output = tmp_path / "out"
    code = main(
        [
            *("--project", str(folder), "--base", str(base), "--output", str(output), "--replay", str(replay)),
            *("--quiet", "--device", "cpu", "--effort", "quick", *SMALL, "schedule.steps=1", "finetune.replay=0.25"),
        ]
    )
    assert code == 0
    run = find(output)
    assert (run.state, run.command[3:5]) == ("ended", ["--project", str(folder)]), "the panel finds it"
    assert load_model(output / "best.safetensors").card["recipe"]["data"]["weights"] == [0.75, 0.25]
    kinds = [json.loads(line)["kind"] for line in (output / "log.jsonl").read_text().splitlines()]
    assert kinds[:3] == ["plan", "validation", "step"]


def test_the_command_names_what_is_wrong(base, folder, tmp_path, capsys):
    command = ["--project", str(folder), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*command, "--base", "nonesuch"]) == 2
    assert "no model 'nonesuch'" in capsys.readouterr().err
    assert main([*command, "--base", str(base), "optimizer.frozen=[legs]", "schedule.steps=1", *SMALL]) == 2
    assert "no part legs" in capsys.readouterr().err
    assert find(tmp_path / "out").failure() == "Training ended with exit code 2."


def test_what_was_held_out_before_or_never_seen_is_held_out_again():
    assert hold_out(["a", "b", "c"]) == ["a"]
    assert hold_out(["a", "b", "c"], learnt=["a", "b"]) == ["c"]
    assert hold_out(["a", "b", "c", "d", "e", "f"], learnt=["a", "c"], held=["b"]) == ["b", "f"]
    assert hold_out(["a"], learnt=["a"]) == []


def test_a_second_round_is_checked_on_images_that_the_first_has_not_learnt(base, folder, tmp_path):
    list(events_of(base, folder, tmp_path / "first", "finetune.images=['1', '2']"))
    card = load_model(tmp_path / "first" / "best.safetensors").card
    assert (card["data"]["learnt"], card["data"]["held_out"]) == (["2"], ["1"])
    assert open_material(folder, FinetuneConfig(), card).names == ("1",)


def test_other_images_of_the_same_names_are_not_known(base, folder, tmp_path):
    list(events_of(base, folder, tmp_path / "first", "finetune.images=['1', '2']"))
    card = load_model(tmp_path / "first" / "best.safetensors").card
    others = write_folder(tmp_path / "others", 3)
    for file in (others / "images").iterdir():
        image = tifffile.imread(file)
        tifffile.imwrite(file, np.flipud(image))
    assert open_material(others, FinetuneConfig(), card).names == ("0",)


def test_an_image_of_a_time_without_prints_is_not_forgotten_for_another_of_its_name(folder):
    material = open_material(folder, FinetuneConfig())
    old = seen_by({"data": {"learnt": ["1"], "held_out": ["0"]}})
    assert set(prints(old, material)) == {"2"}, "of 0 and 1 the name goes on to count"
    assert set(prints(seen_by({}), material)) == {"0", "1", "2"}


def test_an_image_without_nuclei_is_not_chosen_to_check_on(tmp_path):
    some = write_folder(tmp_path / "some", 3)
    file = some / "labels" / "0.tif"
    tifffile.imwrite(file, 0 * tifffile.imread(file))
    assert open_material(some, FinetuneConfig()).names == ("1",)


def test_what_the_base_model_knows_is_said_and_its_crops_are_left_out(base, folder, tmp_path):
    list(events_of(base, folder, tmp_path / "first", "finetune.images=['1', '2']"))
    first = tmp_path / "first" / "best.safetensors"
    assert {crop.name for crop in read_replay(first)["learn"]} >= {"2"}
    events = list(events_of(first, folder, tmp_path / "second", "finetune.held_out=['2']"))
    assert any("learnt from 2" in event.text for event in events if isinstance(event, Message))
    crops = read_replay(tmp_path / "second" / "best.safetensors")
    assert "2" not in {crop.name for crop in crops["learn"]}


def test_it_goes_on_without_replay_where_all_its_crops_are_held_out(base, tmp_path):
    squares = write_folder(tmp_path / "squares", 3)
    for kind in ("images", "labels"):
        for number, name in (("0", "rpe1"), ("1", "u2os")):
            file = next((squares / kind).glob(f"{number}.*"))
            file.rename(file.with_stem(name))
    events = list(events_of(base, squares, tmp_path / "out", "finetune.held_out=[rpe1, u2os]"))
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2]


def test_the_base_model_may_be_gone_at_the_end_and_when_resuming(base, folder, tmp_path):
    library_file = tmp_path / "mine.safetensors"
    library_file.write_bytes(base.read_bytes())
    command = ["--project", str(folder), "--output", str(tmp_path / "run"), "--device", "cpu", "--quiet", *SMALL]
    events = events_of(library_file, folder, tmp_path / "run", "schedule.steps=3")
    for event in events:
        if isinstance(event, Step) and event.step == 1:
            library_file.unlink()
    assert load_model(tmp_path / "run" / "best.safetensors").card["parent"]["name"] == "mine"
    again = ["--base", str(library_file), "--resume", "auto", "schedule.steps=4", "validate_every=1"]
    assert main([*command, *again]) == 0


def test_annotations_that_change_during_the_run_do_not_count(base, folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "data")
    for event in events_of(base, folder, tmp_path / "run"):
        if isinstance(event, Step) and event.step == 1:
            shutil.rmtree(folder / "labels")
    assert (tmp_path / "run" / "gate.json").is_file()


def test_resuming_a_finished_run_does_not_blend_again(base, folder, tmp_path):
    def weights():
        return load_model(tmp_path / "best.safetensors").network.state_dict()

    list(events_of(base, folder, tmp_path, "finetune.blend=0.5"))
    before = weights()
    list(events_of(base, folder, tmp_path, "finetune.blend=0.5", resume=tmp_path / "resume.pt"))
    assert all(torch.equal(before[name], value) for name, value in weights().items())


def test_a_stop_asked_of_an_earlier_run_is_forgotten(tmp_path):
    (tmp_path / "stop").touch()
    prepare(tmp_path, None, [])
    assert not (tmp_path / "stop").exists()


def test_a_stop_asked_of_this_run_while_it_starts_counts(tmp_path, monkeypatch):
    (tmp_path / "stop").touch()
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path))
    prepare(tmp_path, None, [])
    assert (tmp_path / "stop").exists()


def test_where_a_training_goes_on_no_other_starts(tmp_path):
    prepare(tmp_path, None, [])
    prepare(tmp_path, None, [])  # of this process itself
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        about = {"pid": other.pid, "started": started(other.pid), "host": socket.gethostname()}
        (tmp_path / "process.json").write_text(json.dumps(about))
        with pytest.raises(FileExistsError, match=f"process {other.pid}.*; end it first"):
            prepare(tmp_path, None, [])
        (tmp_path / "process.json").write_text(json.dumps({**about, "host": "a node that is gone"}))
        prepare(tmp_path, None, [])
        (tmp_path / "process.json").write_text(json.dumps(about))
        other.kill()
    prepare(tmp_path, None, [])


def test_a_run_that_has_ended_is_not_written_over(tmp_path):
    (tmp_path / "best.safetensors").touch()
    prepare(tmp_path, None, [])  # it was killed before there was a file to resume from
    (tmp_path / "gate.json").touch()
    with pytest.raises(FileExistsError, match="holds an earlier run"):
        prepare(tmp_path, None, [])


def test_a_run_that_goes_on_has_the_images_that_it_began_with(base, tmp_path):
    made = project(tmp_path)
    labels = painted(paint(2, 2, 1), paint(20, 20, 2))

    def finish(*names):
        for name in names:
            work = made.work(name, SHAPE)
            work.save(Annotation(labels))
            work.close()
            made.write_regions(name, Regions(whole=True))
            made.set_state(name, "done")

    finish("b", "c")
    output = tmp_path / "out"
    command = ["--project", str(made.folder), "--base", str(base), "--output", str(output), "--quiet", *SMALL]
    command += ["--device", "cpu", "validate_every=1", "finetune.replay=0"]
    assert main([*command, "schedule.steps=1"]) == 0
    finish("a")
    made.close()
    assert main([*command, "schedule.steps=2", "--resume", "auto"]) == 0
    data = load_model(output / "best.safetensors").card["data"]
    assert (data["images"], data["held_out"]) == (["c"], ["b"]), "of a, b and c, a would be held out"


def test_edits_that_are_not_saved_yet_are_told(base, tmp_path, capsys):
    made = project(tmp_path)
    labels = painted(paint(2, 2, 1), paint(20, 20, 2))
    for name in "ab":
        work = made.work(name, SHAPE)
        work.save(Annotation(labels))
        if name == "b":
            work.record(paint(8, 8, 3))
        work.close()
        made.write_regions(name, Regions(whole=True))
        made.set_state(name, "done")
    made.close()
    command = ["--project", str(made.folder), "--base", str(base), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*command, "--device", "cpu", *SMALL]) == 2
    assert "of b 1 edit is in the journal" in capsys.readouterr().err
    assert not (tmp_path / "out" / "best.safetensors").exists()


@pytest.mark.parametrize("override", ["model.consistency=false", "init=imagenet", "data.weights=[1, 2]"])
def test_settings_that_the_base_model_determines_are_refused(override):
    with pytest.raises(ConfigError, match="cannot be set when a model is fine-tuned"):
        recipe(tiny(), "quick", 1, [override])


@pytest.mark.parametrize("option", ["--config", "--init", "--validation"])
def test_options_of_training_from_scratch_are_refused(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--project", str(tmp_path), "--output", str(tmp_path / "out"), option, "x"])
    assert f"{option} does not go with --project" in capsys.readouterr().err


def test_an_image_that_is_not_used_may_be_damaged(folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "data")
    (folder / "labels" / "2.tif").write_bytes(b"junk")
    assert open_material(folder, FinetuneConfig(images=("0", "1"))).names == ("0",)
    with pytest.raises(DataError, match="2"):
        open_material(folder, FinetuneConfig())


def test_losses_that_explode_for_good_leave_the_best_model(base, folder, tmp_path, monkeypatch):
    from napari_pffnet.train import loop

    step = loop.train_step

    def explode_later(model, state, *rest):
        if state.step >= 1:
            raise DivergedError("loss_mask is nan", state.step)
        return step(model, state, *rest)

    monkeypatch.setattr(loop, "train_step", explode_later)
    events = list(events_of(base, folder, tmp_path))
    assert any("the best model so far is taken" in event.text for event in events if isinstance(event, Message))
    assert load_model(tmp_path / "best.safetensors").card["step"] == 1


def test_a_model_that_failed_is_not_compared():
    failed = Compared("a", {"ap50": 0.0}, {"ap50": 0.5}, fault="old model: out of memory")
    gate = Gate(Compared("all", {"ap50": 0.0}, {"ap50": 0.5}), (failed,))
    assert not gate.better
    assert gate.headline() == "could not be compared with the old model; a: old model: out of memory"


def test_it_is_said_where_the_old_model_is_compared_with_its_own_work():
    drawn, corrected = (Compared("all", {"ap50": old}, {"ap50": 0.9}) for old in (1.0, 0.8))
    assert "nearly as the old model drew it" in Gate(drawn).headline()
    assert Gate(corrected).headline() == "better than the old model: AP50 0.80 → 0.90"


def test_damaged_replay_crops_are_named(base, tmp_path):
    model = load_model(base)
    extras = {"replay.learn.0.labels": torch.zeros(8, 8, dtype=torch.int16)}
    save_model(tmp_path / "odd.safetensors", model.network, {}, extras=extras)
    with pytest.raises(LibraryError, match="replay crops are damaged"):
        read_replay(tmp_path / "odd.safetensors")


def test_memory_that_runs_out_while_measuring_leads_to_a_smaller_setting(base, folder, tmp_path, monkeypatch):
    real = module.measure

    def large_fails(config, *rest):
        if config.batch_size > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(config, *rest)

    monkeypatch.setattr(module, "measure", large_fails)
    plan = next(events_of(base, folder, tmp_path / "out", "batch_size=4"))
    assert (plan.batch, plan.crop) == (1, 64)


def test_what_failed_for_memory_is_gone_before_training_goes_on(base, folder, tmp_path, monkeypatch):
    """Else its optimiser and gradients would take the room of the smaller setting."""
    from napari_pffnet.train import loop

    real, failed, seen = loop.train_step, [], []

    def large_fails(model, state, batches, config, *rest):
        if config.batch_size > 1:
            for p in state.network.parameters():
                p.grad = torch.zeros_like(p)
            failed.append(weakref.ref(state.optimizer))
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.append((failed[0]() is None, all(p.grad is None for p in state.network.parameters())))
        return real(model, state, batches, config, *rest)

    monkeypatch.setattr(loop, "train_step", large_fails)
    list(events_of(base, folder, tmp_path / "out", "batch_size=2", "schedule.steps=1"))
    assert seen == [(True, True)]


def test_each_image_is_read_once_and_its_pixels_are_kept_once(folder, tmp_path, monkeypatch):
    files, read = [], FolderSource.read
    monkeypatch.setattr(FolderSource, "read", lambda source, i: files.append(i) or read(source, i))
    for place, count in ((folder, 3), (row(tmp_path), 1)):
        material = open_material(place, FinetuneConfig())
        parts = [part.read(i) for part in (material.train, material.held_out) for i in range(len(part))]
        assert sorted(files) == list(range(count))
        assert len({id(part.image) for part in parts}) == count
        files.clear()


@pytest.mark.parametrize(
    ("cpus", "method", "workers"),
    [(1, "fork", 0), (3, "fork", 2), (64, "fork", 4), (1, "spawn", 0), (64, "spawn", 1), (64, "forkserver", 1)],
)
def test_other_processes_draw_the_crops_for_a_gpu(monkeypatch, cpus, method, workers):
    monkeypatch.setattr(module.multiprocessing, "get_start_method", lambda: method)
    monkeypatch.setattr(module, "_cpus", lambda: cpus)
    cuda = torch.device("cuda")
    assert module._with_workers(recipe(tiny(), "quick", 1), cuda).data.workers == workers
    assert module._with_workers(recipe(tiny(), "quick", 1), CPU).data.workers == 0
    for given in (0, 7):
        assert module._with_workers(recipe(tiny(), "quick", 1, [f"data.workers={given}"]), cuda).data.workers == given


def test_what_is_learnt_from_can_be_handed_to_other_processes(folder, tmp_path):
    made = project(tmp_path)
    made.write_regions("a", Regions(whole=True))
    made.close()
    whole = open_source(made.folder)
    crops = ReplaySource(sample_crops((1.0, 99.8))["learn"])
    parts = [Kept(Chosen(whole, [0])), Kept(Side(whole, "train"), limit=0)]
    for source in (open_material(folder, FinetuneConfig()).train, crops, *parts):
        one, other = source.read(0), pickle.loads(pickle.dumps(source)).read(0)
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.labels, other.labels)
