import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import tiny
from napari_pffnet.library import LibraryError, available, load_model, pick_device, read_extras, save_model
from napari_pffnet.model import PFFNet


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = PFFNet(tiny())
    save_model(tmp_path / "mine.safetensors", network, {"note": "tiny"})
    return network, tmp_path / "mine.safetensors"


def test_a_model_is_rebuilt_from_its_file_alone(saved):
    network, path = saved
    model = load_model(path)
    assert model.config == network.config
    assert model.card == {"note": "tiny"}
    assert not model.network.training
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), model.network.parameters(), strict=True))


def test_half_precision_halves_the_file_and_loads_as_float32(saved, tmp_path):
    network, path = saved
    save_model(tmp_path / "half.safetensors", network, {}, half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * path.stat().st_size
    weight = next(load_model(tmp_path / "half.safetensors").network.parameters())
    assert weight.dtype == torch.float32
    assert torch.allclose(weight, next(network.parameters()), rtol=1e-3, atol=1e-6)


def test_what_is_stored_beside_the_weights_does_not_hang_on_the_file(saved, tmp_path):
    network, _ = saved
    file, extra = tmp_path / "more.safetensors", torch.arange(1000)
    save_model(file, network, {}, extras={"numbers": extra})
    found = read_extras(file)["numbers"]
    with file.open("r+b") as stream:
        stream.write(bytes(file.stat().st_size))
    assert torch.equal(found, extra)


def metadata(network, **changes):
    header = {"format": "napari-pffnet-model", "version": "1", "config": network.config.model_dump_json(), "card": "{}"}
    return {**header, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "99"}, "update napari-pffnet"),
        ({"format": "other"}, "not a napari-pffnet model"),
        ({"config": "{"}, "header cannot be used"),
        ({"config": json.dumps({"fpn_chanels": 3})}, "did you mean fpn_channels"),
        ({"config": tiny(fpn_channels=10**9).model_dump_json()}, "get the file again"),
        ({"version": "-1"}, "update napari-pffnet"),
        ({"card": "[]"}, "no table of facts"),
        ({"config": tiny(fpn_channels=64).model_dump_json()}, "do not fit its configuration"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(saved, tmp_path, changes, message):
    network, path = saved
    bad = tmp_path / "bad.safetensors"
    save_file(load_file(path), bad, metadata(network, **changes))
    with pytest.raises(LibraryError, match=message):
        load_model(bad)


def test_truncated_foreign_and_missing_files(saved, tmp_path):
    _, path = saved
    (tmp_path / "half.safetensors").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("half", "text"):
        with pytest.raises(LibraryError, match="get the file again"):
            load_model(tmp_path / f"{name}.safetensors")
    with pytest.raises(LibraryError, match="no model 'nowhere'"):
        load_model("nowhere")


def test_the_embedded_model_loads_by_default_and_is_small():
    path = available()["default"]
    assert path.stat().st_size <= 30e6
    model = load_model()
    assert model.path == path
    assert {"data", "licences", "recipe", "validation", "machine", "hours"} <= set(model.card)


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    assert load_model(device="auto").device.type == pick_device("auto").type
    for choose in (pick_device, lambda name: load_model(device=name)):
        with pytest.raises(LibraryError, match="use auto, cpu, cuda or mps"):
            choose("gpu")
    with pytest.raises(LibraryError, match="unknown device 'cpu:x'; number devices as in cuda:0"):
        pick_device("cpu:x")


def test_a_gpu_that_is_not_there_is_refused_with_how_many_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [pick_device(name) for name in ("cuda", "cuda:1")] == [torch.device("cuda"), torch.device("cuda:1")]
    with pytest.raises(LibraryError, match="no device 'cuda:7': CUDA devices of this machine: 2"):
        pick_device("cuda:7")


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    network = PFFNet(tiny())
    network.mask_head.logits.bias.data[0] = float("nan")
    save_model(tmp_path / "bad.safetensors", network, {})
    with pytest.raises(LibraryError, match="some weights are no numbers"):
        load_model(tmp_path / "bad.safetensors")
