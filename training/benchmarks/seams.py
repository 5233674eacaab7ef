"""Whether tiles change what is found: a mosaic of images segmented in tiles, against the same mosaic as one tile.

    python training/benchmarks/seams.py FOLDER [--side 256] [--grid 4] [--tile 512] [--parts [--near 32]]

FOLDER holds images (``images/`` of a validation folder). GRID × GRID of them, each normalised by itself and cut to
SIDE × SIDE pixels, make the mosaic. Untiled, the model's caps on proposals and detections are raised with the area; the
norms' statistics are those of the whole mosaic. Prints the share of nuclei that match at IoU 0.9 and 0.5, and both
times. With ``--parts`` instead of the whole mosaic, each part segmented by itself is the reference, with the mosaic's
limits and the norms' statistics of the mosaic; nuclei within NEAR pixels of the parts' seams do not count.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from skimage.io import imread

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import limits, normalize
from napari_pffnet.evaluate.metrics import overlaps
from napari_pffnet.library import Model, load_model
from napari_pffnet.model import PFFNet
from napari_pffnet.segment import Segmenter
from napari_pffnet.segment.prediction import Prediction
from napari_pffnet.segment.steady import steady

Array = np.ndarray


def mosaic(folder: Path, side: int, grid: int) -> Array:
    """Join images of a folder, in an order drawn once: uint8 H×W×3."""
    parts = []
    for path in sorted(folder.iterdir()):
        image = imread(path)
        if min(image.shape[:2]) >= side:
            parts.append((normalize(image) * 255).round().astype(np.uint8).transpose(1, 2, 0)[:side, :side])
    order = np.random.default_rng(0).permutation(len(parts))
    chosen = [parts[order[i % len(order)]] for i in range(grid * grid)]
    return np.concatenate([np.concatenate(chosen[i * grid : (i + 1) * grid], 1) for i in range(grid)])


def uncapped(model: Model, times: int) -> Model:
    """Return the model with its caps per image raised."""
    rpn, roi = model.config.rpn, model.config.roi
    raised = {name: getattr(rpn, name) * times for name in ("pre_nms_test", "post_nms_test", "keep_test")}
    config = model.config.model_copy(
        update={
            "rpn": rpn.model_copy(update=raised),
            "roi": roi.model_copy(update={"detections": roi.detections * times}),
        }
    )
    network = PFFNet(config).eval()
    network.load_state_dict(model.network.state_dict())
    return Model(network, config, model.card, model.path)


def whole(model: Model, image: Array, config: SegmentConfig) -> Array:
    """Labels of the mosaic as one tile."""
    times = max(1, image.shape[0] * image.shape[1] // config.tile**2)
    segmenter = Segmenter(uncapped(model, times), config.model_copy(update={"tile": max(image.shape)}))
    return segmenter.predict(image).compose(config).labels


def by_parts(segmenter: Segmenter, image: Array, side: int, config: SegmentConfig) -> Array:
    """Labels of each part by itself, side by side."""
    bounds, result = limits(image, segmenter.model.config.input.percentiles), np.zeros(image.shape[:2], np.int32)
    with steady(segmenter.model.network, segmenter.statistics(image, bounds)):
        for y in range(0, image.shape[0], side):
            for x in range(0, image.shape[1], side):
                [found] = segmenter.look([image[y : y + side, x : x + side]], bounds)
                labels = Prediction(**found).compose(config).labels
                result[y : y + side, x : x + side] = np.where(labels > 0, labels + result.max(), 0)
    return result


def near_seams(labels: Array, side: int, near: int) -> Array:
    """Ids of objects near an edge of a part."""
    place = np.arange(len(labels)) % side
    edge = (place < near) | (place >= side - near)
    return np.unique(labels[edge[:, None] | edge[None]])


def matched(wanted: Array, got: Array, iou: float, ignored: tuple[Array, Array] | None = None) -> tuple[int, int, int]:
    """Objects of both and matches; of a match with an ignored one, neither counts."""
    pairs = overlaps(wanted, got)
    good = pairs.iou >= iou
    ids = pairs.truth_ids, pairs.prediction_ids
    free = [np.isin(each, out, invert=True) for each, out in zip(ids, ignored or (np.array([]),) * 2, strict=True)]
    first, second = pairs.truth[good], pairs.prediction[good]
    free[0][first] &= free[1][second]
    free[1][second] &= free[0][first]
    return int(free[0].sum()), int(free[1].sum()), int(free[0][first].sum())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--grid", type=int, default=4)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--parts", action="store_true", help="compare with the parts instead of the whole")
    parser.add_argument("--near", type=int, default=32, help="pixels; how far from parts' edges nuclei do not count")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    torch.manual_seed(0)
    image, model = mosaic(options.folder, options.side, options.grid), load_model()
    config = SegmentConfig(tile=options.tile, precision=options.precision)
    segmenter = Segmenter(model, config)
    start = time.perf_counter()
    got = segmenter.predict(image).compose(config).labels
    middle = time.perf_counter()
    wanted = by_parts(segmenter, image, options.side, config) if options.parts else whole(model, image, config)
    end = time.perf_counter()
    ignored = None
    if options.parts:
        ignored = near_seams(wanted, options.side, options.near), near_seams(got, options.side, options.near)
    shares = []
    for iou in (0.9, 0.5):
        a, b, both = matched(wanted, got, iou, ignored)
        shares.append(f"{100 * both / max(a, b, 1):.2f} % at IoU {iou} ({both} of {a} and {b})")
    tiles = len(segmenter.tiles(image.shape[:2]))
    print(f"{image.shape[0]} × {image.shape[1]}, {tiles} tiles: {', '.join(shares)}")
    print(f"{middle - start:.0f} s in tiles, {end - middle:.0f} s {'by parts' if options.parts else 'whole'}")


if __name__ == "__main__":
    main()
