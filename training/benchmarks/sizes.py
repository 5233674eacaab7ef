"""Images at half and at double size: what the estimate of the nuclei's diameter saves.

    python training/benchmarks/sizes.py --model MODEL --data DATA/fluorescence/val DATA/histology/val [--every 3]

Each image and its labels are halved, left alone and doubled; the model segments them as they are (scale 1) and by
itself (with the estimate), at the size they have. AP50 and mean AP of all nuclei together, the estimate's median error
and the seconds it takes per image.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from skimage.transform import resize

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.opening import open_source
from napari_pffnet.data.sizes import typical_diameter
from napari_pffnet.evaluate.metrics import evaluate_pair, pool
from napari_pffnet.labels import areas
from napari_pffnet.library import load_model, pick_device
from napari_pffnet.segment import Segmenter, estimate_diameter, sized
from napari_pffnet.typing import Array

FACTORS = (0.5, 1.0, 2.0)


def resized(image: Array, labels: Array, factor: float) -> tuple[Array, Array]:
    """Image (bilinear, antialiased) and labels (nearest) at another size."""
    if factor == 1:
        return image, labels
    shape = tuple(round(n * factor) for n in labels.shape)
    y, x = (np.minimum((np.arange(round(n * factor)) + 0.5) / factor, n - 1).astype(int) for n in labels.shape)
    smooth = resize(image, shape + image.shape[2:], order=1, anti_aliasing=factor < 1, preserve_range=True)
    return smooth.astype(image.dtype), labels[y[:, None], x]


def main() -> None:
    """Measure and print one line per folder and factor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    options = parser.parse_args()
    model = load_model(options.model, pick_device("auto"))
    for folder in options.data:
        source = open_source(folder)
        samples = [source.read(i) for i in range(0, len(source), options.every)]
        for factor in FACTORS:
            pairs = [resized(sample.image, sample.labels, factor) for sample in samples]
            print(
                json.dumps({"data": folder.parent.name, "factor": factor, **figures(Segmenter(model), pairs)}),
                flush=True,
            )


def figures(segmenter: Segmenter, pairs: list[tuple[Array, Array]]) -> dict[str, Any]:
    """Figures of one size."""
    plain = Segmenter(segmenter.model, SegmentConfig(scale=1))
    scores: dict[str, list[Any]] = {"as it is": [], "by itself": []}
    errors, seconds = [], []
    for image, labels in pairs:
        start = time.perf_counter()
        found = estimate_diameter(segmenter, image)
        seconds.append(time.perf_counter() - start)
        true = typical_diameter(areas(labels))
        if found and true:
            errors.append(abs(np.log(found / true)))
        for name, each in (("as it is", plain), ("by itself", sized(segmenter, image))):
            scores[name].append(evaluate_pair(labels, each.predict(image).compose().labels))
    pooled = {name: pool(each) for name, each in scores.items()}
    return {
        "images": len(pairs),
        **{f"{name} {key}": round(value[key], 3) for name, value in pooled.items() for key in ("ap50", "mean_ap")},
        "median error": round(float(np.exp(np.median(errors)) - 1), 3) if errors else None,
        "seconds": round(float(np.mean(seconds)), 2),
    }


if __name__ == "__main__":
    main()
