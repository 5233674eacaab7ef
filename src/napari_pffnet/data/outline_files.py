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

#: QuPath's objects that are no nuclei, whatever their outline
OTHERS = ("tile", "tmacore", "tma_core", "root")
#: begins the names of QuPath's class of regions
REGION = "Region"
DAMAGED = (ValueError, TypeError, KeyError, AttributeError, IndexError)
UNREADABLE = (BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, IndexError, struct.error, zlib.error)

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


def read_geojson(path: Path) -> list[Outline]:
    """Read objects of QuPath; DataError if the file is damaged, has no areas, or those of several planes."""
    content = read_json(path)
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
