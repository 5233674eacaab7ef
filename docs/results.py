"""Draw docs/images/results.png: of each domain the validation image whose AP50 is the median one.

python docs/results.py DATA
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from napari_pffnet.data.normalize import normalize
from napari_pffnet.data.opening import open_source
from napari_pffnet.library import load_model
from napari_pffnet.segment import segment_image

TARGET = Path(__file__).parent / "images" / "results.png"
MEDIAN = {"fluorescence": "abbfff07379b", "histology": "40946065f7e4", "brightfield": "091944f1d261"}
SIDE, ZOOM, GAP = 256, 2, 8
FOUND, TRUE = (255, 210, 0), (0, 200, 255)


def panel(folder: Path, name: str) -> np.ndarray:
    """Middle of an image with annotated and found outlines, uint8 RGB."""
    source = open_source(folder)
    sample = next(each for each in map(source.read, range(len(source))) if each.name == name)
    labels = segment_image(sample.image, load_model()).labels
    window = tuple(slice((n - SIDE) // 2, (n - SIDE) // 2 + SIDE) for n in labels.shape)
    picture = (normalize(sample.image).transpose(1, 2, 0)[window] * 255).round().astype(np.uint8)
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3)).repeat(ZOOM, 0).repeat(ZOOM, 1)
    for drawn, colour in ((sample.labels, TRUE), (labels, FOUND)):
        outlines = find_boundaries(drawn[window].repeat(ZOOM, 0).repeat(ZOOM, 1), mode="inner")
        picture = np.where(outlines[..., None], np.uint8(colour), picture)
    return picture


def main() -> None:
    """Put the panels side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of fluorescence, histology and brightfield")
    data = parser.parse_args().data
    panels = [panel(data / domain / "val", name) for domain, name in MEDIAN.items()]
    gap = np.full((SIDE * ZOOM, GAP, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1)).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
