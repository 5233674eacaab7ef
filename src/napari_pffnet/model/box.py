"""Box head: which regions are trained on, their classes and refined boxes, the final detections."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.ops import batched_nms, box_iou

from napari_pffnet.config import RoIConfig
from napari_pffnet.model.layers import PreciseLinear, linear_norm
from napari_pffnet.model.losses import image_mean
from napari_pffnet.model.regions import clip_to_pixels, mostly_ignored

BOX_CODER = BoxCoder((10.0, 10.0, 5.0, 5.0))


class BoxHead(nn.Module):
    """Two fully connected layers, class scores and class-specific box deltas: N×C×7×7 -> N×K, N×4K."""

    def __init__(self, inputs: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.fc6 = linear_norm(inputs * 7 * 7, channels)
        self.fc7 = linear_norm(channels, channels)
        self.cls_score = PreciseLinear(channels, num_classes)
        self.bbox_pred = PreciseLinear(channels, 4 * num_classes)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits and box deltas."""
        x = self.fc7(self.fc6(x.flatten(1)))
        return self.cls_score(x), self.bbox_pred(x)


class SampledRegions(NamedTuple):
    """Sampled regions of one image: `boxes` R×4, `labels` int64 R (0 = background), `rows` int64 R (their object)."""

    boxes: Tensor
    labels: Tensor
    rows: Tensor


class RegionSampler:
    """Matches proposals to objects and draws the training regions of each image."""

    def __init__(self, config: RoIConfig) -> None:
        self.matcher = Matcher(config.foreground_iou, config.foreground_iou, allow_low_quality_matches=False)
        self.sampler = BalancedPositiveNegativeSampler(config.batch, config.positive_fraction)

    def __call__(self, proposals: Tensor, target: dict[str, Tensor]) -> SampledRegions:
        """Sample from the proposals (P×4) and the objects' own boxes; mostly ignored regions are no negatives."""
        boxes = torch.cat([proposals, target["boxes"]])
        if len(target["boxes"]) == 0:
            rows = torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
        else:
            rows = self.matcher(box_iou(target["boxes"], boxes))
        labels = torch.zeros_like(rows)
        labels[rows >= 0] = target["labels"][rows[rows >= 0]]
        labels[(rows < 0) & mostly_ignored(boxes, target["semantic"])] = -1
        positive, negative = self.sampler([labels])
        chosen = torch.where(positive[0] | negative[0])[0]
        return SampledRegions(boxes[chosen], labels[chosen], rows[chosen])


def box_losses(
    logits: Tensor, deltas: Tensor, regions: list[SampledRegions], targets: list[dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Cross-entropy of the classes and, for positives, smooth L1 (beta 1) of their deltas, per sampled region."""
    counts = [len(r.boxes) for r in regions]
    labels = torch.cat([r.labels for r in regions])
    wanted = [_wanted_deltas(r, t) for r, t in zip(regions, targets, strict=True)]
    mine = deltas.float().unflatten(1, (-1, 4))[torch.arange(len(labels), device=labels.device), labels]
    boxes = F.smooth_l1_loss(mine, torch.cat(wanted), beta=1.0, reduction="none").sum(1) * (labels > 0)
    return {
        "loss_classifier": image_mean(F.cross_entropy(logits.float(), labels, reduction="none"), counts),
        "loss_box_reg": image_mean(boxes, counts),
    }


def _wanted_deltas(regions: SampledRegions, target: dict[str, Tensor]) -> Tensor:
    """Deltas from each region to its object, R×4; 0 for background."""
    wanted = torch.zeros_like(regions.boxes)
    positive = regions.labels > 0
    wanted[positive] = BOX_CODER.encode_single(target["boxes"][regions.rows[positive]], regions.boxes[positive])
    return wanted


def refine(deltas: Tensor, boxes: Tensor, labels: Tensor, shape: tuple[int, int]) -> Tensor:
    """Move boxes (R×4) by the deltas (R×4K) of their class and clip to the image: R×4, without gradient."""
    moved = BOX_CODER.decode_single(deltas.detach().float(), boxes).unflatten(1, (-1, 4))
    return clip_to_pixels(moved[torch.arange(len(boxes), device=boxes.device), labels], shape)


class Detections(NamedTuple):
    """Detections of one image: `boxes` D×4, `labels` int64 D, `scores` D class probabilities, best first."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


def detect(logits: Tensor, deltas: Tensor, proposals: Tensor, shape: tuple[int, int], config: RoIConfig) -> Detections:
    """Decode each class's box, drop weak ones, NMS per class, keep the best."""
    scores = logits.float().softmax(1)
    boxes = BOX_CODER.decode_single(deltas.float(), proposals).unflatten(1, (-1, 4))
    boxes = clip_to_pixels(boxes, shape)[:, 1:].flatten(0, 1)
    labels = torch.arange(1, scores.shape[1], device=scores.device).repeat(len(scores))
    scores = scores[:, 1:].flatten()
    keep = torch.where(scores > config.score_threshold)[0]
    keep = keep[batched_nms(boxes[keep], scores[keep], labels[keep], config.nms)][: config.detections]
    return Detections(boxes[keep], labels[keep], scores[keep])
