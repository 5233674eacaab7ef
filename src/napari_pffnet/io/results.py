"""Writing results: label and semantic TIFF, table, overlay picture. All writes are atomic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.segmentation import find_boundaries

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.tiff import Sizes, checksum, label_tiff, tiff
from napari_pffnet.typing import Array

#: what TIFF and PNG call the software, in files that nobody has touched since a run has written them
RESULT = "napari-pffnet result"
#: columns of every table of nuclei, and those that some have
COLUMNS = {"index", "y", "x", "area", "score", "quality", "mask_score", "overlap"}
SOMETIMES = {"area_um2", "first", "last"}
#: columns of every table of linked nuclei
LINKED = {"index", "planes", "y", "x", "area", "score", "quality", "mask_score"}
AXIS = re.compile(r"([a-z]|plane|time|frame|slice|position)\d*")
OUTLINE = (255, 217, 26)


def write_labels(path: str | Path, labels: Array, axes: str = "YX", pixel_size: Sizes = None) -> None:
    """Write a label image as zlib TIFF: uint16 up to id 65 535, else uint32 or uint64; rest as of `io.tiff.tiff`."""
    write_atomic(path, label_tiff(labels, axes, pixel_size, RESULT))


def write_semantic(path: str | Path, semantic: Array, axes: str = "YX", pixel_size: Sizes = None) -> None:
    """Write a semantic label image (0 background, 1 nucleus, 255 ignore) as zlib TIFF, uint8."""
    write_atomic(path, tiff(semantic.astype(np.uint8), pixel_size, axes, RESULT))


def is_result(path: Path) -> bool:
    """Whether a file is as the functions here wrote it; pixels or columns that were changed since make it none."""
    try:
        if path.suffix == ".csv":
            return _is_table(path)
        return _is_overlay(path) if path.suffix == ".png" else _is_tiff(path)
    except Exception:  # whatever it is, it is not ours
        return False


def _is_tiff(path: Path) -> bool:
    with tifffile.TiffFile(path) as file:
        software = file.pages.first.software
        return software.startswith(RESULT) and software == f"{RESULT} {checksum(file.asarray())}"


def _is_overlay(path: Path) -> bool:
    with Image.open(path) as picture:
        software = str(picture.info.get("Software", ""))
        return software.startswith(RESULT) and software == f"{RESULT} {checksum(np.asarray(picture))}"


def _is_table(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    if len(set(names)) < len(names) or names[0] != "index":
        return False
    if "planes" in names:
        ends = names[1 : names.index("planes")]
        axes = [name.removesuffix("_first") for name in ends[::2]]
        whole = ends == [f"{axis}_{end}" for axis in axes for end in ("first", "last")]
        return whole and all(map(_is_axis, axes)) and set(names) - {*ends, "z", "volume_um3"} == LINKED
    axes = names[1 : names.index("y")]
    return all(map(_is_axis, axes)) and set(names) - {*axes} - SOMETIMES == COLUMNS


def _is_axis(name: str) -> bool:
    """Whether a column that stands before the centre's may be one of `io.place.place_columns`."""
    return AXIS.fullmatch(name) is not None


def write_table(
    path: str | Path, table: pd.DataFrame, pixel_area: float | None = None, place: Mapping[str, int] | None = None
) -> None:
    """Write a table of nuclei as CSV, numbers to four decimals.

    With `area_um2` if a pixel's area in µm² is known; `place` are columns of where the plane is in its stack.
    """
    table = table.copy()
    for at, (name, number) in enumerate((place or {}).items(), start=1):
        table.insert(at, name, number)
    if pixel_area:
        table = table.drop(columns="area_um2", errors="ignore")
        table.insert(list(table).index("area") + 1, "area_um2", table["area"] * pixel_area)
    write_atomic(path, table.to_csv(index=False, float_format="%.4f").encode())


def write_overlay(path: str | Path, planes: Array, labels: Array) -> None:
    """Write a PNG, H×W×3: a normalised image (float32 3×H×W in [0, 1]) with the labels' outlines in yellow."""
    picture = np.ascontiguousarray((planes * 255).round().astype(np.uint8).transpose(1, 2, 0))
    picture[find_boundaries(labels, mode="inner")] = OUTLINE
    facts = PngInfo()
    facts.add_text("Software", f"{RESULT} {checksum(picture)}")
    # stronger compression of noise takes many times longer and gains little
    write_atomic(path, lambda file: Image.fromarray(picture).save(file, compress_level=1, pnginfo=facts))
