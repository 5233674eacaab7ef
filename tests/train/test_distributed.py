"""Two CPU processes with gloo against one process with the doubled batch."""

import os
import socket
import subprocess
import sys
from itertools import repeat

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from helpers import annotated, tiny
from napari_pffnet.config import OptimizerConfig, TrainConfig
from napari_pffnet.distributed import Processes, processes
from napari_pffnet.model import PFFNet
from napari_pffnet.train.divergence import Watch
from napari_pffnet.train.loop import train_step
from napari_pffnet.train.state import TrainState

CPU = torch.device("cpu")

IMAGES = [annotated(), annotated(boxes=((30, 30, 70, 60), (80, 10, 120, 50)))]


def network():
    """Sampling takes everything, so that chance plays no part."""
    torch.manual_seed(0)
    config = tiny()
    everything = {"batch": 100000, "positive_fraction": 1.0}
    rpn, roi = config.rpn.model_copy(update=everything), config.roi.model_copy(update=everything)
    return PFFNet(config.model_copy(update={"rpn": rpn, "roi": roi}))


def gradients(model, pairs):
    sum(model([image for image, _ in pairs], [target for _, target in pairs]).values()).backward()
    return [p.grad for p in model.parameters()]


def work(rank, port, path):
    os.environ.update(WORLD_SIZE="2", RANK=str(rank), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    torch.set_num_threads(1)
    with processes(torch.device("cpu")) as group:
        found = gradients(group.wrap(network()), [IMAGES[rank]])
        assert group.any(rank == 1, torch.device("cpu"))
        group.wait()
        if group.is_main:
            torch.save(found, path)


def test_two_processes_give_the_gradients_of_the_doubled_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    mp.spawn(work, (port, str(tmp_path / "grads.pt")), nprocs=2)
    # single precision rounds a batch of two differently, which moves a few boxes; a wrong average would be far off
    for found, expected in zip(torch.load(tmp_path / "grads.pt"), gradients(network(), IMAGES), strict=True):
        assert torch.allclose(found, expected, atol=1e-5 + 1e-2 * float(expected.abs().max()))


class Sum(torch.nn.Module):
    """A loss that rises with every weight of a network."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, _images, _targets):
        return {"loss": sum(p.sum() for p in self.network.parameters())}


def test_accumulated_gradients_are_averaged_once_a_step():
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    sent = []

    def note(_state, bucket):
        sent.append(bucket.index())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    try:
        for parts in (1, 3):
            config = TrainConfig(model=tiny(), optimizer=OptimizerConfig(accumulate=parts))
            state = TrainState.start(PFFNet(tiny()), config, CPU, torch.float32)
            model = DistributedDataParallel(Sum(state.network))
            model.register_comm_hook(None, note)
            train_step(model, state, repeat(([], [])), config, CPU, torch.float32, Processes(), Watch())
            assert sent.count(0) == 1
            sent.clear()
    finally:
        dist.destroy_process_group()


def test_one_process_needs_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    model = torch.nn.Linear(1, 1)
    with processes(torch.device("cpu")) as group:
        assert group.is_main
        assert group.wrap(model) is model
        assert group.any(True, torch.device("cpu")) is True
        assert group.device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("index", [0, 1])
def test_each_process_has_its_own_gpu(index):
    from napari_pffnet.distributed import Processes

    assert Processes(index, 2, index).device(torch.device("cuda")) == torch.device("cuda", index)


@pytest.mark.parametrize(("world", "rank"), [(1, 0), (2, 1)])
@pytest.mark.parametrize("index", [None, 0, 1])
def test_the_current_gpu_is_the_one_that_is_used(monkeypatch, world, rank, index):
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    for name, value in {"WORLD_SIZE": world, "RANK": rank, "LOCAL_RANK": rank}.items():
        monkeypatch.setenv(name, str(value))
    device = torch.device("cuda", index)
    with processes(device) as group:
        assert current == [group.device(device)]
        assert current[0].index == (rank if index is None else index)


def test_fine_tuning_runs_in_several_processes(tmp_path):
    from helpers import write_folder
    from napari_pffnet.library import load_model, save_model

    save_model(tmp_path / "old.safetensors", PFFNet(tiny()), {})
    folder = write_folder(tmp_path / "squares", 3)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "napari_pffnet.train", "--project", str(folder), "--base", str(tmp_path / "old.safetensors")]
    command += ["--output", str(tmp_path / "out"), "--device", "cpu", "--quiet", "schedule.steps=2", "validate_every=2"]
    command += ["batch_size=1", "data.augment.crop=64", "precision=float32"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "out" / "best.safetensors").card["parent"]["name"] == "old"
    log = (tmp_path / "out" / "log.jsonl").read_text()
    assert log.count('"kind": "plan"') == log.count('"kind": "gate"') == 1, "one process tells"
    assert log.count('"kind": "step"') == 2
