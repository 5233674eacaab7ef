"""Make the kinds of images on which `finetune.py` tries the shipped model: validation images made worse.

    python training/benchmarks/kinds.py DATA --output OUT
    python training/benchmarks/finetune.py --base src/napari_pffnet/weights/default.safetensors --data OUT \
        --new noisy --old histology --images 5 3 --seeds 0 --most 20 12 --blend 0.5 1 --output RUNS

OUT gets noisy, dim and brown, each with train (five images to learn from) and val (those to measure), and links to the
domains of DATA. The changes are those of `robustness.py`, to each of three channels, also of grey images, so that noise
is coloured; 16 bits, clipped to black and white.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tifffile
from robustness import ANY, COLOUR, Change

from napari_pffnet.data.normalize import normalize
from napari_pffnet.data.opening import open_source
from napari_pffnet.data.sources import Source
from napari_pffnet.io.results import write_labels

LEARNT_BROWN = ("tnbc_07_1", "tnbc_07_2", "tnbc_07_3", "0d3640c1f1b8", "8f27ebc74164")


def write(source: Source, numbers: list[int], change: Change, folder: Path) -> None:
    """Write images after a change, with their labels."""
    for sub in ("images", "labels"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for i in numbers:
        sample = source.read(i)
        pixels = change(np.moveaxis(normalize(sample.image), 0, -1).astype(np.float64)).clip(0, 1)
        stored = (pixels * np.iinfo(np.uint16).max).astype(np.uint16)
        tifffile.imwrite(folder / "images" / f"{sample.name}.tif", stored, photometric="rgb")
        write_labels(folder / "labels" / f"{sample.name}.tif", sample.labels)


def main() -> None:
    """Write the three kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    fluorescence, histology = (open_source(options.data / name / "val") for name in ("fluorescence", "histology"))
    order = np.random.default_rng(0).permutation(len(fluorescence)).tolist()
    brown = [histology.name(i) in LEARNT_BROWN for i in range(len(histology))]
    kinds = {
        "noisy": (fluorescence, order[:5], order[5:25], ANY["noise 0.2"]),
        "dim": (fluorescence, order[:5], order[5:25], ANY["20 photons"]),
        "brown": (
            histology,
            np.flatnonzero(brown).tolist(),
            np.flatnonzero(np.invert(brown)).tolist(),
            COLOUR["brown nuclei, little eosin"],
        ),
    }
    for name, (source, learnt, measured, change) in kinds.items():
        write(source, learnt, change, options.output / name / "train")
        write(source, measured, change, options.output / name / "val")
    for domain in ("fluorescence", "histology", "brightfield"):
        (options.output / domain).symlink_to((options.data / domain).resolve())


if __name__ == "__main__":
    main()
