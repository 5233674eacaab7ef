"""Convolutional bodies: an image batch to C2..C5 at strides 4, 8, 16, 32."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet
from torchvision.ops import FrozenBatchNorm2d

from napari_pffnet.config import BodyConfig
from napari_pffnet.model.folding import fold_frozen_norms
from napari_pffnet.model.layers import GroupNorm32


class ResNetBody(nn.Module):
    """torchvision's ResNet without its classifier (stride in the 3x3 convolution of a bottleneck)."""

    def __init__(self, config: BodyConfig) -> None:
        super().__init__()
        norm = GroupNorm32 if config.norm == "group" else FrozenBatchNorm2d
        net = getattr(resnet, config.name)(norm_layer=norm)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        last = net.fc.in_features
        self.channels = [last // 8, last // 4, last // 2, last]

    def forward(self, x: Tensor) -> list[Tensor]:
        """N×3×H×W -> [C2, C3, C4, C5]."""
        c1 = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c2, c3, c4, self.layer4(c4)]


class MobileNetV2Body(nn.Module):
    """torchvision's MobileNetV2 without its last 1x1 convolution and classifier (Sandler et al., CVPR 2018)."""

    STAGES = ((0, 4), (4, 7), (7, 14), (14, 18))

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v2(norm_layer=FrozenBatchNorm2d).features[:18]
        self.channels = [24, 32, 96, 320]

    def forward(self, x: Tensor) -> list[Tensor]:
        """N×3×H×W -> [C2, C3, C4, C5]."""
        maps = []
        for start, stop in self.STAGES:
            x = self.features[start:stop](x)
            maps.append(x)
        return maps


def build_body(config: BodyConfig) -> ResNetBody | MobileNetV2Body:
    """Return the body that the configuration names, with random weights; its `channels` are those of C2..C5."""
    body = MobileNetV2Body() if config.name == "mobilenet_v2" else ResNetBody(config)
    fold_frozen_norms(body)
    return body
