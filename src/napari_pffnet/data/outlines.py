"""Outlines drawn in other programs as labels: QuPath's GeoJSON, ImageJ's ROIs and sets of them.

Coordinates count from the upper left corner of the image, as in both programs: the pixel in row y, column x covers x to
x + 1 and y to y + 1, and belongs to an outline that holds its centre.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from napari_pffnet.data.sources import DataError
from napari_pffnet.io.regions import Area

SUFFIXES = (".geojson", ".roi", ".zip")
#: QuPath's objects that are no nuclei, whatever their outline
OTHERS = ("tile", "tmaCore", "root")
MOST_ID = 2**31 - 1

Rings = list[NDArray[np.float64]]


class Outline(NamedTuple):
    """An object.

    `rings` are N×2, x before y; a point is inside if an odd number of them hold it. Of what may be a region `outer` are
    those that are no edges of holes.
    """

    name: str
    rings: Rings
    outer: Rings


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


def image_name(path: Path) -> str:
    """Return the name of the image whose outlines a file holds."""
    return path.stem.removesuffix("_rois")


def read_outlines(path: Path, shape: tuple[int, int]) -> tuple[NDArray[np.int32], tuple[Area, ...]]:
    """Draw the outlines of a file; where nuclei overlap the smaller one is in front.

    Of QuPath cells the nucleus counts. An annotation of QuPath that holds two other objects or more is no nucleus but a
    region whose nuclei are annotated. Lines and points are left out.

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
        The file cannot be read, holds no outline, or outlines that lie outside the image.
    """
    found = _read_geojson(path) if path.suffix.lower() == ".geojson" else _read_rois(path)
    _check_places(path, found, shape)
    drawn = [_draw(outline.rings, shape) for outline in found]
    areas = np.array([each.area for each in drawn], int)
    regions = _regions(drawn, areas, [number for number, each in enumerate(found) if each.outer])
    nuclei = [number for number in range(len(found)) if number not in regions]
    ids = dict(zip(nuclei, _ids([found[number].name for number in nuclei]), strict=True))
    labels = np.zeros(shape, np.int32)
    for number in sorted(nuclei, key=lambda number: -areas[number]):
        top, left, mask = drawn[number]
        labels[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = ids[number]
    return labels, tuple(area for number in sorted(regions) for area in map(_area, found[number].outer))


def _read_geojson(path: Path) -> list[Outline]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise DataError(f"{path}: damaged JSON ({error})") from None
    features = content.get("features", [content]) if isinstance(content, dict) else content
    if not isinstance(features, list) or not all(isinstance(each, dict) and "geometry" in each for each in features):
        raise DataError(f"{path}: no GeoJSON of objects; export objects from QuPath as a FeatureCollection")
    outlines, others = [], 0
    for number, feature in enumerate(features, start=1):
        facts = feature.get("properties") or {}
        kind = facts.get("objectType", "annotation")
        try:
            pieces = _pieces(feature.get("nucleusGeometry") or feature["geometry"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(f"{path}: object {number} has a damaged outline; export it again") from None
        if pieces and kind not in OTHERS:
            outer = [rings[0] for rings in pieces] if kind == "annotation" else []
            outlines.append(Outline(str(facts.get("name", "")), [ring for rings in pieces for ring in rings], outer))
        else:
            others += 1
    if others and not outlines:
        raise DataError(f"{path}: {others} objects, but none of them is an area; draw nuclei as closed outlines")
    return outlines


def _pieces(geometry: dict[str, Any]) -> list[Rings]:
    """Return the rings of each polygon of a GeoJSON geometry, the outer one first; none of one that is no area."""
    if geometry["type"] == "GeometryCollection":
        return [rings for each in geometry["geometries"] for rings in _pieces(each)]
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        return []
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    pieces = [[np.array([point[:2] for point in ring], float).reshape(-1, 2) for ring in each] for each in polygons]
    if not all(rings and all(map(_is_ring, rings)) for rings in pieces):
        raise ValueError("a polygon without rings, too few corners, or a coordinate that is not a number")
    return pieces


def _is_ring(corners: NDArray[np.float64]) -> bool:
    return len(corners) > 2 and bool(np.isfinite(corners).all())


def _read_rois(path: Path) -> list[Outline]:
    from roifile import ROI_TYPE, ImagejRoi, roiread

    areas = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
    try:
        read = roiread(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, BadZipFile, struct.error, IndexError) as error:
        raise DataError(f"{path}: no ROIs of ImageJ, or damaged ({error})") from None
    rois = [read] if isinstance(read, ImagejRoi) else read
    kept = [roi for roi in rois if roi.roitype in areas]
    if rois and not kept:
        raise DataError(f"{path}: {len(rois)} ROIs, but none of them is an area; draw nuclei as closed outlines")
    planes = {(roi.position, roi.z_position, roi.t_position) for roi in kept}
    if len(planes) > 1:
        raise DataError(f"{path}: ROIs of {len(planes)} planes of a stack; save those of one plane as a set of its own")
    pieces: dict[str, Rings] = {}
    for roi, name in zip(kept, _whole_names([roi.name for roi in kept]), strict=True):
        rings = [np.asarray(each, float).reshape(-1, 2) for each in roi.coordinates(multi=True)]
        pieces.setdefault(name, []).extend(rings)
    return [Outline(name, rings, []) for name, rings in pieces.items()]


def _whole_names(names: Sequence[str]) -> list[str]:
    """Return the names, for pieces (12-2) that of their nucleus (12), if there is one; different from each other."""
    known, counts = set(names), dict[str, int]()
    result = []
    for name in names:
        base, _, piece = name.rpartition("-")
        if base.isdecimal() and piece.isdecimal() and base in known:
            result.append(base)
            continue
        counts[name] = counts.get(name, 0) + 1
        result.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return result


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


def _regions(drawn: Sequence[_Drawn], areas: NDArray[np.int_], candidates: Sequence[int]) -> set[int]:
    """Return which of the candidates hold two other objects or more, all smaller than they are."""
    sizes = areas[areas > 0]
    places = np.array([each.middle() for each, area in zip(drawn, areas, strict=True) if area], int).reshape(-1, 2)
    regions = set()
    for number in candidates:
        top, left, mask = drawn[number]
        near = places[sizes < areas[number]] - (top, left)
        near = near[((near >= 0) & (near < mask.shape)).all(1)]
        if np.count_nonzero(mask[tuple(near.T)]) > 1:
            regions.add(number)
    return regions


def _area(ring: NDArray[np.float64]) -> Area:
    """Return a region's outline with whole numbers at the centres of pixels, y before x."""
    closed = bool((ring[0] == ring[-1]).all())
    return Area(corners=tuple((y - 0.5, x - 0.5) for x, y in ring[: len(ring) - closed].tolist()))


def _ids(names: Sequence[str]) -> list[int]:
    """Return the names as numbers if each is one of its own, else from 1 on."""
    numbers = [int(name) for name in names if name.isdecimal()]
    own = len(set(numbers)) == len(names) and all(0 < number <= MOST_ID for number in numbers)
    return numbers if own else list(range(1, len(names) + 1))
