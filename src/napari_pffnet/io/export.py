"""Nuclei in the formats of other programs: QuPath (GeoJSON), ImageJ (ROI sets), machine learning (COCO).

Outlines run along the edges of pixels: the pixel in row y, column x covers x to x + 1 and y to y + 1, as in QuPath and
ImageJ, so that areas are numbers of pixels: of pixels of the whole image at full resolution, where it is known in which
part of it the labels lie. Of a stack each plane has its own objects; an id on several planes is one object on each.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import find_objects

from napari_pffnet import __version__
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.place import Place, Spot
from napari_pffnet.io.tables import one_row_per_plane
from napari_pffnet.labels import areas, centroids, renumber
from napari_pffnet.typing import Array

Rows = Mapping[int, Mapping[str, float]]
DIGITS = 4


class _Plane(NamedTuple):
    """Labels H×W, which plane they are if the image is a stack, and what is known of the nuclei there, by id."""

    labels: Array
    spot: Spot | None
    rows: Rows


class _Outlined(NamedTuple):
    """An object: id, outline in pixels of the whole image, its plane if that is a stack, and what is known of it."""

    label: int
    shape: Any
    spot: Spot | None
    row: Mapping[str, float]


def write_geojson(
    path: str | Path, labels: Array, table: pd.DataFrame | None = None, place: Place | None = None
) -> None:
    """Write a FeatureCollection for QuPath: a detection of each nucleus, with its plane if the image is a stack.

    Parameters
    ----------
    path : str or Path
        Ends in ``.geojson``.
    labels : ndarray
        int …×H×W, 0 is background; the id becomes the name. Holes are inner rings, pieces a MultiPolygon.
    table : DataFrame, optional
        Rows by the column `index`, of ids that have several by those of the plane (`io.place.place_columns`), too;
        numbers become measurements, save the area, which is counted.
    place : Place, optional
        Where the labels lie in their image. Without it they cover it, and axes before the last two count as z.
    """
    from shapely.geometry import mapping

    features = [
        {
            "type": "Feature",
            "geometry": {**mapping(each.shape), **({"plane": {"c": -1, **each.spot._asdict()}} if each.spot else {})},
            "properties": {
                "objectType": "detection",
                "name": str(each.label),
                "classification": {"name": "Nucleus"},
                "measurements": {**each.row, "area": int(each.shape.area)},
            },
        }
        for each in _outlined(labels, place or Place.of_all(labels.shape), table)
    ]
    _write_json(path, {"type": "FeatureCollection", "features": features})


def write_rois(path: str | Path, labels: Array, place: Place | None = None) -> None:
    """Write a set of ROIs for ImageJ, ``.zip``: named by id, ``12-2`` a second piece of 12; holes are filled.

    Of a stack they have their position, of one with z and t (or channels) their z and t; arguments of `write_geojson`.
    Files in the set have the number of the plane before the name if there are several planes.
    """
    from roifile import ROI_TYPE, ImagejRoi, roiwrite

    place = place or Place.of_all(labels.shape)
    several = len(list(place.planes(labels.shape))) > 1
    rois, files = [], []
    for label, shape, spot, _ in _outlined(labels, place):
        for number, piece in enumerate(getattr(shape, "geoms", [shape]), start=1):
            corners = np.array(piece.exterior.coords)[:-1].astype(np.int32)
            name = f"{label}-{number}" if number > 1 else str(label)
            roi = ImagejRoi.frompoints(corners, name=name, **_position(spot, place))
            roi.roitype = ROI_TYPE.TRACED
            rois.append(roi)
            files.append(f"{spot.t * place.count.z + spot.z + 1:04}-{name}" if several and spot else name)
    write_atomic(path, lambda temporary: roiwrite(temporary, rois, name=files, mode="w"))


def _position(spot: Spot | None, place: Place) -> dict[str, int]:
    """Return which plane a ROI is on, counted from 0, as ImageJ tells it; nothing if the image is no stack."""
    if spot is None:
        return {}
    return spot._asdict() if place.is_hyperstack else {"position": max(spot)}


class Coco:
    """A data set in COCO's format: run lengths, area, box and, where a table has it, the mask_score as score."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._used = 0

    def add(
        self, labels: Array, table: pd.DataFrame | None = None, image: str = "", place: Place | None = None
    ) -> None:
        """Add an image, or each plane of a stack as one.

        Parameters
        ----------
        labels : ndarray
            int …×H×W, 0 is background; the ids of the first image become those of annotations, later ones go on there.
            In a stack they are the annotations' `track_id`, too.
        table : DataFrame, optional
            Rows as of `write_geojson`.
        image : str
            File name of the image; a plane of a stack has its z and t, counted from 0, as `plane` beside it.
        place : Place, optional
            Where the labels lie in their image; without it as of `write_geojson`.
        """
        place = place or Place.of_all(labels.shape)
        for plane, spot, rows in _planes(labels, place, table):
            number = len(self._images) + 1
            found = [_annotation(_in_whole(each, place), place.size, rows) for each in _objects(plane)]
            for each in found:
                followed = {"track_id": each["id"]} if spot else {}
                self._annotations.append({**each, **followed, "id": self._used + each["id"], "image_id": number})
            named = {"plane": spot._asdict()} if spot else {}
            height, width = place.size
            self._images.append({"id": number, "file_name": image, "height": height, "width": width, **named})
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


def write_coco(
    path: str | Path,
    labels: Array,
    table: pd.DataFrame | None = None,
    image: str = "",
    place: Place | None = None,
) -> None:
    """Write the instances of one image or stack; arguments as of `Coco.add`."""
    coco = Coco()
    coco.add(labels, table, image, place)
    coco.write(path)


def unchanged(table: pd.DataFrame, labels: Array, place: Place | None = None) -> pd.DataFrame:
    """Return the rows of a table whose `area`, `y` and `x` are those of their label; others are outdated.

    Of a stack (int …×H×W, `place` as of `write_geojson`) with rows for each plane the rows of an id are outdated if one
    of them is; of other stacks only the area through all planes is compared.
    """
    if not {"index", "area"} <= set(table):
        return table.iloc[:0]
    place = place or Place.of_all(labels.shape)
    indices = [index for index, _ in place.planes(labels.shape)]
    now = one_row_per_plane((measured(labels[index]) for index in indices), map(place.columns, indices))
    keys = ["index", *_by_plane(table, place)]
    known = [name for name in ("area", "y", "x") if name in table] if len(keys) > 1 or len(indices) == 1 else ["area"]
    moved = now.groupby(keys)[known].sum() - table.groupby(keys)[known].sum()  # NaN where one of them has no row
    same = (moved.abs() < 1).all(axis=1).groupby(level="index").all()
    return table[table["index"].isin(same.index[same])]


def measured(labels: Array) -> pd.DataFrame:
    """Return index, centre and area of each id of an int H×W image, in its pixels."""
    numbers, ids = renumber(labels)
    y, x = centroids(numbers).T
    return pd.DataFrame({"index": ids, "y": y, "x": x, "area": areas(numbers)})


def _by_plane(table: pd.DataFrame, place: Place) -> list[str]:
    """Return the columns that say of which plane a row is if the table has several of an id, else none."""
    names = list(place.columns([0] * (len(place.axes) - 2)))
    return names if set(names) <= set(table) and table["index"].duplicated().any() else []


def _planes(labels: Array, place: Place, table: pd.DataFrame | None = None) -> Iterator[_Plane]:
    """Yield each plane."""
    names = _by_plane(table, place) if table is not None and "index" in table else []
    for index, spot in place.planes(labels.shape):
        columns = place.columns(index)
        here = (
            table
            if table is None or not names
            else table[(table[names] == [columns[name] for name in names]).all(axis=1)]
        )
        yield _Plane(labels[index], spot if place.is_stack else None, _rows(here, columns))


def _outlined(labels: Array, place: Place, table: pd.DataFrame | None = None) -> Iterator[_Outlined]:
    """Yield the objects of each plane, their outlines in whole pixels of the image at full resolution."""
    import shapely

    def to_whole(corners: Array) -> Array:
        edges = [place.edges(corners[:, 0], -1), place.edges(corners[:, 1], -2)]
        return np.stack(edges, 1).astype(float)  # shapely before 2.2 takes no integers

    for plane, spot, rows in _planes(labels, place, table):
        for label, shape in outlines(plane):
            yield _Outlined(label, shapely.transform(shape, to_whole), spot, rows.get(label, {}))


def outlines(labels: Array) -> Iterator[tuple[int, Any]]:
    """Yield id and outline (shapely Polygon or MultiPolygon, x before y) of each nucleus of an int H×W image."""
    import shapely

    for label, (top, left), mask in _objects(labels):
        edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        (rows, starts), (_, ends) = np.nonzero(edges == 1), np.nonzero(edges == -1)
        boxes = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
        yield label, shapely.normalize(shapely.simplify(shapely.union_all(boxes), 0))


def _objects(labels: Array) -> Iterator[tuple[int, tuple[int, int], Array]]:
    """Yield id, place of the upper left corner and mask (bool, its box) of each object of an int H×W image."""
    numbers, ids = renumber(labels)
    for number, place in enumerate(find_objects(numbers), start=1):
        yield int(ids[number - 1]), (place[0].start, place[1].start), numbers[place] == number


def _in_whole(found: tuple[int, tuple[int, int], Array], place: Place) -> tuple[int, tuple[int, int], Array]:
    """Return an object of `_objects` as it lies in the image at full resolution."""
    label, (top, left), mask = found
    rows = place.edges(np.arange(top, top + mask.shape[0] + 1), -2)
    columns = place.edges(np.arange(left, left + mask.shape[1] + 1), -1)
    return label, (int(rows[0]), int(columns[0])), mask.repeat(np.diff(rows), 0).repeat(np.diff(columns), 1)


def _annotation(found: tuple[int, tuple[int, int], Array], size: tuple[int, int], rows: Rows) -> dict[str, Any]:
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


def _rows(table: pd.DataFrame | None, places: Collection[str]) -> Rows:
    """Return the finite numbers of each row by its `index`, rounded; without those of where it lies."""
    if table is None or "index" not in table:
        return {}
    numbers = table.select_dtypes("number").drop(columns=["y", "x", *places], errors="ignore")
    if "index" not in numbers or not np.isfinite(numbers["index"]).all():
        return {}
    return {
        int(row.pop("index")): {str(name): round(float(v), DIGITS) for name, v in row.items() if np.isfinite(v)}
        for row in numbers.to_dict("records")
    }


def _write_json(path: str | Path, content: dict[str, Any]) -> None:
    write_atomic(path, (json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n").encode())
