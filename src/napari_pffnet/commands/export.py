"""``napari-pffnet export``: label images in the formats of other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pffnet.io.terminal import tell

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SUFFIXES = {"geojson": ".geojson", "rois": "_rois.zip", "coco": "_coco.json"}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare options and help."""
    parser.description = (
        "Write the nuclei of label images for other programs: geojson for QuPath (detections with scores as"
        " measurements), rois for ImageJ (a zipped set, named by label; holes are filled), coco for machine learning"
        " (run lengths and scores). Outlines follow the edges of pixels. Scores come from NAME.csv beside"
        " NAME_labels.tif."
    )
    parser.epilog = "A file that fails is reported, the rest goes on, and the exit code is 1."
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="label images, NAME.zarr of large images, or folders with NAME_labels.tif",
    )
    parser.add_argument("--to", required=True, choices=SUFFIXES, help="format")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where files go (default: beside the labels)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export every label image; report bad files and go on."""
    from napari_pffnet.io.errors import reason

    failed = 0
    files = _find(options.inputs)
    for file in files:
        name = _name(file)
        target = (options.output or file.parent) / f"{name}{SUFFIXES[options.to]}"
        try:
            if target.exists() and not options.overwrite:
                raise ValueError(f"{target} is there already; replace it with --overwrite, or give another --output")
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(options.to, target, _read(file), _table(file.with_name(f"{name}.csv")), _image(file, name))
        except Exception as error:  # whatever is wrong with one file, the rest goes on
            failed += 1
            tell(f"failed: {file}: {reason(error).removeprefix(f'{file}: ')}", sys.stderr)
        else:
            tell(f"{file} -> {target}")
    if failed:
        tell(f"{failed} of {len(files)} files failed", sys.stderr)
    return 1 if failed else 0


def _find(inputs: Sequence[Path]) -> list[Path]:
    from napari_pffnet.data.folder import RESULTS, list_images
    from napari_pffnet.io.lazy import is_zarr
    from napari_pffnet.io.ome_zarr import is_result

    files: list[Path] = []
    for path in inputs:
        if not path.is_dir() or is_zarr(path):
            files.append(path)
            continue
        files += [file for stem, found in list_images(path).items() if stem.endswith(RESULTS[0]) for file in found]
        files += sorted(folder for folder in path.glob("*.zarr") if is_result(folder))
    names = [_name(file) for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"several label images are named {', '.join(twice[:3])}; export them one by one")
    if not files:
        raise ValueError(f"no NAME{RESULTS[0]}.tif in {', '.join(map(str, inputs))}; give label images by their names")
    return files


def _name(file: Path) -> str:
    """Return the name of the image whose labels a file holds."""
    from napari_pffnet.data.folder import RESULTS

    return file.stem.removesuffix(RESULTS[0])


def _read(file: Path) -> np.ndarray[Any, Any]:
    """Read labels with their own ids; ValueError if they are those of several planes."""
    import numpy as np

    from napari_pffnet.evaluate.label_files import LabelFile

    labels = LabelFile(file)
    if len(labels.shape) > 2:
        raise ValueError(f"labels of {prod(labels.shape[:-2])} planes; save those of one plane as an image of its own")
    return np.concatenate(list(labels.parts()))


def _image(file: Path, name: str) -> str:
    """Return the file name of the image beside its labels; the name alone if it is elsewhere."""
    from napari_pffnet.data.folder import list_images

    return next((each.name for each in list_images(file.parent).get(name, []) if each != file), name)


def _table(file: Path) -> pd.DataFrame | None:
    import pandas as pd

    return pd.read_csv(file) if file.is_file() else None


def _write(kind: str, target: Path, labels: np.ndarray[Any, Any], table: pd.DataFrame | None, image: str) -> None:
    from napari_pffnet.io import export

    if kind == "geojson":
        export.write_geojson(target, labels, table)
    elif kind == "rois":
        export.write_rois(target, labels)
    else:
        export.write_coco(target, labels, table, image)
