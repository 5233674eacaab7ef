import copy

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import FrozenBatchNorm2d

from napari_pffnet.config import BodyConfig
from napari_pffnet.model.body import build_body
from napari_pffnet.model.folding import FoldedNorm
from napari_pffnet.model.layers import PreciseLinear, UpsampledConv
from napari_pffnet.model.mask import DoubleSize


def test_upsampled_convolution_equals_upsampling_then_convolving():
    torch.manual_seed(0)
    layer = UpsampledConv(8, 2, factor=4)
    x = torch.randn(2, 8, 5, 7)
    expected = F.conv2d(F.interpolate(x, scale_factor=4), layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_precise_layers_keep_their_digits_under_autocast():
    layer, x = PreciseLinear(64, 3), torch.randn(5, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias).float()) is False
        found = layer(x)
    assert found.dtype == torch.float32
    assert torch.allclose(found, layer(x), rtol=1e-6)


def test_double_size_is_pixel_shuffle_also_without_regions():
    x = torch.randn(3, 8, 4, 5)
    assert torch.equal(DoubleSize()(x), F.pixel_shuffle(x, 2))
    empty = torch.zeros(0, 8, 4, 5, requires_grad=True)
    DoubleSize()(empty).sum().backward()


@pytest.mark.parametrize(
    ("name", "norm"),
    [("resnet18", "group"), ("resnet34", "group"), ("resnet50", "frozen_batch"), ("mobilenet_v2", "frozen_batch")],
)
def test_body_gives_four_levels_of_the_channels_it_names(name, norm):
    body = build_body(BodyConfig(name=name, norm=norm)).eval()
    with torch.inference_mode():
        maps = body(torch.rand(1, 3, 64, 96))
    assert [m.shape[1] for m in maps] == body.channels
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet50"])
def test_convolutions_apply_their_frozen_norms_as_if_one_came_after_the_other(name):
    torch.manual_seed(0)
    body = build_body(BodyConfig(name=name, norm="frozen_batch")).double()
    plain = copy.deepcopy(body)
    for module in plain.modules():
        if isinstance(module, FoldedNorm):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                value.copy_(0.5 + torch.rand_like(value))
    body.load_state_dict(plain.state_dict())
    assert any(isinstance(module, FoldedNorm) for module in plain.modules())
    for module in plain.modules():
        if isinstance(module, FoldedNorm):
            module.__class__ = FrozenBatchNorm2d
        elif isinstance(module, torch.nn.Conv2d):
            module.__class__ = torch.nn.Conv2d
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    results = [], []
    for network, values in zip((body, plain), results, strict=True):
        maps = network(x)
        sum((m / m.detach().abs().max()).mean() for m in maps).backward()
        values += [*(m.detach() for m in maps), *(p.grad for p in network.parameters())]
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))
