"""COCO JSON (in work)."""

from __future__ import annotations

from pathlib import Path

from napari_pffnet.data.sources import DataError, Sample


class CocoSource:
    """Placeholder until the reader is there."""

    def __init__(self, path: str | Path) -> None:
        raise DataError(f"{path}: COCO is not read yet")

    def __len__(self) -> int:
        """Return 0."""
        return 0

    def name(self, index: int) -> str:
        """Return nothing."""
        return ""

    def read(self, index: int) -> Sample:
        """Fail."""
        raise DataError("COCO is not read yet")

    def faults(self) -> list[str]:
        """Return nothing."""
        return []
