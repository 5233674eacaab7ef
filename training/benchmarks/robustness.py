"""Images made worse than those that were trained on: how much accuracy is lost.

    python training/benchmarks/robustness.py --data DATA/histology/val [--every 4] [--only noise blur]

Each image is brought to [0, 1] by its percentiles, changed, and segmented by itself. AP50 and mean AP of all nuclei
together. Changes of stain are for colour images, inversion and uneven background for grey ones; where an image is
neither, it is left out, and a domain in which fewer than a third of the images count is not listed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import hed2rgb, rgb2gray, rgb2hed

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import normalize
from napari_pffnet.data.opening import open_source
from napari_pffnet.evaluate.metrics import evaluate_pair, pool
from napari_pffnet.library import load_model, pick_device
from napari_pffnet.segment import Segmenter, sized
from napari_pffnet.typing import Array

Change = Callable[[Array], Array]
COLOURED = 0.02
DARK_SIDE = 0.25
FEWEST = 1 / 3
#: pixels, and the density (of scikit-image's scale) where there is a mean of eosin
PATCH, STRONG = 100, 0.06


def noise(sigma: float) -> Change:
    """Of a detector."""
    return lambda image: image + np.random.default_rng(0).normal(0, sigma, image.shape)


def photons(count: int) -> Change:
    """Of so many photons where the image is brightest."""
    return lambda image: np.random.default_rng(0).poisson(image * count) / count


def blur(sigma: float) -> Change:
    """Out of focus, pixels."""
    return lambda image: gaussian_filter(image, (sigma, sigma, 0))


def gamma(exponent: float) -> Change:
    """Other contrast."""
    return lambda image: image**exponent


def jpeg(quality: int) -> Change:
    """Compressed with losses."""

    def change(image: Array) -> Array:
        pixels = (image if image.shape[2] == 3 else np.repeat(image, 3, 2)) * 255
        lossy = iio.imread(iio.imwrite("<bytes>", pixels.astype(np.uint8), extension=".jpg", quality=quality)) / 255
        return lossy[..., : image.shape[2]]

    return change


def stain(haematoxylin: float, eosin: float) -> Change:
    """Times as much of each stain."""
    return lambda image: hed2rgb(rgb2hed(image) * (haematoxylin, eosin, 1))


def dab(haematoxylin: float, eosin: float) -> Change:
    """Brown instead of these shares of the stains, as antibodies make nuclei or the rest."""

    def change(image: Array) -> Array:
        stains = rgb2hed(image)
        moved = stains[..., :2] * (haematoxylin, eosin)
        return hed2rgb(np.dstack([stains[..., :2] - moved, stains[..., 2] + moved.sum(-1)]))

    return change


def brown_patches(image: Array) -> Array:
    """Strong DAB in half of the tissue, little eosin: patches of a hundred pixels around the nuclei."""
    stains = rgb2hed(image)
    eosin = gaussian_filter(stains[..., 1], 1).clip(0)
    rows, columns = np.indices(eosin.shape) / PATCH * np.pi
    where = 1 / (1 + np.exp(-6 * np.sin(rows) * np.sin(columns)))
    stains[..., 1] *= 0.2
    stains[..., 2] += STRONG * where * (eosin / eosin.mean().clip(1e-6)).clip(0, 2)
    return hed2rgb(stains)


def _light(image: Array) -> Array:
    return np.linspace(1, DARK_SIDE, image.shape[1])[:, None]


ANY: dict[str, Change] = {
    "as it is": lambda image: image,
    "noise 0.1": noise(0.1),
    "noise 0.2": noise(0.2),
    "20 photons": photons(20),
    "blur 2": blur(2),
    "gamma 0.4": gamma(0.4),
    "gamma 2.5": gamma(2.5),
    "uneven light": lambda image: image * _light(image),
    "JPEG 30": jpeg(30),
}
GREY: dict[str, Change] = {
    "uneven background": lambda image: (image + 1 - _light(image)) / (2 - DARK_SIDE),
    "inverted": lambda image: 1 - image,
}
COLOUR: dict[str, Change] = {
    "as grey": lambda image: rgb2gray(image)[..., None],
    "0.6 haematoxylin, 1.2 eosin": stain(0.6, 1.2),
    "1.5 haematoxylin, 0.8 eosin": stain(1.5, 0.8),
    "0.8 haematoxylin, 1.8 eosin": stain(0.8, 1.8),
    "brown nuclei, little eosin": lambda image: stain(1, 0.3)(dab(0.8, 0)(image)),
    "brown instead of eosin": dab(0, 1),
    "strong brown in patches": brown_patches,
}


def unit(image: Array) -> Array:
    """H×W×1 or H×W×3 in [0, 1]; colours without colour are grey."""
    pixels = np.moveaxis(normalize(image), 0, -1).astype(np.float64)
    return pixels if np.ptp(pixels, axis=2).mean() > COLOURED else pixels[..., :1]


def main() -> None:
    """Measure and print one line per folder and change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    parser.add_argument("--only", nargs="+", help="words in the names of the changes to try")
    options = parser.parse_args()
    segmenter = Segmenter(load_model(options.model, pick_device("auto")), SegmentConfig())
    for folder in options.data:
        source = open_source(folder)
        samples = [source.read(i) for i in range(0, len(source), options.every)]
        pairs = [(unit(sample.image), sample.labels) for sample in samples]
        for name, change in (ANY | GREY | COLOUR).items():
            if options.only and not any(word in name for word in options.only):
                continue
            unfit = 3 if name in GREY else 1 if name in COLOUR else 0
            fitting = [pair for pair in pairs if pair[0].shape[2] != unfit]
            if len(fitting) > FEWEST * len(pairs):
                result = {"data": folder.parent.name, "change": name, "images": len(fitting)}
                print(json.dumps(result | figures(segmenter, fitting, change)), flush=True)


def figures(segmenter: Segmenter, pairs: list[tuple[Array, Array]], change: Change) -> dict[str, float]:
    """AP50 and mean AP of images after a change."""
    scores = []
    for image, labels in pairs:
        pixels = (change(image).clip(0, 1) * np.iinfo(np.uint16).max).astype(np.uint16)
        found = sized(segmenter, pixels).predict(pixels).compose()
        scores.append(evaluate_pair(labels, found.labels))
    pooled = pool(scores)
    return {key: round(pooled[key], 3) for key in ("ap50", "mean_ap")}


if __name__ == "__main__":
    main()
