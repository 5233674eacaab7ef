"""What everything but the network costs: reading, normalising, joining tiles, drawing, writing. Lines of JSON.

    python training/benchmarks/host.py FOLDER [--size 2048] [--large 6144] [--densities 150 1500]

In place of the embedded model's network, what it found once in a tile is given again for every tile. So the Mpx/s are
what a device that takes no time would reach. FOLDER is for the large image and its result; both are replaced. Images
are mosaics of the package's sample images, as in `speed.py`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from speed import PIXELS, mosaic, timed
from torch import Tensor, nn

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.normalize import normalize
from napari_pffnet.io.lazy import FilePlane, open_plane
from napari_pffnet.library import Model, load_model
from napari_pffnet.segment import Segmenter
from napari_pffnet.segment.large import segment_large

TILE = 1024
PER_NUCLEUS = ("boxes", "scores", "mask_quality", "masks")


class Replay(nn.Module):
    """Finds in every tile what was found once, as far as it lies in the tile."""

    def __init__(self, found: dict[str, Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.most_regions = None
        self.found = found

    def encode(self, images: list[Tensor]) -> list[Tensor]:
        """Pass the images on."""
        return images

    def predict(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Cut what was found to each image."""
        return [self._within(*image.shape[1:]) for image in images]

    def _within(self, height: int, width: int) -> dict[str, Tensor]:
        boxes = self.found["boxes"]
        inside = (boxes[:, 2] <= width) & (boxes[:, 3] <= height)
        cut = {name: self.found[name][inside] for name in PER_NUCLEUS}
        return cut | {"semantic": self.found["semantic"][:, :height, :width]}


def replayed(image: np.ndarray) -> Segmenter:
    """Run the embedded model once on a tile; return a segmenter that does not run it again."""
    model = load_model()
    segmenter = Segmenter(model)
    with torch.inference_mode(), segmenter.autocast():
        found = model.network.predict(model.network.encode([torch.from_numpy(normalize(image))]))[0]
    replay = Replay({name: value.clone() for name, value in found.items()})
    return Segmenter(Model(replay, model.config, {}, model.path), SegmentConfig(scale=1.0))  # type: ignore[arg-type]


def results(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """An image in memory, and one from Zarr to Zarr."""
    with as_file(files("napari_pffnet") / "sample_data") as folder:
        source = FolderSource(folder)
        for density in options.densities:
            tile = mosaic(source, density, TILE)
            tile = (tile / np.percentile(tile, 99.8) * 255).clip(0, 255).astype(np.uint8)
            segmenter = replayed(tile)
            for dtype in (np.uint8, np.float32):
                image = repeated(tile, options.size).astype(dtype)
                job = partial(in_memory, segmenter, image)
                took = timed({"all": job}, 5, torch.device("cpu"))["all"]
                speed = image.size / PIXELS / took["s"]
                yield {"nuclei_per_mpx": density, "side": options.size, "type": image.dtype.name, "mpx_per_s": speed}
            plane = open_plane(written(options.folder, tile, options.large))
            start, cpu = time.perf_counter(), time.process_time()
            segment_large(plane, segmenter, options.folder / "out")
            took = {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
            speed = options.large**2 / PIXELS / took["s"]
            yield {"nuclei_per_mpx": density, "side": options.large, "type": "zarr uint8", "mpx_per_s": speed, **took}


def in_memory(segmenter: Segmenter, image: np.ndarray) -> None:
    """From pixels to labels and table."""
    segmenter.predict(image).compose()


def repeated(tile: np.ndarray, side: int) -> np.ndarray:
    """The tile again and again: side×side."""
    return np.tile(tile, [-(-side // TILE)] * 2)[:side, :side]


def written(folder: Path, tile: np.ndarray, side: int) -> FilePlane:
    """A Zarr array of that."""
    path = folder / "in.zarr"
    shutil.rmtree(path, ignore_errors=True)
    zarr.create_array(path, data=repeated(tile, side), chunks=(TILE, TILE))
    return FilePlane(str(path))


def main() -> None:
    """Print each result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--large", type=int, default=6144)
    parser.add_argument("--densities", type=float, nargs="+", default=[150, 1500])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    for result in results(options):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
