import pytest
import torch
import torch.nn.functional as F

from napari_pffnet.config import BodyConfig
from napari_pffnet.model.body import build_body
from napari_pffnet.model.layers import UpsampledConv
from napari_pffnet.model.mask import DoubleSize


def test_upsampled_convolution_equals_upsampling_then_convolving():
    torch.manual_seed(0)
    layer = UpsampledConv(8, 2, factor=4)
    x = torch.randn(2, 8, 5, 7)
    expected = F.conv2d(F.interpolate(x, scale_factor=4), layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(x), expected, atol=1e-5)


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
