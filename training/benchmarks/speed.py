"""How fast the network, the label images and the data loading are. Each result is a line of JSON.

    python training/benchmarks/speed.py detector              # against torchvision's Mask R-CNN, same caps
    python training/benchmarks/speed.py model [--data FOLDER] # the embedded model on images of 256 to 2048 pixels
    python training/benchmarks/speed.py labels                # composing and comparing label images
    python training/benchmarks/speed.py loader [--data FOLDER]# crops per second against training steps per second

FOLDER holds images/ and labels/; without it the sample images of the package are used. What is compared takes turns;
times are medians in seconds: `s` on the clock, `cpu_s` of all cores together, which other work on the machine hardly
changes. On a CUDA device the clock stops when the device has finished.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import as_file, files
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from skimage.transform import rescale
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

from napari_pffnet.config import ModelConfig, SegmentConfig, TrainConfig, load
from napari_pffnet.data.dataset import CropDataset, make_batches
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.normalize import apply_limits, limits
from napari_pffnet.data.targets import to_target
from napari_pffnet.distributed import Processes
from napari_pffnet.evaluate.metrics import evaluate_pair
from napari_pffnet.labels import compose
from napari_pffnet.library import load_model, pick_device
from napari_pffnet.model import PFFNet
from napari_pffnet.segment import Prediction, Segmenter
from napari_pffnet.synthetic import synthetic_nuclei
from napari_pffnet.train.divergence import Watch
from napari_pffnet.train.loop import train_step
from napari_pffnet.train.optim import pick_precision
from napari_pffnet.train.state import TrainState

RECIPES = Path(__file__).parents[1] / "recipes"
PIXELS = 1e6


def timed(jobs: dict[str, Callable[[], Any]], repeats: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Run jobs in turn, once unmeasured; return the median seconds of each, on the clock and of all cores."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter(), time.process_time()
            job()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:
                taken[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    keys = ("s", "cpu_s")
    return {n: {k: median(v) for k, v in zip(keys, zip(*runs, strict=True), strict=True)} for n, runs in taken.items()}


def peak_memory(device: torch.device) -> float:
    """Most memory in use until now, MB: of the CUDA device, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status").read_text()  # getrusage would count the parent process too
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def nuclei(size: int, count: int, device: torch.device) -> tuple[Tensor, np.ndarray]:
    """A normalised synthetic image 3×size×size and its labels."""
    image, labels = synthetic_nuclei((size, size), count, seed=1)
    return torch.from_numpy(apply_limits(image, limits(image, (1, 99.8)))).to(device), labels


def ours(detections: int, device: torch.device) -> PFFNet:
    """R-101 of the published TNBC recipe, random weights; nothing is suppressed, so that the cap is reached."""
    config: ModelConfig = load(TrainConfig, RECIPES / "tnbc.yaml").model
    roi = config.roi.model_copy(update={"detections": detections, "nms": 1.0, "score_threshold": 0.0})
    torch.manual_seed(0)
    return PFFNet(config.model_copy(update={"roi": roi})).to(device)


def theirs(detections: int, device: torch.device, size: int) -> nn.Module:
    """Torchvision's network with the caps of that recipe."""
    torch.manual_seed(0)
    network: nn.Module = maskrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        num_classes=2,
        min_size=size,
        max_size=size,
        trainable_backbone_layers=5,
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=4000,
        rpn_post_nms_top_n_test=1000,
        box_batch_size_per_image=256,
        box_score_thresh=0.0,
        box_nms_thresh=1.0,
        box_detections_per_img=detections,
    )
    return network.to(device)


def inference(network: nn.Module, image: Tensor) -> Callable[[], int]:
    """Return a job that counts the detections of an image, without what only training needs."""
    network.eval()

    @torch.inference_mode()
    def job() -> int:
        found = network.predict(network.encode([image])) if isinstance(network, PFFNet) else network([image])
        return len(found[0]["boxes"])

    return job


def training(network: nn.Module, image: Tensor, labels: np.ndarray) -> Callable[[], None]:
    """Return a job that runs forward and back and takes a step of SGD."""
    network.train()
    target = to_target(labels)
    ids = torch.arange(1, int(labels.max()) + 1)
    if not isinstance(network, PFFNet):
        masks = (torch.from_numpy(labels)[None] == ids[:, None, None]).to(torch.uint8)
        target = {"boxes": target["boxes"], "labels": target["labels"], "masks": masks}
    target = {name: value.to(image.device) for name, value in target.items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6)

    def job() -> None:
        torch.stack(list(network([image], [target]).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return job


def job_of(network: str, what: str, detections: int, device: torch.device) -> Callable[[], Any]:
    """Return 512 × 512 inference or a 256 × 256 training step with 40 nuclei, by one of the two networks."""
    size, count = (512, 150) if what == "inference" else (256, 40)
    image, labels = nuclei(size, count, device)
    built = ours(detections, device) if network == "ours" else theirs(detections, device, size)
    return inference(built, image) if what == "inference" else training(built, image, labels)


def _memory_of(network: str, what: str, detections: int, device: torch.device, threads: int) -> float:
    torch.set_num_threads(threads)
    job_of(network, what, detections, device)()
    return peak_memory(device)


def detector(options: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """(a) R-101 against torchvision's Mask R-CNN."""
    for what, detections in [*(("inference", d) for d in options.detections), ("training step", 500)]:
        jobs = {network: job_of(network, what, detections, device) for network in ("ours", "torchvision")}
        times = timed(jobs, options.repeats, device)
        for name, job in jobs.items():
            with get_context("spawn").Pool(1) as alone:
                memory = alone.apply(_memory_of, (name, what, detections, device, torch.get_num_threads()))
            found = job() if what == "inference" else None
            yield {"what": what, "network": name, "found": found, **times[name], "peak_mb": memory}
        ratios = {key: times["ours"][key] / times["torchvision"][key] for key in ("s", "cpu_s")}
        yield {"what": what, "cap": detections, "ratio": ratios["s"], "cpu_ratio": ratios["cpu_s"]}


def mosaic(source: FolderSource, density: float, size: int) -> np.ndarray:
    """Images side by side, zoomed until there are `density` nuclei per million pixels: grey size×size."""
    image = np.zeros((0, size), np.float32)
    parts = []
    for i in range(len(source)):
        sample = source.read(i)
        count = len(np.unique(sample.labels)) - 1
        grey = sample.image if sample.image.ndim == 2 else sample.image.mean(2)
        zoom = (count / grey.size * PIXELS / density) ** 0.5
        small = rescale(grey / grey.max(), zoom, anti_aliasing=zoom < 1)
        parts.append(np.tile(small, (size // small.shape[0] + 1, size // small.shape[1] + 1))[:size, :size])
    band = size // len(parts) + 1
    return np.concatenate([image, *(part[:band] for part in parts)])[:size].astype(np.float32)


def model(options: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """(b) The embedded model, tiles and all, until labels."""
    source = FolderSource(options.data)
    config = SegmentConfig(precision=options.precision, tile=options.tile, tile_overlap=options.overlap)
    segmenter = Segmenter(load_model(options.model, device), config)
    for size in options.sizes:
        for density in (150, 1500):
            image = mosaic(source, density, size)
            labels = segmenter.predict(image).compose(config).labels
            one = timed({"one": lambda image=image: segmenter.predict(image).compose(config)}, options.repeats, device)
            s, cpu_s = one["one"]["s"], one["one"]["cpu_s"]
            yield {
                **{"size": size, "nuclei_per_mpx": density, "found": int(labels.max()), "s": s, "cpu_s": cpu_s},
                **{"images_per_s": 1 / s, "mpx_per_s": size**2 / PIXELS / s, "peak_mb": peak_memory(device)},
                "mpx_per_cpu_s": size**2 / PIXELS / cpu_s,
            }


def detections(count: int, side: int) -> Prediction:
    """Round nuclei of 16 to 34 pixels, a quarter of them found twice."""
    random = np.random.default_rng(0)
    sides, centres = random.uniform(16, 34, (count, 2)), random.uniform(0, side, (count, 2))
    twice = count // 4
    centres[-twice:] = centres[:twice] + random.normal(0, 4, (twice, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1).astype(np.float32)
    along = (np.arange(28) + 0.5) / 14 - 1
    masks = 1 / (1 + np.exp(12 * (np.hypot(along[:, None], along) - random.uniform(0.8, 1, (count, 1, 1)))))
    scores = random.uniform(0.3, 1, count).astype(np.float32)
    semantic = np.zeros((side, side), np.float16)
    return Prediction(boxes, scores, np.ones(count, np.float32), masks.astype(np.float16), semantic)


def labels(options: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """(c) Label composition, with its table, and all metrics of one image, at 625 nuclei per million pixels."""
    everything = SegmentConfig(score_threshold=0)
    for count in (100, 1000, 10_000, 20_000):
        side = round((count / 625e-6) ** 0.5)
        found = detections(count, side)
        p, shape = found, (side, side)
        truth, moved = found.compose(everything).labels, found.compose(SegmentConfig(score_threshold=0.4)).labels
        moved = np.roll(moved, 2, 0)
        jobs = {
            "compose": lambda p=p, shape=shape: compose(p.boxes, p.masks, p.scores, shape, everything),
            "compose and table": lambda p=p: p.compose(everything),
            "metrics": lambda truth=truth, moved=moved: evaluate_pair(truth, moved),
        }
        times = timed(jobs, options.repeats, device)
        yield {"nuclei": count, "side": side, **{name: value["s"] for name, value in times.items()}}


def loader(options: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """(d) Preparing crops against training on them, by the recipe of the embedded model."""
    recipe: TrainConfig = load(TrainConfig, RECIPES / "embedded.yaml")
    config = recipe.data.model_copy(update={"weights": None})
    dataset = CropDataset([FolderSource(options.data)], config, recipe.model.input.percentiles, 0, 10_000)
    dtype = pick_precision(recipe, device)
    network = PFFNet(recipe.model).to(device).train()
    state = TrainState.start(network, recipe, device, dtype)
    for workers in options.workers:
        with closing(make_batches(dataset, recipe.batch_size, workers, pin=device.type == "cuda")) as batches:
            times = timed({"batch": lambda batches=batches: next(batches)}, 5 * options.repeats, device)["batch"]
        yield {"workers": workers, "crops_per_s": recipe.batch_size / times["s"], **times}
    batch = next(make_batches(dataset, recipe.batch_size))
    jobs = {"step": lambda: train_step(network, state, iter([batch]), recipe, device, dtype, Processes(), Watch())}
    times = timed(jobs, options.repeats, device)["step"]
    yield {"training": str(dtype), "crops_per_s": recipe.batch_size / times["s"], **times}


def main() -> None:
    """Run one benchmark and print its lines."""
    benchmarks = {each.__name__: each for each in (detector, model, labels, loader)}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("benchmark", choices=benchmarks)
    parser.add_argument("--data", type=Path, help="folder with images/ and labels/")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="default")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--tile", type=int, default=SegmentConfig().tile)
    parser.add_argument("--overlap", type=int, default=SegmentConfig().tile_overlap)
    parser.add_argument("--detections", type=int, nargs="+", default=[100, 500], help="caps of the detector")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    about = {"device": str(device), "threads": options.threads, "torch": torch.__version__}
    with as_file(files("napari_pffnet") / "sample_data") as samples:
        options.data = options.data or samples
        for line in benchmarks[options.benchmark](options, device):
            rounded = {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in line.items()}
            print(json.dumps({**rounded, **about}), flush=True)


if __name__ == "__main__":
    main()
