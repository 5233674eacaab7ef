"""A run that is killed without warning and resumed ends with the weights of an unbroken one."""

import os
import signal
import subprocess
import sys
import time

import torch

from helpers import tiny, write_folder
from napari_pffnet.config import AugmentConfig, DataConfig, OptimizerConfig, ScheduleConfig, TrainConfig, dump
from napari_pffnet.library import load_model
from napari_pffnet.train.control import RESUME_FILE

RECIPE = TrainConfig(
    model=tiny(),
    data=DataConfig(augment=AugmentConfig(crop=64)),
    optimizer=OptimizerConfig(name="adamw", rate=1e-3, ema=0.9),
    schedule=ScheduleConfig(steps=6, warmup_steps=2),
    validate_every=0,
    checkpoint_every=1,
)


def command(folder, output):
    module = [sys.executable, "-m", "napari_pffnet.train", "--quiet", "--device", "cpu", "--resume", "auto"]
    return [*module, "--config", str(folder / "recipe.yaml"), "--data", str(folder), "--output", str(output)]


def test_kill_and_resume_equals_an_unbroken_run(tmp_path):
    folder = write_folder(tmp_path / "squares")
    (folder / "recipe.yaml").write_text(dump(RECIPE))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    broken, whole = tmp_path / "broken", tmp_path / "whole"

    victim = subprocess.Popen(command(folder, broken), env=environment)
    while not (broken / RESUME_FILE).exists():
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert '"step": 6' not in (broken / "log.jsonl").read_text()

    for output in (broken, whole):
        subprocess.run(command(folder, output), env=environment, check=True)
    one, other = (load_model(output / "last.safetensors").network.state_dict() for output in (broken, whole))
    assert all(torch.equal(one[name], other[name]) for name in one)
