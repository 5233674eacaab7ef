"""Outlines drawn in other programs as labels: QuPath's GeoJSON, ImageJ's ROIs and sets of them.

Coordinates count from the upper left corner of the image, as in both programs: the pixel in row y, column x covers x to
x + 1 and y to y + 1, and belongs to an outline that holds its centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from napari_pffnet.data.outline_files import Outline, Rings, Where, read_geojson, read_rois
from napari_pffnet.data.sources import DataError
from napari_pffnet.io.place import Place, Spot
from napari_pffnet.io.regions import Area

SUFFIXES = (".geojson", ".roi", ".zip")
MUCH_LARGER = 8
MOST_ID = 2**31 - 1


class _Drawn(NamedTuple):
    """The pixels of an outline: a mask (bool) that begins at row `top` and column `left` of the image."""

    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        return int(np.count_nonzero(self.mask))

    def middle(self) -> tuple[int, int]:
        """Return row and column of one of its pixels; it must have some."""
        inside = np.flatnonzero(self.mask)
        row, column = divmod(int(inside[len(inside) // 2]), self.mask.shape[1])
        return self.top + row, self.left + column


def read_objects(path: Path) -> list[Outline]:
    """Read the outlines of a file, see `read_outlines`; DataError if it cannot be read, or holds other things only."""
    return read_geojson(path) if path.suffix.lower() == ".geojson" else read_rois(path)


def read_outlines(path: Path, shape: tuple[int, int]) -> tuple[NDArray[np.int32], tuple[Area, ...]]:
    """Draw the outlines of a file; where nuclei overlap the smaller one is in front.

    Of QuPath cells the nucleus counts. An annotation of QuPath is no nucleus but a region whose nuclei are annotated if
    its class is one of regions; beside cells or detections also if it holds one or is much larger than any; beside
    annotations alone if it holds two or more. Lines, points, text and the class Ignore* are left out.

    Parameters
    ----------
    path : Path
        A FeatureCollection or list of features (``.geojson``), a ROI (``.roi``) or a set of ROIs (``.zip``).
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    labels : ndarray
        int32 H×W, 0 is background. Ids are the names where all of these are numbers, else 1, 2, … in the file's order.
    regions : tuple of Area
        Outlines of the regions, their holes filled. Without any the whole image counts as annotated.

    Raises
    ------
    DataError
        The file cannot be read, or holds no outlines but other things, outlines of several planes of a stack, or some
        that lie outside the image.
    """
    return draw_plane(path, read_objects(path), shape)


def draw_plane(
    path: Path, outlines: Sequence[Outline], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], tuple[Area, ...]]:
    """Draw outlines of one plane, read from a file; as of `read_outlines`."""
    planes = len({each.where for each in outlines})
    if planes > 1:
        what = "objects" if path.suffix.lower() == ".geojson" else "ROIs"
        raise DataError(f"{path}: {what} of {planes} planes of a stack; save those of one plane as a file of its own")
    sheet, labels = _Sheet(path, outlines, shape), np.zeros(shape, np.int32)
    sheet.paint(labels, _ids([sheet.names])[0])
    return labels, sheet.regions


def draw_planes(
    path: Path, outlines: Sequence[Outline], shape: tuple[int, ...], place: Place, here: Spot | None = None
) -> NDArray[np.int32]:
    """Draw outlines of a stack, read from a file, each on its plane; regions are left out.

    Parameters
    ----------
    path : Path
        The file.
    outlines : sequence of Outline
        Of `read_objects`.
    shape : tuple of int
        Of the labels.
    place : Place
        Where they lie: all of the stack.
    here : Spot, optional
        The plane of outlines that name none.

    Returns
    -------
    ndarray
        int32 of `shape`. Ids are the names where all are numbers, the same on several planes, else 1, 2, …

    Raises
    ------
    DataError
        Outlines lie outside the image or on planes that it does not have, or name none and there is no `here`.
    """
    nowhere = sum(each.where is None for each in outlines)
    if nowhere and here is None:
        raise DataError(f"{path}: {nowhere} of {len(outlines)} outlines name no plane; draw each on its plane")
    planes: dict[Spot, list[Outline]] = {}
    for each in outlines:
        spot = (each.where or Where()).spot(here or Spot(0, 0), place.count)
        planes.setdefault(spot, []).append(each)
    indices = {spot: index for index, spot in place.planes(shape)}
    if missing := planes.keys() - indices.keys():
        given = " and ".join(f"z={z} t={t}" for z, t in sorted(missing)[:3])
        raise DataError(
            f"{path}: outlines on plane {given}, but the image has z=0 to {place.count.z - 1}, t=0 to"
            f" {place.count.t - 1}; give the stack on which they were drawn"
        )
    sheets = {spot: _Sheet(path, found, place.size) for spot, found in planes.items()}
    labels = np.zeros(shape, np.int32)
    for (spot, sheet), ids in zip(sheets.items(), _ids([sheet.names for sheet in sheets.values()]), strict=True):
        sheet.paint(labels[indices[spot]], ids)
    return labels


class _Sheet:
    """The outlines of one plane, H×W = `shape`: which are nuclei, and which regions."""

    def __init__(self, path: Path, outlines: Sequence[Outline], shape: tuple[int, int]) -> None:
        _check_places(path, outlines, shape)
        self._drawn = [_draw(outline.rings, shape) for outline in outlines]
        self._areas = np.array([each.area for each in self._drawn], int)
        regions = _regions(outlines, self._drawn, self._areas)
        self._nuclei = [number for number in range(len(outlines)) if number not in regions]
        self.names = [outlines[number].name for number in self._nuclei]
        self.regions = tuple(area for number in sorted(regions) for area in map(_area, outlines[number].outer))

    def paint(self, labels: NDArray[np.int32], ids: Sequence[int]) -> None:
        """Paint the nuclei into labels, the smaller ones last."""
        for number, label in sorted(zip(self._nuclei, ids, strict=True), key=lambda each: -self._areas[each[0]]):
            top, left, mask = self._drawn[number]
            labels[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = label


def _draw(rings: Rings, shape: tuple[int, int]) -> _Drawn:
    """Return the pixels of `shape` whose centres an odd number of rings hold."""
    corners = np.concatenate(rings)[:, ::-1]
    start = np.clip(np.floor(corners.min(0)), 0, shape).astype(int)
    stop = np.clip(np.ceil(corners.max(0)), 0, shape).astype(int)
    inside = np.zeros(stop - start, bool)
    for ring in rings:
        rows, columns = polygon(ring[:, 1] - 0.5 - start[0], ring[:, 0] - 0.5 - start[1], inside.shape)
        inside[rows, columns] ^= True
    return _Drawn(int(start[0]), int(start[1]), inside)


def _check_places(path: Path, outlines: Sequence[Outline], shape: tuple[int, int]) -> None:
    """Raise DataError if some outlines lie outside the image altogether: they are of another one."""
    corners = [np.concatenate(outline.rings) for outline in outlines]
    size = np.array(shape[::-1])
    outside = sum(bool((each.max(0) <= 0).any() or (each.min(0) >= size).any()) for each in corners)
    if outside:
        raise DataError(
            f"{path}: {outside} of {len(corners)} outlines lie outside the image of {shape[0]}×{shape[1]} pixels"
            " (height×width); give the image on which they were drawn, at its full resolution"
        )


def _regions(outlines: Sequence[Outline], drawn: Sequence[_Drawn], areas: NDArray[np.int_]) -> set[int]:
    """Return which of the outlines are regions."""
    candidates = [number for number, each in enumerate(outlines) if each.outer]
    others = np.delete(areas, candidates)
    fewest, largest = (1, MUCH_LARGER * int(others.max())) if len(others) else (2, int(areas.sum()))
    sizes = areas[areas > 0]
    places = np.array([each.middle() for each, area in zip(drawn, areas, strict=True) if area], int).reshape(-1, 2)

    def held(number: int) -> int:
        """Count the smaller objects whose middle lies in it."""
        top, left, mask = drawn[number]
        near = places[sizes < areas[number]] - (top, left)
        near = near[((near >= 0) & (near < mask.shape)).all(1)]
        return int(np.count_nonzero(mask[tuple(near.T)]))

    return {n for n in candidates if outlines[n].is_region or areas[n] > largest or held(n) >= fewest}


def _area(ring: NDArray[np.float64]) -> Area:
    """Return a region's outline with whole numbers at the centres of pixels, y before x."""
    closed = bool((ring[0] == ring[-1]).all())
    return Area(corners=tuple((y - 0.5, x - 0.5) for x, y in ring[: len(ring) - closed].tolist()))


def _ids(planes: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the names on each plane as numbers if all are, and each is one of its own there, else from 1 on."""
    if all(_are_ids(names) for names in planes):
        return [[int(name) for name in names] for names in planes]
    number = count(1)
    return [[next(number) for _ in names] for names in planes]


def _are_ids(names: Sequence[str]) -> bool:
    numbers = {int(name) for name in names if name.isdecimal()}
    return len(numbers) == len(names) and all(0 < number <= MOST_ID for number in numbers)
