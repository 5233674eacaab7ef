"""Knowing an error of memory from others."""

import json

import pytest
import torch

from napari_pffnet.memory import is_out_of_memory
from napari_pffnet.train.child import EXIT_FILE, OUTPUT_FILE, RUN_FILE, Run
from napari_pffnet.train.memory import let_go

SIGNS = [
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
]
VAGUE = [
    "GET was unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm to run convolution",
]


@pytest.mark.parametrize("text", SIGNS)
def test_cuda_libraries_say_in_their_own_words_that_memory_ran_out(text, tmp_path):
    assert is_out_of_memory(RuntimeError(text))
    (tmp_path / RUN_FILE).write_text("{}")
    (tmp_path / EXIT_FILE).write_text(json.dumps({"code": 1}))
    (tmp_path / OUTPUT_FILE).write_text(f"RuntimeError: {text}\n")
    assert Run(tmp_path).failure().startswith("Memory ran out.")


@pytest.mark.parametrize("text", VAGUE)
@pytest.mark.parametrize(("allocated", "short"), [(0, False), (70, False), (95, True)])
def test_what_cudnn_cannot_do_is_a_matter_of_memory_where_little_is_free(monkeypatch, text, allocated, short):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 98 * device)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: allocated * device)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2, 100) if device else (0, 100))
    assert is_out_of_memory(RuntimeError(text)) is short


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: device-side assert triggered"), ValueError(SIGNS[0])])
def test_other_errors_are_no_matter_of_memory(error):
    assert not is_out_of_memory(error)


def test_letting_go_drops_the_gradients():
    network = torch.nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    let_go(network, torch.device("cpu"))
    assert all(p.grad is None for p in network.parameters())
