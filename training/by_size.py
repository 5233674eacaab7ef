"""Sort the training images into one folder per size, so that ``data.weights`` can say how often each is drawn.

    python training/by_size.py DATA/fluorescence/train DATA/histology/train … --output FOLDER

A crop is drawn from an image, whatever its size: of a folder with images of 256 and of 696 pixels, a nucleus of a large
one is seen seven times less often. Makes FOLDER/DOMAIN_small (under 0.1 megapixels), DOMAIN_mid and DOMAIN_large (from
0.25 megapixels) with links to the images and labels of DATA/DOMAIN/train, and prints how many megapixels each holds.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from napari_pffnet.data.annotation import read_pixels
from napari_pffnet.data.folder import list_images

SIZES = (("large", 250_000), ("mid", 100_000), ("small", 0))


def main() -> None:
    """Make the folders and print what they hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="DOMAIN/train folders with images/ and labels/")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    held: dict[str, list[int]] = defaultdict(list)
    for folder in options.folders:
        labels = list_images(folder / "labels")
        for name, [image] in list_images(folder / "images").items():
            height, width = read_pixels(image).shape[:2]
            size = next(word for word, least in SIZES if height * width >= least)
            kind = f"{folder.resolve().parent.name}_{size}"
            held[kind].append(height * width)
            for part, file in (("images", image), ("labels", labels[name][0])):
                (options.output / kind / part).mkdir(parents=True, exist_ok=True)
                (options.output / kind / part / file.name).symlink_to(file.resolve())
    for kind, pixels in sorted(held.items()):
        print(f"{kind}: {len(pixels)} images, {sum(pixels) / 1e6:.1f} Mpx")


if __name__ == "__main__":
    main()
