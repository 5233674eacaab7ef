"""PFFNet, the whole network in one forward pass (Liu et al., IEEE TIP 30, 2021, doi 10.1109/TIP.2021.3050668)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from napari_pffnet.config import ModelConfig
from napari_pffnet.labels import IGNORE
from napari_pffnet.model.body import build_body
from napari_pffnet.model.box import BoxHead, Detections, RegionSampler, SampledRegions, box_losses, detect, refine
from napari_pffnet.model.fusion import AttentionFusion
from napari_pffnet.model.layers import GroupNorm32, UpsampledConv
from napari_pffnet.model.losses import consistency_loss, semantic_loss
from napari_pffnet.model.mask import DualModalMaskHead, mask_loss, of_class
from napari_pffnet.model.pooling import Cells, RegionPool
from napari_pffnet.model.quality import MaskQualityHead, measured_quality, quality_loss
from napari_pffnet.model.regions import mask_targets
from napari_pffnet.model.rpn import RPN
from napari_pffnet.model.semantic import SemanticBranch

STRIDE = 32
WIDEST_MAP_ON_CPU, WIDEST_MAP = 16 * 2**20, 2**30
LEVELS = ["0", "1", "2", "3"]
Target = dict[str, Tensor]


@dataclass(frozen=True)
class Features:
    """What the body computed once for a batch, for every branch to read.

    Attributes
    ----------
    images : ImageList
        The padded batch N×3×H×W and each image's (height, width) before padding.
    body : list of Tensor
        C2..C5.
    pyramid : dict of str to Tensor
        P2..P6 under "0", "1", "2", "3", "pool".
    """

    images: ImageList
    body: list[Tensor]
    pyramid: dict[str, Tensor]

    def of_image(self, row: int) -> Features:
        """Return what `PFFNet.rate` and `PFFNet.describe` read of one image and nothing else: the pyramid's P2..P5.

        Of a batch of several they are copied, so that the others are not kept with them.
        """
        batch, size, one = self.images.tensors, self.images.image_sizes[row], slice(row, row + 1)
        size_only = batch.new_zeros(1).expand(1, *batch.shape[1:])
        maps = {name: self.pyramid[name][one] for name in LEVELS}
        if len(batch) > 1:
            maps = {name: each.clone() for name, each in maps.items()}
        return Features(ImageList(size_only, [size]), [], maps)

    def cells(self) -> Cells:
        """Return P2..P5 as the regions' heads read them."""
        return Cells.of([self.pyramid[name] for name in LEVELS])

    @property
    def nbytes(self) -> int:
        """Memory of the maps, bytes."""
        return sum(t.untyped_storage().nbytes() for t in (self.images.tensors, *self.body, *self.pyramid.values()))


class PFFNet(nn.Module):
    """Mask R-CNN with semantic branch, dual-modal masks, mask quality and residual attention fusion.

    Parameters
    ----------
    config : ModelConfig
        Widths, switches and thresholds.

    Attributes
    ----------
    most_regions : int or None
        Most regions that the heads look at together when predicting; None is as many as suit the memory. Results do not
        depend on it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.most_regions: int | None = None
        classes, channels = config.num_classes, config.fpn_channels
        self.body = build_body(config.body)
        norm = GroupNorm32 if config.map_norm == "group" else None
        self.fpn = FeaturePyramidNetwork(self.body.channels, channels, LastLevelMaxPool(), norm_layer=norm)
        self.fpn_semantic = UpsampledConv(channels, classes, factor=4)
        self.semantic_branch = SemanticBranch(
            self.body.channels, config.semantic_channels, classes, normed=config.map_norm == "group"
        )
        self.rpn = RPN(config.rpn, channels, original_anchors=config.inclusive_boxes)
        self.region_sampler = RegionSampler(config.roi)
        self.box_pool = RegionPool(7)
        self.box_head = BoxHead(channels, config.box_channels, classes)
        self.mask_pool = RegionPool(14)
        self.mask_head = DualModalMaskHead(channels, config.mask_channels, classes, config.dual_modal)
        self.quality_head = (
            MaskQualityHead(channels, config.mask_channels, config.box_channels, classes)
            if config.mask_quality
            else None
        )
        self.fusion = AttentionFusion(classes, config.attention_fusion)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(config.input.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.input.std).view(3, 1, 1), persistent=False)

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses in training mode, predictions in evaluation mode.

        Parameters
        ----------
        images : list of Tensor
            float32 3×H×W each, RGB, in [0, 1]; sizes may differ.
        targets : list of dict, optional
            Training only, per image: `boxes` float32 N×4 xyxy, `labels` int64 N, `instances` int32 H×W (object i has id
            i + 1), `semantic` uint8 H×W (255 counts in no loss). N may be 0.

        Returns
        -------
        dict of str to Tensor
            Training: named scalar losses; their sum is the objective.
        list of dict
            Evaluation, per image and in its coordinates, best first: `boxes` N×4, `labels` N, `scores` N (class
            probability), `mask_quality` N in [0, 1], `mask_scores` N (their product), `masks` N×28×28 probabilities,
            `semantic` and `fused` K×H×W probabilities.
        """
        if not self.training:
            return self.predict(self.encode(images), fused=True)
        if targets is None:
            raise ValueError("training needs targets: call model(images, targets), or model.eval() to predict")
        return self.losses(self.encode(images), targets)

    def to_device(self, device: torch.device) -> Self:
        """Move to a device; on CUDA the weights lie channels-last, as the images do."""
        if device.type == "cuda":
            self.to(memory_format=torch.channels_last)
        return self.to(device)

    def encode(self, images: list[Tensor]) -> Features:
        """Normalise, pad to a common multiple of 32, run the body and the pyramid once."""
        sizes = [(int(i.shape[-2]), int(i.shape[-1])) for i in images]
        height, width = (-(-max(s[d] for s in sizes) // STRIDE) * STRIDE for d in (0, 1))
        batch = torch.stack(
            [F.pad(self._normalize(i), (0, width - i.shape[-1], 0, height - i.shape[-2])) for i in images]
        )
        if batch.device.type != "mps":  # where it is slow, and gradients fail
            batch = batch.contiguous(memory_format=torch.channels_last)
        maps = self.body(batch)
        pyramid = self.fpn({str(i): c for i, c in enumerate(maps)})
        return Features(ImageList(batch, sizes), maps, pyramid)

    def losses(self, features: Features, targets: list[Target]) -> dict[str, Tensor]:
        """All losses of the batch by the paper's names."""
        losses: dict[str, Tensor]
        proposals, losses = self.rpn(features.images, features.pyramid, targets)
        with torch.no_grad():
            regions = [self.region_sampler(p, t) for p, t in zip(proposals, targets, strict=True)]
        cells = features.cells()
        logits, deltas = self.box_head(self._pool(self.box_pool, cells, [r.boxes for r in regions]))
        losses |= box_losses(logits, deltas, regions, targets)

        positives, moved = self._positives(regions, deltas, features.images.image_sizes)
        labels = torch.cat([r.labels for r in positives])
        counts = [len(r.boxes) for r in positives]
        pooled = self._pool(self.mask_pool, cells, [r.boxes for r in positives])
        masks = self.mask_head(pooled)
        with torch.no_grad():
            truth = [
                mask_targets(t["instances"], t["semantic"], r.boxes, r.rows)
                for r, t in zip(positives, targets, strict=True)
            ]
            truth_all = type(truth[0])(*(torch.cat(parts) for parts in zip(*truth, strict=True)))
        mine = of_class(masks, labels)
        losses["loss_mask"] = mask_loss(mine, truth_all, counts)
        if self.quality_head is not None:
            quality = of_class(self.quality_head(pooled, mine.detach().sigmoid()), labels)
            losses["loss_maskiou"] = quality_loss(quality, measured_quality(mine.detach() > 0, truth_all), counts)

        wanted = self._pad_semantic(targets, features.images.tensors.shape[-2:])
        branch = self.semantic_branch(features.body)
        fused = self._fuse(features, moved, list(masks.split(counts)))
        losses["loss_sem_branch"] = semantic_loss(branch, wanted)
        losses["loss_mask_fusion"] = semantic_loss(fused, wanted)
        if self.config.consistency:
            losses["loss_sem_consistence"] = self.config.consistency_weight * consistency_loss(branch, fused, wanted)
        return losses

    def predict(self, features: Features, *, fused: bool = False) -> list[dict[str, Tensor]]:
        """Detections, masks, quality and semantic map of each image; `fused` adds that map."""
        maps = {"semantic": self.semantic_branch(features.body).float().softmax(1)}
        cells = features.cells()
        proposals, _ = self.rpn(features.images, features.pyramid)
        logits, deltas = self._classify(cells, proposals)
        counts = [len(p) for p in proposals]
        found = [
            detect(*per_image, self.config.roi)
            for per_image in zip(
                logits.split(counts), deltas.split(counts), proposals, features.images.image_sizes, strict=True
            )
        ]
        masks, quality = self._describe(cells, [d.boxes for d in found], [d.labels for d in found])
        if fused:
            maps["fused"] = self._fuse(features, [d.boxes for d in found], masks).softmax(1)
        return [
            _result(*per_image, {name: values[i] for name, values in maps.items()})
            for i, per_image in enumerate(zip(found, masks, quality, features.images.image_sizes, strict=True))
        ]

    def rate(self, features: Features, boxes: list[Tensor]) -> list[Detections]:
        """Class, score and refined box of any boxes (N×4) of each image, in the order given, from cached features."""
        logits, deltas = self._classify(features.cells(), boxes)
        counts, rated = [len(b) for b in boxes], []
        for logit, delta, box, size in zip(
            logits.split(counts), deltas.split(counts), boxes, features.images.image_sizes, strict=True
        ):
            scores, labels = logit.float().softmax(1)[:, 1:].max(1)
            rated.append(Detections(refine(delta, box, labels + 1, size), labels + 1, scores))
        return rated

    def describe(
        self, features: Features, boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Mask logits (N×K×28×28) and quality in [0, 1] (N) of any boxes (N×4) of each image, from cached features."""
        return self._describe(features.cells(), boxes, labels)

    def _classify(self, cells: Cells, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Class logits and box deltas of the boxes of all images, one image after the other."""
        counts, parts = [len(b) for b in boxes], []
        for rows in _runs(counts, self.most_regions or max(sum(counts), 1), cells.values.device):
            pooled = self._pool(self.box_pool, cells, [b[r] for b, r in zip(boxes, rows, strict=True)])
            parts.append(self.box_head(pooled))
        logits, deltas = (torch.cat(part) for part in zip(*parts, strict=True))
        return logits, deltas

    def _describe(self, cells: Cells, boxes: list[Tensor], labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        counts, parts = [len(b) for b in boxes], []
        for rows in _runs(counts, self._regions_at_once(cells), cells.values.device):
            pooled = self._pool(self.mask_pool, cells, [b[r] for b, r in zip(boxes, rows, strict=True)])
            parts.append(self._mask_and_rate(pooled, torch.cat([k[r] for k, r in zip(labels, rows, strict=True)])))
        masks, quality = (torch.cat(part) for part in zip(*parts, strict=True))
        return list(masks.split(counts)), list(quality.split(counts))

    def _mask_and_rate(self, pooled: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        masks = self.mask_head(pooled).float()
        if self.quality_head is None:
            return masks, torch.ones(len(masks), device=masks.device)
        quality = self.quality_head(pooled, of_class(masks, classes).sigmoid())
        return masks, of_class(quality, classes).float().clamp(0, 1)

    def _regions_at_once(self, cells: Cells) -> int:
        """So many that the widest map of the mask head stays in a CPU's cache, or in part of a GPU's memory."""
        budget = WIDEST_MAP_ON_CPU if cells.values.device.type == "cpu" else WIDEST_MAP
        fitting = max(1, budget // (4 * self.config.mask_channels * 14 * 14 * 4))
        return min(fitting, self.most_regions or fitting)

    def _normalize(self, image: Tensor) -> Tensor:
        image = image.flip(0) if self.config.input.bgr else image
        return (image * self.config.input.scale - self.mean) / self.std

    def _pool(self, pool: RegionPool, cells: Cells, boxes: list[Tensor]) -> Tensor:
        if self.config.inclusive_boxes:
            boxes = [b - b.new_tensor([0, 0, 1, 1]) for b in boxes]
        pooled: Tensor = pool(cells, boxes)
        return pooled.contiguous()

    def _fuse(self, features: Features, boxes: list[Tensor], masks: list[Tensor]) -> Tensor:
        semantic = self.fpn_semantic(features.pyramid["0"])
        return torch.stack([self.fusion(*per_image) for per_image in zip(semantic, boxes, masks, strict=True)])

    def _positives(
        self, regions: list[SampledRegions], deltas: Tensor, sizes: list[tuple[int, int]]
    ) -> tuple[list[SampledRegions], list[Tensor]]:
        """The positive regions that train the masks and, for the fusion, their refined boxes."""
        positives, moved = [], []
        for region, delta, size in zip(regions, deltas.split([len(r.boxes) for r in regions]), sizes, strict=True):
            rows = torch.where(region.labels > 0)[0]
            limit = self.config.roi.mask_batch
            if limit is not None and len(rows) > limit:
                rows = rows[torch.randperm(len(rows), device=rows.device)[:limit]]
            positives.append(SampledRegions(*(part[rows] for part in region)))
            moved.append(refine(delta[rows], region.boxes[rows], region.labels[rows], size))
        return positives, moved

    @staticmethod
    def _pad_semantic(targets: list[Target], shape: torch.Size) -> Tensor:
        maps = [t["semantic"] for t in targets]
        padded = [F.pad(m, (0, shape[1] - m.shape[1], 0, shape[0] - m.shape[0]), value=IGNORE) for m in maps]
        return torch.stack(padded).long()


def _runs(counts: list[int], most: int, device: torch.device) -> Iterator[list[slice]]:
    """Cut the regions of all images, one image after the other, into runs of at most so many; at least one run.

    On a CPU they are powers of two long: its convolutions keep code for every length that they have met, a few MB each.

    Yields
    ------
    list of slice
        The rows of each image that belong to the run.
    """
    ends = list(accumulate(counts))
    start = 0
    while start < max(ends[-1], 1):
        length = min(most, max(ends[-1] - start, 1))
        stop = start + (_power_of_two(length) if device.type == "cpu" else length)
        edges = [
            (max(start - end + count, 0), max(stop - end + count, 0)) for end, count in zip(ends, counts, strict=True)
        ]
        yield [slice(first, last) for first, last in edges]
        start = stop


def _power_of_two(most: int) -> int:
    return 1 << (most.bit_length() - 1)


def _result(
    found: Detections, masks: Tensor, quality: Tensor, size: tuple[int, int], maps: dict[str, Tensor]
) -> dict[str, Tensor]:
    mask_scores = found.scores * quality
    order = mask_scores.argsort(descending=True)
    height, width = size
    return {
        "boxes": found.boxes[order],
        "labels": found.labels[order],
        "scores": found.scores[order],
        "mask_quality": quality[order],
        "mask_scores": mask_scores[order],
        "masks": of_class(masks, found.labels).sigmoid()[order],
        **{name: values[:, :height, :width] for name, values in maps.items()},
    }
