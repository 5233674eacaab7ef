"""Taking image files into a project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.images import SUFFIXES, ImageError, name_axes, read_image, to_plane
from napari_pffnet.io.project import ImageEntry, Manifest, checksum
from napari_pffnet.io.tiff import tiff


def image_files(paths: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the image files among the paths and in the folders among them, and what is neither."""
    files: list[Path] = []
    problems: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            files += found
            problems += [] if found else [f"{path}: no image in this folder; expected {', '.join(SUFFIXES)}"]
        else:
            files.append(path)
    return list(dict.fromkeys(files)), problems


class Intake:
    """Reads, names and places images.

    Parameters
    ----------
    folder : Path
        The project's.
    manifest : Manifest
        What it has already; an image with the same content and plane is not taken again.
    copy : bool
        Copy the files into ``images/``.

    Attributes
    ----------
    entries, notes, problems : list
        New images; facts to tell; one line for each file that was left out.
    """

    def __init__(self, folder: Path, manifest: Manifest, copy: bool) -> None:
        self.folder, self.copy = folder, copy
        self.entries: list[ImageEntry] = []
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._names = {entry.name.casefold() for entry in manifest.images}
        self._known = {entry.sha256: entry.name for entry in manifest.images}

    def take(self, file: Path) -> None:
        """Take one file, if it can be read."""
        try:
            array, axes, _ = read_image(file)
            choice = _choice(array.shape, axes)
            to_plane(array, axes, **choice)
            digest = checksum(file)
            if digest in self._known:
                self.problems.append(f"{file}: is in the project already, as '{self._known[digest]}'")
                return
            self._place(file, digest, choice)
        except (ImageError, OSError) as error:
            text = str(error)
            self.problems.append(text if str(file) in text else f"{file}: {text}")
            return
        told = [f"{key} {index + 1}" for key, index in choice.items() if index is not None]
        if told:
            self.notes.append(f"{file.name}: {' and '.join(told)} of the file is used")

    def take_pixels(self, name: str, pixels: np.ndarray[Any, Any], pixel_size: float | None = None) -> None:
        """Take an image from memory."""
        place = self.folder / "images" / f"{self._free(_clean(name))}.tif"
        place.parent.mkdir(exist_ok=True)
        write_atomic(place, tiff(pixels, pixel_size))
        self._list(place.stem, place, checksum(place), {}, None)

    def _place(self, file: Path, digest: str, choice: dict[str, int | None]) -> None:
        images = self.folder / "images"
        name = self._free(file.stem)
        if not self.copy or file.absolute().is_relative_to(images):
            elsewhere = None if file.absolute().is_relative_to(self.folder) else str(file.absolute())
            self._list(name, file.absolute(), digest, choice, elsewhere)
            return
        place = images / f"{name}{file.suffix}"
        images.mkdir(exist_ok=True)
        write_atomic(place, lambda temporary: shutil.copyfile(file, temporary))
        self._list(name, place, digest, choice, None)

    def _list(self, name: str, file: Path, digest: str, choice: dict[str, int | None], elsewhere: str | None) -> None:
        path = relative(file, self.folder)
        size = file.stat().st_size
        self.entries.append(ImageEntry(name=name, path=path, elsewhere=elsewhere, size=size, sha256=digest, **choice))
        self._names.add(name.casefold())
        self._known[digest] = name

    def _free(self, stem: str) -> str:
        """Return a name that no image of the project has, on file systems that do not tell A from a too."""
        names = (stem, *(f"{stem}_{number}" for number in range(2, len(self._names) + 3)))
        return next(name for name in names if name.casefold() not in self._names)


def relative(file: Path, folder: Path) -> str:
    """Return a path seen from a folder, with /; the full path where that cannot be (another drive)."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.as_posix()


def _choice(shape: Sequence[int], axes: str) -> dict[str, int | None]:
    """Choose the first channel and the middle plane where there are several."""
    axes = name_axes(tuple(shape), axes)
    long = [(axis, size) for axis, size in zip(axes, shape, strict=True) if axis not in "YXS" and size > 1]
    planes = prod(size for axis, size in long if axis != "C")
    return {"channel": 0 if "C" in dict(long) else None, "plane": planes // 2 if planes > 1 else None}


def _clean(name: str) -> str:
    """Return a name that every file system takes."""
    kept = "".join(c if c.isalnum() or c in " ._-()[]" else "_" for c in name).strip(" .")
    return kept or "image"
