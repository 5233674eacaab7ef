"""What each part of PFFNet earns on the embedded model's data, beside a plain Mask R-CNN and torchvision's.

    python training/benchmarks/ablation.py --data DATA --body mobilenet_v2-b0353104.pth --steps 1000 --seeds 0 1 2 \
        --output DIR [--variants NAME …] [--most 24] [section.key=value …]

Every variant is the embedded recipe with one part switched off, or with one choice made otherwise; `mask r-cnn` has
none of the parts, and the semantic losses count nothing. `torchvision` is its stock `MaskRCNN` (pyramid of 256
channels, stock heads) on the same body, trained on the same crops with the same optimiser, schedule and number of
steps. All bodies start from torchvision's ImageNet weights in the file given. Figures are of the validation folders;
each result is a line of DIR/results.jsonl, what is there is not done again, and several processes may share DIR.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from finetune import figures, note, read
from pasting import Pasted
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone

from napari_pffnet.config import TrainConfig, load
from napari_pffnet.data.dataset import CropDataset, make_batches, to_device
from napari_pffnet.data.opening import open_source
from napari_pffnet.data.sources import Source
from napari_pffnet.library import Model, load_model, pick_device
from napari_pffnet.train.loop import fit
from napari_pffnet.train.optim import build_schedule, pick_precision
from napari_pffnet.train.start import initial_network, prepare
from napari_pffnet.train.state import seed_all

DOMAINS = ("fluorescence", "histology", "brightfield")
RECIPE = Path(__file__).parents[1] / "recipes" / "embedded.yaml"
PARTS = {
    "fusion": ["model.attention_fusion=false"],
    "consistency": ["model.consistency=false"],
    "dual modal": ["model.dual_modal=false"],
    "quality": ["model.mask_quality=false"],
}
SEMANTIC = [f"loss_weights.{name}=0" for name in ("loss_sem_branch", "loss_mask_fusion")]
CHOICES = {
    "anchors from 8 px": ["model.rpn.anchor_sizes=[8,16,32,64,128]"],
    "anchors from 16 px": ["model.rpn.anchor_sizes=[16,32,64,128,256]"],
    "square anchors": ["model.rpn.aspect_ratios=[1]"],
    "no norms of maps": ["model.map_norm=none"],
    "copy-paste": [],
    "pyramid of 64": ["model.fpn_channels=64"],
    "mask head of 128": ["model.mask_channels=128"],
    "resnet-18, random": ["model.body.name=resnet18", "model.body.norm=group", "init=none"],
}
VARIANTS = {
    "pffnet": [],
    **{f"no {part}": switches for part, switches in PARTS.items()},
    **CHOICES,
    "mask r-cnn": [*(switch for switches in PARTS.values() for switch in switches), *SEMANTIC],
    "torchvision": [],
}


class Stock(nn.Module):
    """Torchvision's network with the two methods that a `Segmenter` needs; it has no quality and no semantic map."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        rpn, roi = config.model.rpn, config.model.roi
        body = mobilenet_backbone(
            backbone_name="mobilenet_v2", weights=None, fpn=True, trainable_layers=6, returned_layers=[1, 2, 3, 4]
        )
        weights = torch.load(config.init, map_location="cpu", weights_only=True)
        body.body.load_state_dict({name.removeprefix("features."): value for name, value in weights.items()}, False)
        sizes = tuple((size,) for size in rpn.anchor_sizes)
        self.inner = MaskRCNN(
            body,
            num_classes=2,
            rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
            rpn_pre_nms_top_n_train=rpn.pre_nms_train,
            rpn_post_nms_top_n_train=rpn.post_nms_train,
            rpn_pre_nms_top_n_test=rpn.pre_nms_test,
            rpn_post_nms_top_n_test=rpn.post_nms_test,
            box_batch_size_per_image=roi.batch,
            box_score_thresh=roi.score_threshold,
            box_nms_thresh=roi.nms,
            box_detections_per_img=roi.detections,
        )

    def encode(self, images: list[Tensor]) -> list[Tensor]:
        """Nothing is computed ahead."""
        return images

    def predict(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Detections of each image, at the size given."""
        batch, _ = self._as_given(images)(images)
        features = self.inner.backbone(batch.tensors)
        proposals, _ = self.inner.rpn(batch, features)
        found, _ = self.inner.roi_heads(features, proposals, batch.image_sizes)
        return [
            {
                "boxes": each["boxes"].float(),
                "scores": each["scores"].float(),
                "mask_quality": torch.ones_like(each["scores"], dtype=torch.float32),
                "masks": each["masks"][:, 0].float(),
                "semantic": image.new_zeros(2, *image.shape[1:]),
            }
            for each, image in zip(found, images, strict=True)
        ]

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Losses of crops of one size."""
        self._as_given(images)
        losses: dict[str, Tensor] = self.inner(images, [_masks(target) for target in targets])
        return losses

    def _as_given(self, images: list[Tensor]) -> nn.Module:
        transform = self.inner.transform
        height, width = images[0].shape[1:]
        transform.min_size, transform.max_size = (min(height, width),), max(height, width)
        return transform


def _masks(target: dict[str, Tensor]) -> dict[str, Tensor]:
    ids = torch.arange(1, len(target["boxes"]) + 1, device=target["boxes"].device)
    masks = (target["instances"][None] == ids[:, None, None]).to(torch.uint8)
    return {"boxes": target["boxes"], "labels": target["labels"], "masks": masks}


def train_stock(config: TrainConfig, sources: Sequence[Source], device: torch.device) -> Model:
    """Train torchvision's network on the crops that ours would see."""
    seed_all(config.seed)
    network = Stock(config).to(device).train()
    rate, decay = config.optimizer.rate, config.optimizer.weight_decay
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    schedule = build_schedule(optimizer, config.schedule)
    count = config.schedule.steps * config.batch_size
    model = config.model
    crops = CropDataset(sources, config.data, model.input.percentiles, config.seed, count, model.diameter)
    dtype = pick_precision(config, device)
    with closing(make_batches(crops, config.batch_size, config.data.workers)) as batches:
        for batch in batches:
            images, targets = to_device(batch, device)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                losses = network(images, targets)
            torch.stack(list(losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.clip_norm or float("inf"))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
    return Model(network.eval(), config.model, {}, Path("torchvision"))  # type: ignore[arg-type]


def train_ours(config: TrainConfig, sources: Sequence[Source], folder: Path, device: torch.device) -> Model:
    """Train a variant of PFFNet."""
    prepare(folder, None, [])
    for _ in fit(config, initial_network(config), sources, [], folder, device=device):
        pass
    return load_model(folder / "last.safetensors", device)


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--body", type=Path, required=True, help="torchvision's MobileNetV2, .pth")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--most", type=int, help="validation images of each domain")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args()
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "results.jsonl"
    done = {(row["variant"], row["seed"]) for row in read(file)}
    for seed in options.seeds:
        for variant in options.variants:
            if (variant, seed) not in done:
                note(file, {"variant": variant, "seed": seed, "steps": options.steps, **run(options, variant, seed)})
    rows = pd.json_normalize(read(file)).drop(columns=["seed", "steps"]).groupby("variant", sort=False)
    print(pd.concat({"mean": rows.mean(), "spread": rows.max() - rows.min()}).round(3).to_string())


def run(options: argparse.Namespace, variant: str, seed: int) -> dict[str, Any]:
    """Train one variant; figures of each domain and the seconds of training."""
    start = [f"init={options.body}", "validate_every=0", "optimizer.ema=0"]
    fixed = [f"schedule.steps={options.steps}", f"seed={seed}", *start]
    config = load(TrainConfig, RECIPE, [*fixed, *options.overrides, *VARIANTS[variant]])
    sources: list[Source] = [open_source(options.data / name / "train") for name in DOMAINS]
    if variant == "copy-paste":
        sources = [Pasted(source, seed) for source in sources]
    device, start = pick_device("auto"), time.perf_counter()
    folder = options.output / f"{variant.replace(' ', '-')}-{seed}"
    ours = variant != "torchvision"
    model = train_ours(config, sources, folder, device) if ours else train_stock(config, sources, device)
    seconds = round(time.perf_counter() - start)
    validation = {name: open_source(options.data / name / "val") for name in DOMAINS}
    return {"seconds": seconds, **{name: figures(model, source, options.most) for name, source in validation.items()}}


if __name__ == "__main__":
    main()
