"""Whole runs on tiny networks: learning, resuming, keeping the last good weights."""

import json
from itertools import repeat

import pytest
import torch

from helpers import tiny, write_folder
from napari_pffnet.config import AugmentConfig, DataConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from napari_pffnet.data.opening import open_source
from napari_pffnet.distributed import Processes
from napari_pffnet.library import load_model
from napari_pffnet.model import PFFNet
from napari_pffnet.train import loop
from napari_pffnet.train.__main__ import main
from napari_pffnet.train.control import LOOK_EVERY, RESUME_FILE
from napari_pffnet.train.divergence import Watch
from napari_pffnet.train.events import Checkpoint, Step, Validation
from napari_pffnet.train.loop import fit
from napari_pffnet.train.start import initial_network
from napari_pffnet.train.state import DivergedError, TrainingError, TrainState

CPU = torch.device("cpu")


def recipe(steps=4, **changes):
    values = {
        "model": tiny(),
        "data": DataConfig(augment=AugmentConfig(crop=96, noise=0.05, quarter_turns=True)),
        "optimizer": OptimizerConfig(name="adamw", rate=1e-3, ema=0.5, clip_norm=5),
        "schedule": ScheduleConfig(steps=steps, warmup_steps=2, kind="cosine"),
        "validate_every": 0,
        "checkpoint_every": 2,
    }
    return TrainConfig(**{**values, **changes})


def run(config, folder, output, resume=None, validation=()):
    output.mkdir(exist_ok=True)
    sources = [open_source(folder)]
    network = initial_network(config)
    return list(fit(config, network, sources, validation, output, device=CPU, resume=resume))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "squares")


def weights(path):
    return load_model(path).network.state_dict()


def test_a_resumed_run_equals_an_unbroken_one(folder, tmp_path):
    config = recipe(steps=4)
    whole = run(config, folder, tmp_path / "whole")
    events = fit(config, initial_network(config), [open_source(folder)], [], _made(tmp_path / "cut"), device=CPU)
    for event in events:
        if isinstance(event, Checkpoint):
            break
    events.close()
    torch.manual_seed(99)
    rest = run(config, folder, tmp_path / "cut", resume=tmp_path / "cut" / RESUME_FILE)
    assert [e.losses for e in whole if isinstance(e, Step)][2:] == [e.losses for e in rest if isinstance(e, Step)]
    one, other = weights(tmp_path / "whole" / "last.safetensors"), weights(tmp_path / "cut" / "last.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def _made(path):
    path.mkdir()
    return path


def test_validation_reports_figures_and_keeps_the_best(folder, tmp_path):
    events = run(recipe(steps=2, validate_every=1), folder, tmp_path / "out", validation=[open_source(folder)])
    figures = [e.metrics for e in events if isinstance(e, Validation)]
    assert len(figures) == 2
    assert {"ap50", "mean_ap", "aji", "pq", "dice", "val_loss_mask", "val_loss_sem_consistence"} <= set(figures[0])
    best = load_model(tmp_path / "out" / "best.safetensors")
    assert best.card["validation"]["mean_ap"] == max(f["mean_ap"] for f in figures)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(folder, tmp_path):
    config = recipe(steps=5, checkpoint_every=100, optimizer=OptimizerConfig(rate=1e9))
    with pytest.raises(TrainingError, match=r"loss_.* not finite at step .* Lower optimizer.rate"):
        run(config, folder, tmp_path / "out")
    assert (tmp_path / "out" / RESUME_FILE).exists()
    assert (tmp_path / "out" / "last.safetensors").exists()


def test_accumulated_batches_make_one_step(folder, tmp_path):
    config = recipe(steps=1, optimizer=OptimizerConfig(accumulate=3), batch_size=2)
    events = run(config, folder, tmp_path / "out")
    assert [e.step for e in events if isinstance(e, Step)] == [1]


class Brightness(torch.nn.Module):
    """A loss that is the mean over the images of a product."""

    def __init__(self, network):
        super().__init__()
        self.weight = next(network.parameters())

    def forward(self, images, _targets):
        return {"loss": torch.stack([(image * self.weight.mean()).mean() for image in images]).mean()}


def test_two_accumulated_batches_move_the_weights_as_their_union_does():
    images, moved = [torch.full((3, 8, 8), 1.0), torch.full((3, 8, 8), 5.0)], []
    for parts in (1, 2):
        config = recipe(optimizer=OptimizerConfig(name="sgd", rate=1e-2, accumulate=parts))
        state = TrainState.start(initial_network(config), config, CPU, torch.float32)
        model = Brightness(state.network)
        before = model.weight.detach().clone()
        batches = iter([(images, []) if parts == 1 else ([image], []) for image in images])
        losses = loop.train_step(model, state, batches, config, CPU, torch.float32, Processes(), Watch())
        moved.append((losses["loss"], model.weight.detach() - before))
    assert moved[0][0] == pytest.approx(moved[1][0])
    assert moved[0][1].abs().max() > 0
    assert torch.allclose(moved[0][1], moved[1][1])


class Unconnected(Processes):
    """One of several processes, without the others."""

    def wrap(self, network):
        return network

    def any(self, flag, device):
        return flag

    def wait(self):
        pass

    def share(self, value):
        return value


class Late(Unconnected):
    """A second process that looks for files when the first has written them, and is told what the first one saw."""

    def __init__(self, seen):
        super().__init__(1, 2)
        object.__setattr__(self, "seen", iter(seen))

    def share(self, value):
        return next(self.seen)


def test_while_a_run_is_paused_its_processes_hear_of_each_other_at_every_look(folder, tmp_path, monkeypatch):
    config, waits = recipe(steps=3), []
    monkeypatch.setattr(loop.time, "sleep", waits.append)
    group = Late(["", "pause", "pause", "stop"])
    network = initial_network(config)
    events = list(fit(config, network, [open_source(folder)], [], _made(tmp_path / "out"), device=CPU, group=group))
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2]
    assert waits == [LOOK_EVERY] * 2
    assert events[-1].text == "stopped at step 2 as asked"


def test_all_processes_go_back_or_none(folder, tmp_path, monkeypatch):
    config, output = recipe(steps=2), _made(tmp_path / "out")
    run(config, folder, output)
    monkeypatch.setattr(loop.Watch, "fault", lambda *_: "a fault")
    events = fit(config, initial_network(config), [open_source(folder)], [], output, device=CPU, group=Late([False]))
    with pytest.raises(DivergedError):
        list(events)


def test_no_two_steps_of_any_process_draw_the_same(folder, tmp_path, monkeypatch):
    seeds, crops = [], []

    def note(_model, state, batches, *_):
        state.step += 1
        seeds.append(torch.initial_seed())
        crops.append(next(batches)[0][0])
        return {"loss": 0.0}

    monkeypatch.setattr(loop, "train_step", note)
    for rank in (0, 1):
        config, group = recipe(steps=2), Unconnected(rank, 2)
        output = _made(tmp_path / str(rank))
        list(fit(config, initial_network(config), [open_source(folder)], [], output, device=CPU, group=group))
    assert len(set(seeds)) == 4
    assert len({crop.numpy().tobytes() for crop in crops}) == 4


def test_bfloat16_trains(folder, tmp_path):
    events = run(recipe(steps=1, precision="bfloat16"), folder, tmp_path / "out")
    assert all(value == value for e in events if isinstance(e, Step) for value in e.losses.values())


def test_the_command_trains_logs_and_refuses_to_overwrite(folder, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(recipe(steps=1).model_dump_json())
    arguments = ["--config", str(tmp_path / "recipe.yaml"), "--data", str(folder), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--quiet", "--device", "cpu", "batch_size=2"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["step", "validation", "checkpoint"]
    assert load_model(tmp_path / "out" / "last.safetensors").card["recipe"]["batch_size"] == 2
    assert main([*arguments, "--quiet"]) == 2
    assert "--resume auto" in capsys.readouterr().err
    assert main([*arguments, "--quiet", "--resume", "auto", "schedule.steps=2"]) == 0


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["schedule.stepz=3"], "did you mean schedule.steps?"),
        (["--init", "nowhere.safetensors"], "no model 'nowhere.safetensors'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--resume", "nowhere.pt"], "no resume file"),
        (["--init", "imagenet"], "frozen_batch"),
        (["--init", __file__], "cannot read"),
        (["--init", "default"], "other widths"),
        (["--output", "/proc/nowhere"], "/proc"),
    ],
)
def test_wrong_input_is_one_clear_line(folder, tmp_path, capsys, extra, message):
    assert main(["--data", str(folder), "--output", str(tmp_path / "out"), *extra]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("wanted", [True, False])
def test_training_is_deterministic_if_told(folder, tmp_path, wanted):
    config = recipe(deterministic=wanted)
    events = fit(config, PFFNet(config.model), [open_source(folder)], [], _made(tmp_path / "out"), device=CPU)
    try:
        next(events)
        assert torch.are_deterministic_algorithms_enabled() is wanted
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_batches_are_pinned_for_cuda_devices_only(folder, monkeypatch, kind):
    pinned = []
    monkeypatch.setattr(loop, "make_batches", lambda *_, pin: pinned.append(pin))
    config = recipe()
    state = TrainState.start(initial_network(config), config, CPU, torch.float32)
    loop._batches(config, [open_source(folder)], state, Processes(), torch.device(kind))
    assert pinned == [kind == "cuda"]


@pytest.mark.parametrize("clip", [5, None])
def test_a_gradient_that_is_not_finite_goes_no_further(folder, tmp_path, clip):
    config = recipe(steps=4, checkpoint_every=1, optimizer=OptimizerConfig(rate=1e-3, clip_norm=clip))
    network, passes = initial_network(config), []

    def poison(gradient):
        passes.append(1)
        return torch.full_like(gradient, float("nan")) if len(passes) == 3 else gradient

    network.mask_head.logits.bias.register_hook(poison)
    output = _made(tmp_path / "out")
    events = list(fit(config, network, [open_source(folder)], [], output, device=CPU))
    assert any("a gradient is not finite" in getattr(event, "text", "") for event in events)
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    assert all(value.isfinite().all() for value in weights(output / "last.safetensors").values())


def test_settings_may_follow_the_folders(folder, tmp_path, capsys):
    arguments = ["--output", str(tmp_path / "out"), "--data", str(folder), "schedule.stepz=3"]
    assert main(arguments) == 2
    assert "did you mean schedule.steps?" in capsys.readouterr().err


def test_float16_goes_on_after_a_setback(folder, tmp_path, monkeypatch):
    config = recipe(steps=4, checkpoint_every=1)
    monkeypatch.setattr(loop.Watch, "fault", fails_once(loop.Watch.fault))
    start = TrainState.start

    def scaled(*arguments):
        state = start(*arguments)
        state.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
        return state

    monkeypatch.setattr(TrainState, "start", scaled)
    events = run(config, folder, tmp_path / "out")
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]


class Unbounded(torch.nn.Module):
    """A loss of 0 whose gradient is not a number from a given step on."""

    def __init__(self, network, good):
        super().__init__()
        self.weight, self.good = next(network.parameters()), good

    def forward(self, _images, _targets):
        self.good -= 1
        value = self.weight.flatten()[0]
        return {"loss": value * 0 if self.good >= 0 else (value - value).abs().sqrt()}


def float16_run(good):
    config = recipe(precision="float16", optimizer=OptimizerConfig(name="adamw", rate=1e-3, ema=0.5))
    network = initial_network(config)
    state = TrainState.start(network, config, CPU, torch.float16)
    model, watch, batches = Unbounded(network, good), Watch(), repeat(([], []))
    return state, lambda: loop.train_step(model, state, batches, config, CPU, torch.float16, Processes(), watch)


def test_a_step_that_float16_skips_moves_neither_schedule_nor_average():
    state, step = float16_run(good=1)
    step()
    moved = state.schedule.last_epoch, int(state.average.n_averaged)
    step()
    assert (state.schedule.last_epoch, int(state.average.n_averaged)) == moved == (1, 1)
    assert (state.step, state.skipped) == (2, 1)


def test_float16_that_skips_every_step_is_a_fault():
    _, step = float16_run(good=0)
    for _ in range(10):
        step()
    with pytest.raises(TrainingError, match="not finite in 10 steps in a row at step 11"):
        step()


def fails_once(fault):
    calls = []

    def fail(watch, losses):
        calls.append(1)
        return "a loss is not finite" if len(calls) == 3 else fault(watch, losses)

    return fail
