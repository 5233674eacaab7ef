"""Saving Labels layers from napari's menu *File > Save Selected Layers…* in the formats of other programs.

Results of the panel note where they lie in their image (`io.place`): what is saved of them is in pixels of the whole
image at full resolution, and names the plane of a stack. Other layers count as whole images. Stack axes that are not
named t count as z.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_pffnet.io.place import Place
from napari_pffnet.typing import Array

# errors are RuntimeErrors: napari takes a ValueError for a format that is not known, and says nothing


def save_geojson(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer for QuPath, stacks too; return the path. RuntimeError for ids under 0, and channels."""
    from napari_pffnet.io.export import write_geojson

    labels, place = _labels(data, meta)
    write_geojson(path, labels, _table(meta), place)
    return [path]


def save_rois(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer as a set of ROIs of ImageJ; the rest as of `save_geojson`."""
    from napari_pffnet.io.export import write_rois

    write_rois(path, *_labels(data, meta))
    return [path]


def save_coco(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer as instances of COCO; the rest as of `save_geojson`.

    The image has the size of the whole one at full resolution. Of a layer that does not note where it lies it is that
    of the layer, which may be a part.
    """
    from napari_pffnet.io.export import write_coco

    labels, place = _labels(data, meta)
    write_coco(path, labels, _table(meta), _facts(meta).get("image", ""), place)
    return [path]


def save_table(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one row per nucleus of a Labels layer as CSV; return the path. RuntimeError if there is none.

    Centre and area are measured, in pixels of the whole image at full resolution. Of a stack there is a row for each
    plane that a nucleus is on, with a column for each stack axis by its label (`io.place.place_columns`); one plane of
    a stack has these columns, too. `area_um2` is there where the layer's units tell. The other columns are those of the
    layer's table, where it has a row: of a nucleus on several planes they are the same on each. Of a layer that is not
    in memory the table is written as it is, its areas in the same pixels.
    """
    from napari_pffnet.io.results import write_table

    known, place = _table(meta), _place(_shape(data), meta)
    if isinstance(data, np.ndarray):
        _check_signs(data, meta)
        table = _measured(data, known, place)
    else:
        table = known.assign(area=_area(known["area"], place)) if "area" in known else known
    if table.empty:
        raise RuntimeError(f"'{meta.get('name')}' has no nuclei to make a table of")
    write_table(path, table, _pixel_area(meta, place) if "area" in table else None)
    return [path]


def _measured(labels: Array, known: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return a row for each id on each plane: where it lies, and what is known of it."""
    from napari_pffnet.io.export import measured
    from napari_pffnet.io.tables import one_row_per_plane

    planes = list(np.ndindex(labels.shape[:-2]))
    table = one_row_per_plane([measured(labels[index]) for index in planes], map(place.columns, planes))
    table = table.assign(y=place.centres(table["y"], -2), x=place.centres(table["x"], -1))
    table = table.assign(area=_area(table["area"], place))
    if "index" not in known:
        return table
    known = known[["index", *known.columns.difference(table.columns, sort=False)]].drop_duplicates("index")
    return table.merge(known, how="left", on="index")


def _pixel_area(meta: dict[str, Any], place: Place) -> float | None:
    """Return the area of a pixel of the image at full resolution in µm²; None if the layer does not tell."""
    import pint

    if "scale" not in meta or not meta.get("units"):
        return None
    try:
        sides = [(meta["scale"][axis] * pint.Unit(meta["units"][axis])).to("micrometer").magnitude for axis in (-2, -1)]
    except pint.DimensionalityError:
        return None
    return abs(float(sides[0] * sides[1])) / (place.step[-2] * place.step[-1])


def _area(areas: pd.Series[Any], place: Place) -> pd.Series[Any]:
    """Return areas in whole pixels of the image at full resolution."""
    factor = place.step[-2] * place.step[-1]
    return areas if factor == 1 else (areas * factor).round().astype(np.int64)


def _labels(data: Any, meta: dict[str, Any]) -> tuple[Array, Place]:
    """Return the layer's labels, of a pyramid the largest, and where they lie."""
    labels = np.asarray(data[0] if isinstance(data, Sequence) else data)
    _check_signs(labels, meta)
    place = _place(labels.shape, meta)
    try:
        place.check(labels.shape)
    except ValueError as error:
        raise RuntimeError(f"'{meta.get('name')}': {error}") from None
    return labels, place


def _check_signs(labels: Array, meta: dict[str, Any]) -> None:
    if labels.min(initial=0) < 0:
        raise RuntimeError(f"'{meta.get('name')}' has negative labels; ids start at 1, background is 0")


def _place(shape: tuple[int, ...], meta: dict[str, Any]) -> Place:
    """Return where a layer lies in its image: where it notes it, else it is the image."""
    axes = meta.get("axis_labels") or [""] * len(shape)
    return Place.of_note(_facts(meta).get("place"), shape, axes) or Place.of_all(shape, axes)


def _shape(data: Any) -> tuple[int, ...]:
    return tuple((data[0] if isinstance(data, Sequence) else data).shape)


def _facts(meta: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = meta.get("metadata", {}).get("napari-pffnet", {})
    return facts


def _table(meta: dict[str, Any]) -> pd.DataFrame:
    features = pd.DataFrame(meta.get("features", {}))
    return features[features["index"] != 0] if "index" in features else pd.DataFrame()
