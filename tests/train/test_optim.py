from contextlib import contextmanager, nullcontext

import pytest
import torch

from helpers import tiny
from napari_pffnet.config import OptimizerConfig, ScheduleConfig, TrainConfig
from napari_pffnet.model import PFFNet
from napari_pffnet.train.optim import build_optimizer, freeze, pick_precision, rate_factor


def test_warm_up_then_steps():
    config = ScheduleConfig(steps=100, warmup_steps=10, warmup_factor=0.5, kind="step", milestones=(50, 80), gamma=0.1)
    factors = [rate_factor(step, config) for step in (0, 5, 10, 49, 50, 80)]
    assert factors == pytest.approx([0.5, 0.75, 1, 1, 0.1, 0.01])


def test_cosine_ends_at_its_last_factor():
    config = ScheduleConfig(steps=110, warmup_steps=10, kind="cosine", final_factor=0.1)
    assert [rate_factor(step, config) for step in (10, 60, 110)] == pytest.approx([1, 0.55, 0.1])


def test_biases_and_body_have_their_own_rules():
    network = PFFNet(tiny())
    config = OptimizerConfig(rate=0.1, weight_decay=0.01, bias_rate_factor=2, body_rate_factor=0.5)
    groups = {(g["lr"], g["weight_decay"]): g["params"] for g in build_optimizer(network, config).param_groups}
    assert set(groups) == {(0.1, 0.01), (0.2, 0.0), (0.05, 0.01), (0.1, 0.0)}
    assert any(p is network.body.conv1.weight for p in groups[0.05, 0.01])
    assert any(p is network.rpn.head.cls_logits.bias for p in groups[0.2, 0.0])
    assert sum(map(len, groups.values())) == len(list(network.parameters()))


def test_a_body_rate_of_zero_freezes_it():
    network = PFFNet(tiny())
    freeze(network, OptimizerConfig(body_rate_factor=0))
    assert not any(p.requires_grad for p in network.body.parameters())
    assert network.rpn.head.cls_logits.weight.requires_grad


def test_precision_on_the_cpu_is_full_unless_asked():
    cpu = torch.device("cpu")
    assert pick_precision(TrainConfig(), cpu) == torch.float32
    assert pick_precision(TrainConfig(precision="bfloat16"), cpu) == torch.bfloat16


@pytest.mark.parametrize(("computes", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_cuda_devices_that_only_emulate_bfloat16_train_in_float16(monkeypatch, computes, dtype):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or computes
    )
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    assert pick_precision(TrainConfig(), torch.device("cuda")) == dtype


def test_the_device_that_trains_decides_about_bfloat16_not_the_current_one(monkeypatch):
    current = [torch.device("cuda:0")]

    @contextmanager
    def switched(device):
        current.append(device)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", switched)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: current[-1].index == 1)
    assert [pick_precision(TrainConfig(), torch.device("cuda", i)) for i in (0, 1)] == [torch.float16, torch.bfloat16]
