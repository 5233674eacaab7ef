"""Region proposals: torchvision's network with the paper's caps per level and with areas that do not count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import batched_nms

from napari_pffnet.config import RPNConfig
from napari_pffnet.model.regions import clip_to_pixels, mostly_ignored

Target = dict[str, Tensor]
STRIDES = (4, 8, 16, 32, 64)


class Anchors(AnchorGenerator):
    """torchvision's anchors at fixed strides; its own guess from map sizes is off where P6 was rounded up."""

    cell_anchors: list[Tensor]

    def set_cell_anchors(self, dtype: torch.dtype, device: torch.device) -> None:
        """Move them to the maps' device; they stay float32 also where the maps are shorter."""
        super().set_cell_anchors(torch.float32, device)

    def grid_anchors(self, grid_sizes: list[list[int]], strides: list[list[Tensor]]) -> list[Tensor]:
        """Shift the cell anchors over each level's grid."""
        anchors: list[Tensor] = super().grid_anchors(grid_sizes, [[torch.tensor(s)] * 2 for s in STRIDES])
        return anchors


class Head(RPNHead):
    """torchvision's head; its results are float32, since shorter ones would round boxes to whole pixels."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return objectness and deltas of each level."""
        objectness, deltas = super().forward(x)
        return [o.float() for o in objectness], [d.float() for d in deltas]


class RPN(RegionProposalNetwork):
    """torchvision's `RegionProposalNetwork` with four differences.

    Anchors that cross the image's border or lie on ignored pixels take no part in the loss; the cap after NMS holds per
    level, with one more over all levels at inference; the lowest objectness holds at inference only; a batch in which
    nothing can be sampled has loss 0.
    """

    def __init__(self, config: RPNConfig, channels: int, *, original_anchors: bool = False) -> None:
        anchors = Anchors(tuple((s,) for s in config.anchor_sizes), (config.aspect_ratios,) * 5)
        if original_anchors:
            anchors.cell_anchors = [
                _original_anchors(size, stride, config.aspect_ratios)
                for size, stride in zip(config.anchor_sizes, STRIDES, strict=True)
            ]
        super().__init__(
            anchors,
            Head(channels, len(config.aspect_ratios)),
            config.foreground_iou,
            config.background_iou,
            config.batch,
            config.positive_fraction,
            {"training": config.pre_nms_train, "testing": config.pre_nms_test},
            {"training": config.post_nms_train, "testing": config.post_nms_test},
            config.nms,
        )
        self.keep_test = config.keep_test
        self.score_thresh = config.score_threshold

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Match as torchvision does (1 positive, 0 negative, -1 not used), then leave out what must not count."""
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for label, boxes, target in zip(labels, anchors, targets, strict=True):
            height, width = target["semantic"].shape
            outside = (boxes[:, :2] < 0).any(1) | (boxes[:, 2] > width) | (boxes[:, 3] > height)
            label[outside | ((label == 0) & mostly_ignored(boxes, target["semantic"]))] = -1
        return labels, matched

    def compute_loss(
        self, objectness: Tensor, deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return (objectness, box) losses over the sampled anchors of each image, mean over images."""
        counts = [len(label) for label in labels]
        per_image = zip(
            objectness.flatten().float().split(counts),
            deltas.float().split(counts),
            labels,
            regression_targets,
            strict=True,
        )
        losses = torch.stack([self._image_loss(*parts) for parts in per_image]).mean(0)
        return losses[0], losses[1]

    def _image_loss(self, objectness: Tensor, deltas: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
        positive, negative = (torch.where(mask[0])[0] for mask in self.fg_bg_sampler([labels]))
        sampled = torch.cat([positive, negative])
        scores = F.binary_cross_entropy_with_logits(objectness[sampled], labels[sampled], reduction="sum")
        boxes = F.smooth_l1_loss(deltas[positive], wanted[positive], beta=1 / 9, reduction="sum")
        return torch.stack([scores, boxes]) / max(len(sampled), 1)

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Per image: the best per level, NMS per level, again the best per level, and at inference the best of all."""
        objectness = objectness.detach().reshape(len(proposals), -1).float()
        top = self._get_top_n_idx(objectness, num_anchors_per_level)
        counts = enumerate(num_anchors_per_level)
        levels = torch.cat([torch.full((count,), level, device=proposals.device) for level, count in counts])
        kept = [
            self._filter(boxes[i], scores[i].sigmoid(), levels[i], shape)
            for boxes, scores, i, shape in zip(proposals, objectness, top, image_shapes, strict=True)
        ]
        return [boxes for boxes, _ in kept], [scores for _, scores in kept]

    def _filter(self, boxes: Tensor, scores: Tensor, levels: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if not self.training:
            likely = scores >= self.score_thresh
            boxes, scores, levels = boxes[likely], scores[likely], levels[likely]
        boxes = clip_to_pixels(boxes, shape)
        keep = batched_nms(boxes, scores, levels, self.nms_thresh)
        level = F.one_hot(levels[keep], 5)
        rank = (level.cumsum(0) * level).sum(1)
        keep = keep[rank <= self.post_nms_top_n()]
        if not self.training:
            keep = keep[: self.keep_test]
        return boxes[keep], scores[keep]


def _original_anchors(size: int, stride: int, ratios: tuple[float, ...]) -> Tensor:
    """Anchors as the original implementation rounds them: sides rounded before scaling, centred in the cell."""
    anchors = []
    for ratio in ratios:
        width = round((stride * stride / ratio) ** 0.5)
        half = [width * size / stride / 2, round(width * ratio) * size / stride / 2]
        anchors.append([stride / 2 - half[0], stride / 2 - half[1], stride / 2 + half[0], stride / 2 + half[1]])
    return torch.tensor(anchors)
