import pickle

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from helpers import tiny
from napari_pffnet.config import BodyConfig
from napari_pffnet.model import PFFNet
from napari_pffnet.model.convert import DETECTRON, ConvertError, load_published, rename


def test_torchvision_body_loads_and_names_what_it_does_not_use(tmp_path):
    network = PFFNet(tiny(body=BodyConfig(name="resnet18", norm="frozen_batch")))
    source = resnet18()
    torch.save(source.state_dict(), tmp_path / "body.pth")
    unused = load_published(network, tmp_path / "body.pth")
    assert torch.equal(network.body.layer2[0].conv1.weight, source.layer2[0].conv1.weight)
    assert {"fc.weight", "fc.bias"} <= set(unused)


def test_detectron_names():
    assert rename("res2_0_branch2b_gn_s", DETECTRON) == "body.layer1.0.bn2.weight"
    assert rename("res4_22_branch2c_w", DETECTRON) == "body.layer3.22.conv3.weight"
    assert rename("res3_0_branch1_gn_b", DETECTRON) == "body.layer2.0.downsample.1.bias"
    assert rename("conv1_gn_b", DETECTRON) == "body.bn1.bias"
    assert rename("pred_w", DETECTRON) is None


def test_detectron_pickle_loads_into_the_body(tmp_path):
    network = PFFNet(tiny(body=BodyConfig(name="resnet50")))
    weight = np.random.default_rng(0).random((64, 3, 7, 7), np.float32)
    blobs = {"conv1_w": weight, "conv1_w_momentum": weight, "pred_w": np.zeros((2, 2), np.float32)}
    (tmp_path / "R-50-GN.pkl").write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    assert load_published(network, tmp_path / "R-50-GN.pkl") == ["pred_w"]
    assert np.array_equal(network.body.conv1.weight.detach().numpy(), weight)


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_that_calls_anything_is_refused(tmp_path, capsys):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"blobs": {"conv1_w": Evil()}}))
    with pytest.raises(ConvertError, match="only plain arrays"):
        load_published(PFFNet(tiny()), tmp_path / "evil.pkl")
    assert capsys.readouterr().out == ""


def test_wrong_files_say_what_is_wrong(tmp_path):
    network = PFFNet(tiny())
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ConvertError, match="cannot read"):
        load_published(network, tmp_path / "text.pth")
    for name, content in {
        "empty.pth": b"",
        "byte.pth": b"\x80\x02",
        "cut.pkl": b"\x80\x02}",
        "odd.pkl": b"\x80\x02K\x01K\x02a.",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConvertError, match="get the file again"):
            load_published(network, tmp_path / name)
    torch.save({"conv1.weight": torch.zeros(3, 3)}, tmp_path / "shape.pth")
    with pytest.raises(ConvertError, match="shapes differ"):
        load_published(network, tmp_path / "shape.pth")
    torch.save({"backbone.body.stem.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pth")
    with pytest.raises(ConvertError, match="lacks weights"):
        load_published(network, tmp_path / "part.pth")
