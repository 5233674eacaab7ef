"""One edit of an image's annotation, as it stands in the journal."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from napari_pffnet.curate.journal import Record
from napari_pffnet.curate.provenance import Row, Rows
from napari_pffnet.typing import Array

Plane = Literal["labels", "semantic"]
PLANES: tuple[Plane, ...] = ("labels", "semantic")


class Pixels(NamedTuple):
    """New values of pixels of a plane: `indices` rows and columns, or None for the whole plane (`values` H×W)."""

    plane: Plane
    indices: tuple[Array, ...] | None
    values: Array


class Edit(NamedTuple):
    """What one edit changed: pixels, in this order; rows of the table; ids whose rows are gone."""

    pixels: tuple[Pixels, ...] = ()
    rows: tuple[Row, ...] = ()
    gone: tuple[int, ...] = ()


def to_record(edit: Edit, shape: tuple[int, int]) -> Record:
    """Return an edit as it is written; positions as steps along the flat plane, which compress well."""
    arrays: list[Array] = []
    planes = []
    for plane, indices, values in edit.pixels:
        planes.append([plane, indices is None])
        if indices is not None:
            arrays.append(np.diff(np.ravel_multi_index(indices, shape).astype(np.int64), prepend=0))
        arrays.append(values)
    return Record({"pixels": planes, "rows": edit.rows, "gone": edit.gone}, arrays)


def from_record(record: Record, shape: tuple[int, int]) -> Edit:
    """Read an edit."""
    arrays = iter(record.arrays)
    pixels = []
    for plane, whole in record.content["pixels"]:
        indices = None if whole else np.unravel_index(np.cumsum(next(arrays)), shape)
        pixels.append(Pixels(plane, indices, next(arrays)))
    return Edit(tuple(pixels), tuple(record.content["rows"]), tuple(record.content["gone"]))


def replay_pixels(plane: Plane, start: Array | None, edits: list[Edit], shape: tuple[int, int]) -> Array | None:
    """Return a plane after the edits; None if there was none and none of them made one."""
    result = None if start is None else start.copy()
    for edit in edits:
        for kind, indices, values in edit.pixels:
            if kind != plane:
                continue
            if indices is None:
                result = values.copy()
                continue
            if result is None:
                result = np.zeros(shape, values.dtype)
            if len(values) and int(values.max()) > np.iinfo(result.dtype).max:
                result = result.astype(np.result_type(result, values))
            result[indices] = values
    return result


def replay_rows(start: Rows, edits: list[Edit]) -> Rows:
    """Return the rows after the edits, sorted by id; one that sets the whole plane of labels sets all rows."""
    rows = dict(start)
    for edit in edits:
        if any(pixels.plane == "labels" and pixels.indices is None for pixels in edit.pixels):
            rows = {}
        rows.update({int(row["index"]): row for row in edit.rows})
        for label in edit.gone:
            rows.pop(label, None)
    return dict(sorted(rows.items()))
