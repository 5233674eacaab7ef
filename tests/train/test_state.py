"""Resume files: what is taken over, and where it goes."""

import resource
from contextlib import contextmanager

import pytest
import torch

from helpers import tiny
from napari_pffnet.config import OptimizerConfig, TrainConfig
from napari_pffnet.model import PFFNet
from napari_pffnet.train.state import TrainingError, TrainState

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config():
    return TrainConfig(model=tiny(), optimizer=OptimizerConfig(name="adamw", ema=0))


@pytest.fixture(scope="module")
def file(config, tmp_path_factory):
    """Of a run in float32, after one step."""
    state = TrainState.start(PFFNet(tiny()), config, CPU, torch.float32)
    for p in state.network.parameters():
        p.grad = torch.zeros_like(p)
    state.optimizer.step()
    state.scaler.update()
    state.step = 1
    path = tmp_path_factory.mktemp("run") / "resume.pt"
    state.save(path, config)
    return path


def test_a_run_in_float32_goes_on_in_float16(config, file):
    state = TrainState.start(PFFNet(tiny()), config, CPU, torch.float16)
    state.load(file, config)
    assert state.step == 1
    assert state.scaler.is_enabled()


def test_a_run_of_other_settings_than_are_known_now_goes_on_and_one_of_another_model_does_not(config, file, tmp_path):
    saved = torch.load(file, weights_only=True)
    del saved["config"]["model"]["map_norm"]
    saved["stale"] = saved.pop("worse") + 2
    saved["config"]["finetune"] |= {"pull": 20.0, "distillation": 1.0, "blend": None, "blend_tolerance": 0.01}
    torch.save(saved, tmp_path / "old.pt")
    state = TrainState.start(PFFNet(tiny()), config, CPU, torch.float32)
    state.load(tmp_path / "old.pt", config)
    assert (state.step, state.worse) == (1, 2)
    with pytest.raises(TrainingError, match="another model configuration"):
        state.load(file, config.model_copy(update={"model": tiny(map_norm="none")}))


@pytest.mark.filterwarnings("ignore:.*meta parameter")
def test_moments_go_where_the_network_is_and_step_counts_stay_in_main_memory(config, file):
    """``meta`` stands for a GPU: there every step would wait to read the count of each parameter."""
    state = TrainState.start(PFFNet(tiny()).to("meta"), config, CPU, torch.float32)
    state.load(file, config)
    values = list(state.optimizer.state.values())
    assert {value["exp_avg"].device.type for value in values} == {"meta"}
    assert {value["step"].device.type for value in values} == {"cpu"}


@pytest.mark.parametrize("change", [{"name": "sgd"}, {"frozen": ("body",)}, {"body_rate_factor": 0}])
def test_what_the_optimiser_keeps_must_fit_what_is_trained(config, file, change):
    other = config.model_copy(update={"optimizer": config.optimizer.model_copy(update=change)})
    state = TrainState.start(PFFNet(tiny()), other, CPU, torch.float32)
    with pytest.raises(TrainingError, match=r"another optimizer.name, optimizer.frozen"):
        state.load(file, other)


def test_another_file_of_torch_is_no_resume_file(config, tmp_path):
    torch.save(PFFNet(tiny()).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(TrainingError, match=r"no resume file; give the resume.pt"):
        TrainState.start(PFFNet(tiny()), config, CPU, torch.float32).load(tmp_path / "weights.pt", config)


@contextmanager
def little_space():
    """Files hold 100 kB, as on a disk that is nearly full; also the one that pytest may be writing to."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_the_state_before_stays(tmp_path):
    config, file = TrainConfig(model=tiny()), tmp_path / "resume.pt"
    file.write_bytes(b"before")
    state = TrainState.start(PFFNet(config.model), config, CPU, torch.float32)
    with little_space(), pytest.raises(OSError, match="too large"):
        state.save(file, config)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"resume.pt": b"before"}
