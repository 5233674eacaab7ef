"""Where each nucleus comes from: rows of ``provenance/NAME.csv``, one per nucleus.

Columns: `index` (label id), `origin` (name and hash of the model, "painted", or the tool), `state` ("" as predicted,
"edited", "new", "accepted"), `parents` (ids it was split or merged from), `score`, `quality`, `mask_score` (predicted,
in [0, 1]), `area` (pixels), `changed` (ISO time), `user`; then any others of the layer's table.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]
Rows = dict[int, Row]
TEXT = ("origin", "state", "parents", "changed", "user")
COLUMNS = ("index", "origin", "state", "parents", "score", "quality", "mask_score", "area", "changed", "user")


def rows_of(rows: Iterable[Row]) -> Rows:
    """Return rows by their `index`, sorted."""
    return {int(row["index"]): dict(row) for row in sorted(rows, key=lambda row: int(row["index"]))}


def rows_bytes(rows: Rows) -> bytes:
    """Return the content of a CSV file; numbers have four decimals, numbers that are missing are empty."""
    others = dict.fromkeys(name for row in rows.values() for name in row if name not in COLUMNS)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, *others])
    for row in rows.values():
        writer.writerow([_text(row.get(name)) for name in (*COLUMNS, *others)])
    return stream.getvalue().encode()


def read_rows(content: bytes) -> Rows:
    """Read the content of a CSV file.

    Raises
    ------
    ValueError
        It is no table with a column `index` of whole numbers.
    """
    table = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    if "index" not in (table.fieldnames or ()):
        raise ValueError("it has no column 'index'")
    return rows_of({name: _value(name, text or "") for name, text in row.items() if name} for row in table)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> Any:
    if name in TEXT:
        return text
    if name == "index":
        return int(text)
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return text
    return int(number) if name == "area" and math.isfinite(number) else number
