"""Files of outlines: QuPath's GeoJSON, ImageJ's ROIs and sets of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.sources import DataError, read_json
from napari_pffnet.io.place import Spot

#: QuPath's objects that are no nuclei, whatever their outline
OTHERS = ("tile", "tmacore", "tma_core", "root")
#: begins the names of QuPath's class of regions
REGION = "Region"
#: what QuPath leaves aside
IGNORED = "Ignore*"
DAMAGED = (ValueError, TypeError, KeyError, AttributeError, IndexError)
UNREADABLE = (BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, IndexError, struct.error, zlib.error)

Rings = list[NDArray[np.float64]]


class Where(NamedTuple):
    """Which plane of a stack a file names, counted from 0: along z and t (None: it does not say), or through all."""

    z: int | None = None
    t: int | None = None
    number: int | None = None

    def spot(self, here: Spot, count: Spot) -> Spot:
        """Return the plane of a stack of `count` planes; `here` where the file does not say."""
        if self.number is not None:
            t, z = divmod(self.number, count.z) if count.t > 1 else (0, self.number)
            return Spot(z, t)
        return Spot(here.z if self.z is None else self.z, here.t if self.t is None else self.t)


class Outline(NamedTuple):
    """An object.

    `rings` are N×2, x before y; a point is inside if an odd number of them hold it. Of what may be a region `outer` are
    those that are no edges of holes; `is_region` if it is one for certain; `where` is its plane, if the file names one.
    """

    name: str
    rings: Rings
    outer: Rings
    is_region: bool = False
    where: Where | None = None


def read_geojson(path: Path) -> list[Outline]:
    """Read objects of QuPath; DataError if the file is damaged or has no areas.

    Where some name their plane, those that do not are on the first, which QuPath leaves out.
    """
    content = read_json(path)
    features = content.get("features", [content]) if isinstance(content, dict) else content
    if not isinstance(features, list) or not all(isinstance(each, dict) and "geometry" in each for each in features):
        raise DataError(f"{path}: no GeoJSON of objects; export objects from QuPath as a FeatureCollection")
    outlines, others = list[Outline](), 0
    for number, feature in enumerate(features, start=1):
        facts, geometry = feature.get("properties") or {}, feature.get("nucleusGeometry") or feature["geometry"]
        try:
            kind, name, class_name = _kind(feature), str(facts.get("name", "")), _class_name(facts)
            pieces = _pieces(geometry) if geometry else []
            where = _where(geometry)
        except DAMAGED:
            raise DataError(f"{path}: object {number} has a damaged outline; export it again") from None
        if not pieces or kind in OTHERS or class_name == IGNORED:
            others += 1
            continue
        outer = [rings[0] for rings in pieces] if kind == "annotation" else []
        is_region = bool(outer) and class_name.startswith(REGION)
        rings = [ring for each in pieces for ring in each]
        outlines.append(Outline(name, rings, outer, is_region, where))
    _check_kept(path, "objects", len(outlines), others)
    if any(each.where for each in outlines):
        return [each._replace(where=each.where or Where(0, 0)) for each in outlines]
    return outlines


def _where(geometry: dict[str, Any] | None) -> Where | None:
    plane = (geometry or {}).get("plane")
    return Where(int(plane.get("z", 0)), int(plane.get("t", 0))) if plane else None


def _class_name(facts: dict[str, Any]) -> str:
    """Return the class of an object; other programs write it as a text."""
    classification = facts.get("classification") or {}
    return classification if isinstance(classification, str) else str(classification.get("name", ""))


def _kind(feature: dict[str, Any]) -> str:
    """Return what QuPath calls an object, as it does since version 0.4: annotation, detection, cell."""
    facts = feature.get("properties") or {}
    former = str(feature.get("id", "")) if str(feature.get("id", "")).startswith("Path") else "annotation"
    kind = str(facts.get("objectType") or facts.get("object_type") or former).lower()
    return kind.removeprefix("path").removesuffix("object")


def _check_kept(path: Path, what: str, kept: int, others: int) -> None:
    if others and not kept:
        raise DataError(f"{path}: {others} {what}, but none of them is an area; draw nuclei as closed outlines")


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


def read_rois(path: Path) -> list[Outline]:
    """Read a ROI of ImageJ or a set of them; DataError as of `read_geojson`."""
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
    _check_kept(path, "ROIs", len(kept), len(rois) - len(kept))
    places = [_position(roi.position, roi.z_position, roi.t_position) for roi in kept]
    names = _whole_names([roi.name for roi in kept], places)
    pieces: dict[tuple[str, Where | None], Rings] = {}
    for key, rings in zip(zip(names, places, strict=True), corners, strict=True):
        pieces.setdefault(key, []).extend(rings)
    return [Outline(name, rings, [], where=where) for (name, where), rings in pieces.items()]


def _position(number: int, z: int, t: int) -> Where | None:
    """Return the plane of a ROI; its numbers count from 1, 0 is none."""
    if z > 0 or t > 0:
        return Where(z - 1 if z > 0 else None, t - 1 if t > 0 else None)
    return Where(number=number - 1) if number > 0 else None


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


def _whole_names(names: Sequence[str], places: Sequence[Where | None]) -> list[str]:
    """Return the names, for pieces as this program writes them (12, 12-2, 12-3) that of the first.

    On each plane each name occurs but once. ImageJ numbers ROIs of one name from 1 on: 12, 12-1 are two.
    """
    keys = list(zip(names, places, strict=True))
    known, counts = set(keys), dict[tuple[str, Where | None], int]()
    result = []
    for name, where in keys:
        base, _, piece = name.rpartition("-")
        former = base if piece == "2" else f"{base}-{int(piece) - 1}" if piece.isdecimal() else ""
        there = [(each, where) in known for each in (base, former, f"{base}-1")]
        if base.isdecimal() and there == [True, True, False] and piece != "1":
            result.append(base)
            continue
        count = counts[name, where] = counts.get((name, where), 0) + 1
        result.append(name if count == 1 else f"{name} ({count})")
    return result
