"""Nuclei in the formats of other programs: QuPath (GeoJSON), ImageJ (ROI sets), machine learning (COCO).

Outlines run along the edges of pixels: the pixel in row y, column x covers x to x + 1 and y to y + 1, as in QuPath and
ImageJ, so that areas are numbers of pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import find_objects

from napari_pffnet import __version__
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.labels import areas, centroids, renumber

Array = np.ndarray[Any, Any]
DIGITS = 4


def write_geojson(path: str | Path, labels: Array, table: pd.DataFrame | None = None) -> None:
    """Write a FeatureCollection for QuPath: a detection of each nucleus.

    Parameters
    ----------
    path : str or Path
        Ends in ``.geojson``.
    labels : ndarray
        int H×W, 0 is background; the id becomes the name. Holes are inner rings, pieces a MultiPolygon.
    table : DataFrame, optional
        Rows by the column `index`; numbers become measurements, save the area, which is counted.
    """
    from shapely.geometry import mapping

    rows = _rows(table)
    features = [
        {
            "type": "Feature",
            "geometry": mapping(shape),
            "properties": {
                "objectType": "detection",
                "name": str(label),
                "classification": {"name": "Nucleus"},
                "measurements": {**rows.get(label, {}), "area": int(shape.area)},
            },
        }
        for label, shape in outlines(labels)
    ]
    _write_json(path, {"type": "FeatureCollection", "features": features})


def write_rois(path: str | Path, labels: Array) -> None:
    """Write a set of ROIs for ImageJ, ``.zip``: named by id, ``12-2`` a second piece of 12; holes are filled."""
    from roifile import ROI_TYPE, ImagejRoi, roiwrite

    rois = []
    for label, shape in outlines(labels):
        for number, piece in enumerate(getattr(shape, "geoms", [shape]), start=1):
            corners = np.array(piece.exterior.coords)[:-1].astype(np.int32)
            roi = ImagejRoi.frompoints(corners, name=f"{label}-{number}" if number > 1 else str(label))
            roi.roitype = ROI_TYPE.TRACED
            rois.append(roi)
    write_atomic(path, lambda temporary: roiwrite(temporary, rois, mode="w"))


class Coco:
    """A data set in COCO's format: run lengths, area, box and, where a table has it, the mask_score as score."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._used = 0

    def add(self, labels: Array, table: pd.DataFrame | None = None, image: str = "") -> None:
        """Add an image.

        Parameters
        ----------
        labels : ndarray
            int H×W, 0 is background; the ids of the first image become those of annotations, later ones go on there.
        table : DataFrame, optional
            Rows by the column `index`.
        image : str
            File name of the image.
        """
        height, width = labels.shape[-2:]
        number, rows = len(self._images) + 1, _rows(table)
        found = [_annotation(each, (height, width), rows) for each in _objects(labels)]
        self._annotations += [{**each, "id": self._used + each["id"], "image_id": number} for each in found]
        self._images.append({"id": number, "file_name": image, "height": height, "width": width})
        self._used += max((each["id"] for each in found), default=0)

    def write(self, path: str | Path) -> None:
        """Write all images to a file that ends in ``.json``."""
        content = {
            "info": {"description": "nuclei, by napari-pffnet", "version": __version__},
            "images": self._images,
            "categories": [{"id": 1, "name": "nucleus"}],
            "annotations": self._annotations,
        }
        _write_json(path, content)


def write_coco(path: str | Path, labels: Array, table: pd.DataFrame | None = None, image: str = "") -> None:
    """Write the instances of one image; arguments as of `Coco`."""
    coco = Coco()
    coco.add(labels, table, image)
    coco.write(path)


def unchanged(table: pd.DataFrame, labels: Array) -> pd.DataFrame:
    """Return the rows of a table whose `area`, `y` and `x` are those of their label (int H×W); others are outdated."""
    numbers, ids = renumber(labels)
    now = pd.DataFrame(centroids(numbers), index=ids, columns=["y", "x"]).assign(area=areas(numbers))
    if not {"index", "area"} <= set(table):
        return table.iloc[:0]
    known = [name for name in now if name in table]
    moved = (now.reindex(table["index"])[known].to_numpy() - table[known].to_numpy(float)).T
    return table.iloc[np.flatnonzero((np.abs(moved) < 1).all(0))]


def outlines(labels: Array) -> Iterator[tuple[int, Any]]:
    """Yield id and outline (shapely Polygon or MultiPolygon, x before y) of each nucleus of an int H×W image."""
    import shapely

    for label, (top, left), mask in _objects(labels):
        edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        (rows, starts), (_, ends) = np.nonzero(edges == 1), np.nonzero(edges == -1)
        boxes = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
        yield label, shapely.normalize(shapely.simplify(shapely.union_all(boxes), 0))


def _objects(labels: Array) -> Iterator[tuple[int, tuple[int, int], Array]]:
    """Yield id, place of the upper left corner and mask (bool, its box) of each object."""
    if labels.ndim != 2:
        raise ValueError(f"labels have {labels.ndim} axes; export the planes of a stack one by one")
    numbers, ids = renumber(labels)
    for number, place in enumerate(find_objects(numbers), start=1):
        yield int(ids[number - 1]), (place[0].start, place[1].start), numbers[place] == number


def _annotation(
    found: tuple[int, tuple[int, int], Array], size: tuple[int, int], rows: dict[int, dict[str, float]]
) -> dict[str, Any]:
    """Return the annotation of an object of an image of this size."""
    from pycocotools.mask import frPyObjects

    label, (top, left), mask = found
    height, width = size
    y, x = np.nonzero(mask)
    runs = _runs(np.sort((x + left) * height + y + top), height * width)
    packed = frPyObjects({"counts": runs, "size": [height, width]}, height, width)
    score = rows.get(label, {}).get("mask_score")
    return {
        "id": label,
        "category_id": 1,
        "iscrowd": 0,
        "area": len(y),
        "bbox": [left, top, mask.shape[1], mask.shape[0]],
        "segmentation": {"size": [height, width], "counts": packed["counts"].decode()},
        **({} if score is None else {"score": score}),
    }


def _runs(places: Array, size: int) -> list[int]:
    """Return run lengths, outside first, of the places (sorted) of an array of `size`."""
    breaks = np.flatnonzero(np.diff(places) > 1)
    starts = places[np.concatenate([[0], breaks + 1])]
    ends = places[np.concatenate([breaks, [len(places) - 1]])] + 1
    bounds = np.concatenate([[0], np.stack([starts, ends], 1).ravel(), [size]])
    return [int(length) for length in np.diff(bounds)]


def _rows(table: pd.DataFrame | None) -> dict[int, dict[str, float]]:
    """Return the finite numbers of each row by its `index`, rounded."""
    if table is None or "index" not in table:
        return {}
    numbers = table.select_dtypes("number").drop(columns=["y", "x"], errors="ignore")
    if "index" not in numbers or not np.isfinite(numbers["index"]).all():
        return {}
    return {
        int(row.pop("index")): {str(name): round(float(v), DIGITS) for name, v in row.items() if np.isfinite(v)}
        for row in numbers.to_dict("records")
    }


def _write_json(path: str | Path, content: dict[str, Any]) -> None:
    write_atomic(path, (json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n").encode())
