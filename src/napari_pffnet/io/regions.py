"""``regions/NAME.json``: where every nucleus of an image is annotated ("complete here").

Positions are y, x in pixels; whole numbers are the centres of pixels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_pffnet.config import ConfigError, Frozen, parse
from napari_pffnet.io.project import ProjectError

Number = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[Number, Number]


class Area(Frozen):
    """A rectangle or polygon, by its corners."""

    kind: Literal["rectangle", "polygon"] = "polygon"
    corners: Annotated[tuple[Point, ...], Field(min_length=3)]


class Regions(Frozen):
    """Content of ``regions/NAME.json``."""

    whole: bool = Field(default=False, description="the whole image is complete")
    areas: tuple[Area, ...] = ()

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw the pixels whose centres lie inside, upper and left edge included: bool H×W = `shape`."""
        if self.whole:
            return np.ones(shape, bool)
        mask = np.zeros(shape, bool)
        for area in self.areas:
            _draw(mask, np.array(area.corners))
        return mask


def _draw(mask: NDArray[np.bool_], corners: NDArray[np.float64]) -> None:
    """Set the pixels inside a polygon, by the even-odd rule, row by row."""
    height = len(mask)
    first, last = max(0, int(np.ceil(corners[:, 0].min()))), min(height - 1, int(np.floor(corners[:, 0].max())))
    starts, ends = corners, np.roll(corners, -1, 0)
    for row in range(first, last + 1):
        crossing = (starts[:, 0] <= row) != (ends[:, 0] <= row)
        (y0, x0), (y1, x1) = starts[crossing].T, ends[crossing].T
        x = np.sort(x0 + (row - y0) * (x1 - x0) / (y1 - y0))
        for left, right in zip(x[::2], x[1::2], strict=True):
            mask[row, max(0, int(np.ceil(left))) : max(0, int(np.ceil(right)))] = True


def outlines_of(mask: NDArray[np.bool_]) -> tuple[Area, ...]:
    """Return polygons around the pixels of a mask, to within one pixel; holes are filled."""
    from skimage.measure import approximate_polygon, find_contours, label, regionprops

    areas = []
    for piece in regionprops(label(mask, connectivity=1)):
        padded = np.pad(piece.image_filled, 1)
        outline = approximate_polygon(max(find_contours(padded.astype(float), 0.5), key=len), 0.4)
        corners = outline[:-1] - 1 + piece.bbox[:2]
        areas.append(Area(corners=tuple((float(y), float(x)) for y, x in corners)))
    return tuple(areas)


def read_regions(file: Path) -> Regions:
    """Read a file of regions; none if there is no file.

    Raises
    ------
    ProjectError
        It is damaged.
    """
    if not file.exists():
        return Regions()
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        return parse(Regions, content, str(file))
    except (OSError, ValueError, ConfigError) as error:
        text = str(error) if isinstance(error, ConfigError) else f"{file}: cannot be read ({error})"
        raise ProjectError(f"{text}; correct that place, or delete the file and mark the areas again") from None


def regions_bytes(regions: Regions) -> bytes:
    """Return the content of the file, one area a line."""
    areas = [
        json.dumps({"kind": a.kind, "corners": [[round(v, 2) for v in p] for p in a.corners]}) for a in regions.areas
    ]
    listed = "".join(f"\n    {area}," for area in areas).rstrip(",") + ("\n  " if areas else "")
    return f'{{\n  "whole": {json.dumps(regions.whole)},\n  "areas": [{listed}]\n}}\n'.encode()
