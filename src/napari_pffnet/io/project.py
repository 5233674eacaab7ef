"""``project.json``: the list of a project's images, and where their files are.

A project is a folder::

    project.json            this list
    images/                 copies of the images; others stay where they are and are listed with their place
    labels/NAME.tif         nuclei, one id each
    semantic/NAME.tif       0 background, 1 nucleus, 255 ignore
    regions/NAME.json       "complete here": where every nucleus is annotated
    provenance/NAME.csv     one row per nucleus
    journal/NAME/           the edits since, the state before, and what was predicted
    journal/project.before.json  the list before its last change
    calibration.json        what corrections have taught about the predicted fit
    project.lock            who has it open
    training/DATE/          runs of the step Train, each with its model, log and figures
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from napari_pffnet.config import ConfigError, Frozen, parse
from napari_pffnet.io.lazy import read_plane as read_file
from napari_pffnet.wording import repeated

PROJECT_FILE = "project.json"
VERSION = 1
RUNS = "training"
FOLDERS = {"labels": ".tif", "semantic": ".tif", "regions": ".json", "provenance": ".csv"}
State = Literal["new", "in work", "done"]


class ProjectError(ValueError):
    """Something is wrong with a project; the message names the file and the fix."""


def _no_path(name: str) -> str:
    if not name.strip(".") or Path(name).name != name:
        raise ValueError("a name is no path; give the name alone")
    return name


class LayerPlace(Frozen):
    """Where an image lay that was open in napari: arguments of a layer, along y and x."""

    scale: tuple[float, float]
    translate: tuple[float, float]
    rotate: tuple[tuple[float, float], tuple[float, float]]
    shear: tuple[float, ...]
    affine: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    units: tuple[str, str]
    axis_labels: tuple[str, str]


class ImageEntry(Frozen):
    """One image of a project."""

    name: Annotated[str, AfterValidator(_no_path)] = Field(
        description="names the files of its annotation; given once in a project"
    )
    state: State = "new"
    path: str = Field(description="the image, seen from the project's folder, with /")
    elsewhere: str | None = Field(
        default=None, description="of an image outside the project: its full path when it was added"
    )
    size: int = Field(description="of the image file, in bytes")
    sha256: str = Field(description="checksum of the image file")
    channel: int | None = Field(default=None, description="index along the channels")
    plane: int | None = Field(default=None, description="index along Z or time")
    place: LayerPlace | None = Field(default=None, description="of an image that was open in napari")
    stack: str | None = Field(default=None, description="of a slice of an image that was open in napari: that image")


class Manifest(Frozen):
    """Content of ``project.json``."""

    format: Literal["napari-pffnet project"] = "napari-pffnet project"
    version: int = VERSION
    images: tuple[ImageEntry, ...] = ()


def is_project(path: str | Path) -> bool:
    """Whether the folder holds a project."""
    return (Path(path) / PROJECT_FILE).is_file()


def read_manifest(file: Path) -> Manifest:
    """Read a ``project.json``.

    Raises
    ------
    ProjectError
        It cannot be read, is damaged, or was written by a newer version.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError(f"{file}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ProjectError(f"{file}: damaged ({error}); correct that place, or put back a copy") from None
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ProjectError(f"{file}: made by a newer version of napari-pffnet (format {version}); update the plugin")
    try:
        manifest = parse(Manifest, content, str(file))
    except ConfigError as error:
        raise ProjectError(f"{error}; correct it, or put back a copy") from None
    double = repeated(entry.name.casefold() for entry in manifest.images)
    if double:
        raise ProjectError(f"{file}: lists {', '.join(double)} twice; remove one of the entries")
    return manifest


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the content of ``project.json``, for people to read."""
    content = manifest.model_dump()
    for entry in content["images"]:
        if entry["place"] is None:
            del entry["place"]
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def annotation_file(folder: Path, kind: str, name: str) -> Path:
    """Return the file of an image's annotation; `kind` is a key of `FOLDERS`."""
    return folder / kind / f"{name}{FOLDERS[kind]}"


def find_image(folder: Path, entry: ImageEntry) -> Path:
    """Return an image's file: where it is seen from the project, else at its former full path.

    Raises
    ------
    ProjectError
        It is at neither place.
    """
    places = [folder / entry.path, *([Path(entry.elsewhere)] if entry.elsewhere else [])]
    for place in places:
        if place.is_file():
            return place
    looked = " nor ".join(str(place) for place in places)
    raise ProjectError(
        f"image '{entry.name}' is not at {looked}; put it back, or correct its path in {folder / PROJECT_FILE}"
    )


def find_labels(folder: Path, entry: ImageEntry) -> Path | None:
    """Return the file of an image's nuclei; None if nobody has annotated any.

    Raises
    ------
    ProjectError
        The file is gone, though the provenance knows nuclei.
    """
    file, rows = (annotation_file(folder, kind, entry.name) for kind in ("labels", "provenance"))
    if file.is_file():
        return file
    try:
        known = len(rows.read_bytes().splitlines()) - 1
    except OSError:
        return None
    if known > 0:
        raise ProjectError(f"{file} is gone, with {known} nuclei; open the image in the panel, which restores it")
    return None


def read_plane(folder: Path, entry: ImageEntry) -> tuple[Any, Mapping[str, float]]:
    """Read an image's plane (H×W or H×W×3) and the sizes of its pixels in µm along X and Y, where they are known.

    Raises
    ------
    ProjectError, ImageError
        The image is missing, or cannot be read.
    """
    return read_file(find_image(folder, entry), entry.channel, entry.plane)
