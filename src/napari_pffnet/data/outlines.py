"""Outlines drawn in other programs as labels: QuPath's GeoJSON, ImageJ's ROIs and sets of them.

Coordinates count from the upper left corner of the image, as in both programs: the pixel in row y, column x covers x to
x + 1 and y to y + 1, and belongs to an outline that holds its centre.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from napari_pffnet.data.sources import DataError
from napari_pffnet.io.regions import Area

SUFFIXES = (".geojson", ".roi", ".zip")
#: QuPath's objects that are no nuclei, whatever their outline
OTHERS = ("tile", "tmacore", "tma_core", "root")
#: begins the names of QuPath's class of regions
REGION = "Region"
DAMAGED = (ValueError, TypeError, KeyError, AttributeError, IndexError)
UNREADABLE = (BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, IndexError, struct.error, zlib.error)
MUCH_LARGER = 8
MOST_ID = 2**31 - 1

Rings = list[NDArray[np.float64]]


class Outline(NamedTuple):
    """An object.

    `rings` are N×2, x before y; a point is inside if an odd number of them hold it. Of what may be a region `outer` are
    those that are no edges of holes; `is_region` if it is one for certain.
    """

    name: str
    rings: Rings
    outer: Rings
    is_region: bool = False


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

    Of QuPath cells the nucleus counts. An annotation of QuPath is no nucleus but a region whose nuclei are annotated if
    its class is one of regions; beside cells or detections also if it holds one or is much larger than any; beside
    annotations alone if it holds two or more. Lines, points and text are left out.

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
    found = _read_geojson(path) if path.suffix.lower() == ".geojson" else _read_rois(path)
    _check_places(path, found, shape)
    drawn = [_draw(outline.rings, shape) for outline in found]
    areas = np.array([each.area for each in drawn], int)
    regions = _regions(found, drawn, areas)
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
    outlines, others, planes = [], 0, set()
    for number, feature in enumerate(features, start=1):
        kind, geometry = _kind(feature), feature.get("nucleusGeometry") or feature["geometry"]
        try:
            pieces = _pieces(geometry) if geometry else []
            plane = (geometry or {}).get("plane") or {}
        except DAMAGED:
            raise DataError(f"{path}: object {number} has a damaged outline; export it again") from None
        if not pieces or kind in OTHERS:
            others += 1
            continue
        planes.add((plane.get("z", 0), plane.get("t", 0)))
        facts = feature.get("properties") or {}
        outer = [rings[0] for rings in pieces] if kind == "annotation" else []
        is_region = bool(outer) and str((facts.get("classification") or {}).get("name", "")).startswith(REGION)
        rings = [ring for each in pieces for ring in each]
        outlines.append(Outline(str(facts.get("name", "")), rings, outer, is_region))
    _check_kept(path, "objects", len(outlines), others, len(planes))
    return outlines


def _kind(feature: dict[str, Any]) -> str:
    """Return what QuPath calls an object, as it does since version 0.4: annotation, detection, cell."""
    facts = feature.get("properties") or {}
    former = str(feature.get("id", "")) if str(feature.get("id", "")).startswith("Path") else "annotation"
    kind = str(facts.get("objectType") or facts.get("object_type") or former).lower()
    return kind.removeprefix("path").removesuffix("object")


def _check_kept(path: Path, what: str, kept: int, others: int, planes: int) -> None:
    if others and not kept:
        raise DataError(f"{path}: {others} {what}, but none of them is an area; draw nuclei as closed outlines")
    if planes > 1:
        raise DataError(f"{path}: {what} of {planes} planes of a stack; save those of one plane as a file of its own")


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
    from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

    areas = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
    try:
        rois = [ImagejRoi.frombytes(content) for content in _contents(path)]
        kept = [
            roi for roi in rois if roi.roitype in areas and roi.subtype not in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE)
        ]
        corners = [[np.asarray(each, float).reshape(-1, 2) for each in roi.coordinates(multi=True)] for roi in kept]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UNREADABLE as error:
        raise DataError(f"{path}: no ROIs of ImageJ, or damaged ({error})") from None
    planes = {(roi.position, roi.z_position, roi.t_position) for roi in kept}
    _check_kept(path, "ROIs", len(kept), len(rois) - len(kept), len(planes))
    pieces: dict[str, Rings] = {}
    for name, rings in zip(_whole_names([roi.name for roi in kept]), corners, strict=True):
        pieces.setdefault(name, []).extend(rings)
    return [Outline(name, rings, []) for name, rings in pieces.items()]


def _contents(path: Path) -> Iterator[bytes]:
    """Yield a ROI file, or those in a set of them; ValueError if a set has other files only."""
    if path.suffix.lower() == ".roi":
        yield path.read_bytes()
        return
    with ZipFile(path) as file:
        names = [
            name for name in file.namelist() if not name.endswith("/") and "__MACOSX" not in PurePosixPath(name).parts
        ]
        rois = [
            name for name in names if name.lower().endswith(".roi") and not PurePosixPath(name).name.startswith("._")
        ]
        if names and not rois:
            raise ValueError(f"{len(names)} other files")
        for name in rois:
            yield file.read(name)


def _whole_names(names: Sequence[str]) -> list[str]:
    """Return the names, for pieces as this program writes them (12, 12-2, 12-3) that of the first; each but these once.

    ImageJ numbers ROIs of one name from 1 on: 12, 12-1 are two.
    """
    known, counts = set(names), dict[str, int]()
    result = []
    for name in names:
        base, _, piece = name.rpartition("-")
        former = base if piece == "2" else f"{base}-{int(piece) - 1}" if piece.isdecimal() else ""
        if base.isdecimal() and base in known and former in known and piece != "1" and f"{base}-1" not in known:
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


def _ids(names: Sequence[str]) -> list[int]:
    """Return the names as numbers if each is one of its own, else from 1 on."""
    numbers = [int(name) for name in names if name.isdecimal()]
    own = len(set(numbers)) == len(names) and all(0 < number <= MOST_ID for number in numbers)
    return numbers if own else list(range(1, len(names) + 1))
