"""Saving Labels layers from napari's menu *File > Save Selected Layers…* in the formats of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, Any]
# errors are RuntimeErrors: napari takes a ValueError for a format that is not known, and says nothing


def save_geojson(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer for QuPath; return the path. RuntimeError if it is a stack."""
    from napari_pffnet.io.export import write_geojson

    write_geojson(path, _plane(data, meta), _table(meta))
    return [path]


def save_rois(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer as a set of ROIs of ImageJ; return the path. RuntimeError if it is a stack."""
    from napari_pffnet.io.export import write_rois

    write_rois(path, _plane(data, meta))
    return [path]


def save_coco(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer as instances of COCO; return the path. RuntimeError if it is a stack."""
    from napari_pffnet.io.export import write_coco

    image = meta.get("metadata", {}).get("napari-pffnet", {}).get("image", "")
    write_coco(path, _plane(data, meta), _table(meta), image)
    return [path]


def save_table(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one row per nucleus of a Labels layer as CSV; return the path. RuntimeError if there is none.

    Centre and area are measured; in a stack `first` and `last` are the planes, counted from 0 through all of them, on
    which a nucleus begins and ends. The other columns are those of the layer's table, where it has a row. Of a layer
    that is not in memory the table is written as it is.
    """
    from napari_pffnet.io.results import write_table

    known = _table(meta)
    table = _measured(data, known) if isinstance(data, np.ndarray) else known
    if table.empty:
        raise RuntimeError(f"'{meta.get('name')}' has no nuclei to make a table of")
    write_table(path, table)
    return [path]


def _measured(labels: Array, known: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each id: where it lies, and what is known of it."""
    places = np.nonzero(labels.reshape(-1, *labels.shape[-2:]))
    columns = dict(zip(("plane", "y", "x"), places, strict=True))
    pixels = pd.DataFrame({"index": labels.reshape(-1, *labels.shape[-2:])[places], **columns}).groupby("index")
    table = pixels[["y", "x"]].mean()
    if labels.size > np.prod(labels.shape[-2:]):
        table = table.assign(first=pixels["plane"].min(), last=pixels["plane"].max())
    table = table.assign(area=pixels.size()).reset_index()
    if "index" not in known:
        return table
    known = known[["index", *known.columns.difference(table.columns, sort=False)]].drop_duplicates("index")
    return table.merge(known, how="left", on="index")


def _plane(data: Any, meta: dict[str, Any]) -> Array:
    """Return the layer's only plane, at full resolution."""
    labels = np.asarray(data[0] if isinstance(data, Sequence) else data)
    kept = tuple(size for size in labels.shape[:-2] if size > 1)
    if kept:
        raise RuntimeError(
            f"'{meta.get('name')}' has {int(np.prod(kept))} planes, and this format knows one; save it as TIFF,"
            " or its planes one by one"
        )
    if labels.min(initial=0) < 0:
        raise RuntimeError(f"'{meta.get('name')}' has negative labels; ids start at 1, background is 0")
    return labels.reshape(labels.shape[-2:])


def _table(meta: dict[str, Any]) -> pd.DataFrame:
    features = pd.DataFrame(meta.get("features", {}))
    return features[features["index"] != 0] if "index" in features else pd.DataFrame()
