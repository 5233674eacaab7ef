"""The rows of a review as they are shown, and which of them is the present one. No Qt in here."""

from __future__ import annotations

import pandas as pd

from napari_pffnet._qt.review.rows import Key, ReviewList
from napari_pffnet.curate.queue import CANDIDATE, DONE


class Present:
    """The row that the user is at.

    Attributes
    ----------
    shown : list of Key
        All rows, in the order in which they are shown.
    key : Key or None
        The present one; it need not be shown any more.
    row : int
        Its place in the list, or its last one; -1 if there was none.
    """

    def __init__(self) -> None:
        self.shown: list[Key] = []
        self.forget()

    def forget(self) -> None:
        """No row is the present one."""
        self.key: Key | None = None
        self.row = -1

    def show(self, rows: pd.DataFrame, review: ReviewList) -> int | None:
        """Take over the rows that are shown now; return where the present one is, None if it is not shown.

        One that is done and gone leaves its place to the next one.
        """
        self.shown = list(map(Key, *(rows[name].tolist() for name in ("plane", "kind", "index"))))
        found = review.row(self.key) if self.key else None
        place = self.shown.index(self.key) if self.key in self.shown else None
        if place is not None and found is not None and found["state"] not in DONE:
            self.row = place
        return place

    def put(self, row: int) -> Key:
        """Make a row that is shown the present one."""
        self.key, self.row = self.shown[row], row
        return self.shown[row]

    def following(self, by: int) -> int:
        """Return the row so many after the present one; after the last comes the first. Some must be shown."""
        in_place = 0 <= self.row < len(self.shown) and self.shown[self.row] == self.key
        row = self.row + by if in_place or by < 0 else max(self.row, 0)
        return row % len(self.shown)

    def candidate(self, numbers: list[int]) -> int | None:
        """Return the row of the present or the next one of some candidates; None if none of them is shown."""
        rows = [row for row, key in enumerate(self.shown) if key.kind == CANDIDATE and key.number in numbers]
        return next((row for row in rows if row >= self.row), rows[0] if rows else None)
