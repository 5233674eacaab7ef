"""Taking image files into a project."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_pffnet.curate.work import Annotation, Work
from napari_pffnet.data.folder import LABEL_ENDS, image_of, of_all_planes
from napari_pffnet.data.other_files import holds_annotation, image_name
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.errors import reason
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.io.images import SUFFIXES, ImageError, name_axes, read_image, to_plane
from napari_pffnet.io.paths import portable, relative
from napari_pffnet.io.project import ImageEntry, LayerPlace, Manifest, ProjectError, annotation_file
from napari_pffnet.io.regions import Area, Regions, regions_bytes
from napari_pffnet.io.tiff import Sizes, label_tiff, tiff

KINDS = ("labels", "semantic")
#: what stands beside NAME.* and belongs to it, by the end of its name
BESIDE = {**dict.fromkeys(LABEL_ENDS, "labels"), "_semantic": "semantic", "_overlay": ""}
#: folders beside ``images``, and what they hold
FOLDERS = {"labels": "labels", "masks": "labels", "semantic": "semantic"}


class FoundImage(NamedTuple):
    """An image file, and the files of its annotation, if there are any."""

    image: Path
    labels: Path | None = None
    semantic: Path | None = None


@dataclass(frozen=True)
class NewImage:
    """An image that is in no file, and what is annotated on it.

    Attributes
    ----------
    name : str
        Wanted; changed where files cannot be named so, or another image is.
    read : callable
        Returns the pixels, H×W or H×W×3.
    pixel_size : float or mapping, optional
        µm, of square pixels or along X and Y.
    place : LayerPlace, optional
        Where its layer lies.
    annotation : callable, optional
        Returns its nuclei.
    areas : tuple of Area
        Where it is complete, if that is known.
    stack : str, optional
        Of a slice, the name of the stack.
    """

    name: str
    read: Callable[[], np.ndarray[Any, Any]]
    pixel_size: Sizes = None
    place: LayerPlace | None = None
    annotation: Callable[[], Annotation] | None = None
    areas: tuple[Area, ...] = ()
    stack: str | None = None


def find_images(paths: Iterable[str | Path]) -> tuple[list[FoundImage], list[str]]:
    """Return the image files among the paths and in the folders among them, and what is neither.

    Labels are not images but the annotation of one, chosen too or not: ``labels/NAME.*`` of ``images/NAME.*``
    (``masks``, ``semantic`` too), and files beside ``NAME.*`` as of `BESIDE`; or of that name one of
    `data.other_files`.
    """
    files: list[Path] = []
    problems: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            files += found
            problems += [] if found else [f"{path}: no image in this folder; expected {', '.join(SUFFIXES)}"]
        else:
            files.append(path)
    files = list(dict.fromkeys(files))
    pictures = [file for file in files if not holds_annotation(file)]
    images = {(file.parent, file.stem.removesuffix(".ome")): file for file in pictures}
    images |= {(file.parent, file.stem): file for file in pictures}
    near = dict.fromkeys([*files, *_near(files)])
    owners = {file: owner for file in near if (owner := _owner(file, images))}
    annotation: dict[Path, dict[str, Path]] = {}
    for file, (image, kind) in sorted(owners.items(), key=lambda item: _rank(item[0])):
        annotation.setdefault(image, {}).setdefault(kind, file)
    own = [(file, annotation.get(file, {})) for file in files if file not in owners]
    alone = [file for file, _ in own if holds_annotation(file)]
    problems += [f"{file}: annotation without its image; choose its image, of the same name, too" for file in alone]
    strays = _strays([file for file, _ in own if not holds_annotation(file)], {folder for folder, _ in images})
    problems += [_tell_strays(folder, names) for folder, names in strays.items()]
    own = [(file, parts) for file, parts in own if not holds_annotation(file) and file.parent not in strays]
    return [FoundImage(file, parts.get("labels"), parts.get("semantic")) for file, parts in own], problems


def _near(files: Sequence[Path]) -> list[Path]:
    """Return the images and outlines that lie where annotation of some images may lie."""
    folders = {file.parent for file in files}
    folders |= {folder.with_name(kind) for folder in folders if folder.name == "images" for kind in FOLDERS}
    there = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return [file for file in there if file.suffix.lower() in SUFFIXES or holds_annotation(file)]


def _rank(file: Path) -> int:
    """Of several labels of one image those come first whose name is listed first in `BESIDE`, no images last."""
    if holds_annotation(file):
        return len(BESIDE)
    return next((rank for rank, end in enumerate(BESIDE) if file.stem.endswith(end)), 0)


def _owner(file: Path, known: Mapping[tuple[Path, str], Path]) -> tuple[Path, str] | None:
    """Return the image whose annotation a file is, and of which kind; None of an image."""
    name = image_name(file) if holds_annotation(file) else file.stem.removesuffix(".ome")
    if file.parent.name in FOLDERS:
        images = file.parent.with_name("images")
        image = known.get((images, name)) or known.get((images, image_of(name)))
        return (image, FOLDERS[file.parent.name]) if image else None
    if holds_annotation(file):
        image = known.get((file.parent, name))
        return (image, "labels") if image else None
    for end, kind in BESIDE.items():
        if not file.stem.endswith(end):
            continue
        name = file.stem.removesuffix(end)
        if image := known.get((file.parent, name)):
            return image, kind
        if image := known.get((file.parent, of_all_planes(name))):
            return image, ""  # of one plane: perhaps another one than that which is taken
    return None


def _strays(files: Sequence[Path], folders: Collection[Path]) -> dict[Path, list[str]]:
    """Return names of files that lie where annotation of images in `folders` lies, but are of none, by folder."""
    found: dict[Path, list[str]] = {}
    for file in files:
        if file.parent.name in FOLDERS and file.parent.with_name("images") in folders:
            found.setdefault(file.parent, []).append(file.name)
    return found


def _tell_strays(folder: Path, names: Sequence[str]) -> str:
    return (
        f"{folder}: of {', '.join(names[:3])}{' …' if len(names) > 3 else ''} no image of that name is in"
        f" {folder.with_name('images')}; the label image of NAME.tif is NAME.tif or NAME_labels.tif, one id per nucleus"
    )


class Intake:
    """Reads, names and places images.

    Parameters
    ----------
    folder : Path
        The project's.
    manifest : Manifest
        What it has already; a file with the same content is not taken again.
    copy : bool
        Copy the files into ``images/``.

    Attributes
    ----------
    entries, notes, problems : list
        New images; facts to tell; one line for each file that was left out.
    annotated : int
        Images that came with labels.
    """

    def __init__(self, folder: Path, manifest: Manifest, copy: bool) -> None:
        self.folder, self.copy = folder, copy
        self.entries: list[ImageEntry] = []
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.annotated = 0
        self._files: dict[str, list[Path]] = {}
        for file in (folder / "images").glob("*"):
            self._files.setdefault(file.stem.casefold(), []).append(file)
        self._names = {entry.name.casefold() for entry in manifest.images}
        self._known = {entry.sha256: entry.name for entry in manifest.images}

    def take(self, found: FoundImage) -> None:
        """Take one file, if it can be read, and its annotation, if that fits."""
        file = found.image
        try:
            array, axes, _ = read_image(file)
            choice = _choice(array.shape, axes)
            pixels = to_plane(array, axes, **choice)
            digest = fingerprint(file)
            if digest in self._known:
                labels = f"; open it, then drop {found.labels.name} onto napari" if found.labels else ""
                self.problems.append(f"{file}: is in the project already, as '{self._known[digest]}'{labels}")
                return
            if found.labels and holds_annotation(found.labels) and choice["plane"] is not None:
                self.notes.append(
                    f"{found.labels}: one plane of a stack is taken, perhaps another; {file.name} is added without it"
                )
                found = found._replace(labels=None)
            name = self._place(file, digest, choice)
            self._annotate(name, found, (pixels.shape[0], pixels.shape[1]))
        except (ImageError, OSError) as error:
            text = str(error)
            self.problems.append(text if str(file) in text else f"{file}: {text}")
            return
        told = [f"{key} {index}" for key, index in choice.items() if index is not None]
        if told:
            self.notes.append(f"{file.name}: {' and '.join(told)} (counted from 0) of the file is used")

    def take_pixels(self, image: NewImage) -> None:
        """Write an image and its annotation; one that the project has of it already stays.

        Raises
        ------
        ProjectError
            The project has the image already.
        ValueError, OSError
            It cannot be read or written.
        """
        pixels = image.read()
        content = tiff(pixels, image.pixel_size)
        digest = hashlib.sha256(content).hexdigest()
        if digest in self._known and image.stack and pixels.min() == pixels.max():
            raise ProjectError(f"'{image.name}' is blank, as '{self._known[digest]}' is; it is left out")
        if digest in self._known:
            raise ProjectError(f"'{image.name}' is in the project already, as '{self._known[digest]}'; open that one")
        file = self.folder / "images" / f"{self._free(_clean(image.name), digest)}.tif"
        file.parent.mkdir(exist_ok=True)
        write_atomic(file, content)
        self._list(file.stem, file, digest, {"place": image.place, "stack": image.stack})
        if image.annotation is not None:
            self._keep(file.stem, image.annotation(), (pixels.shape[0], pixels.shape[1]))
        self._mark(file.stem, image.areas)

    def _keep(self, name: str, annotation: Annotation, shape: tuple[int, int]) -> None:
        """Save nuclei as the annotation of the image that was listed last."""
        if self._has_annotation(name):
            self.notes.append(f"{name}: the project has an annotation of it, which stays; the nuclei are not taken")
            return
        work = Work.open(self.folder, name, shape)
        work.save(annotation)
        work.close()
        self._is_in_work()

    def _annotate(self, name: str, found: FoundImage, shape: tuple[int, int]) -> None:
        """Write what was found as the annotation of a new image; one that the project has already stays."""
        from napari_pffnet.data.annotation import read_annotation, read_semantic
        from napari_pffnet.data.sources import DataError

        there = self._has_annotation(name)
        parts: dict[str, bytes] = {}
        regions: tuple[Area, ...] = ()
        for kind, file in (("labels", found.labels), ("semantic", found.semantic)):
            if file is None or there:
                continue
            try:
                if kind == "labels":
                    labels, regions = read_annotation(file, shape)
                    parts[kind] = label_tiff(labels)
                else:
                    parts[kind] = tiff(read_semantic(file, shape, "labels" in parts))
                target = annotation_file(self.folder, kind, name)
                target.parent.mkdir(exist_ok=True)
                write_atomic(target, parts[kind], replace=False)
            except (DataError, OSError) as error:
                parts.pop(kind, None)
                self.notes.append(f"{reason(error)}; {found.image.name} is added without it")
        if "labels" in parts:
            self._mark(name, regions)
            self._is_in_work()
            self.annotated += 1

    def _has_annotation(self, name: str) -> bool:
        return any(annotation_file(self.folder, kind, name).exists() for kind in KINDS)

    def _is_in_work(self) -> None:
        """Note that the image that was listed last has nuclei."""
        self.entries[-1] = self.entries[-1].model_copy(update={"state": "in work"})

    def _mark(self, name: str, regions: tuple[Area, ...]) -> None:
        """Note that an image is complete in these regions, if there are any and nobody has said where it is."""
        target = annotation_file(self.folder, "regions", name)
        if regions and not target.exists():
            target.parent.mkdir(exist_ok=True)
            write_atomic(target, regions_bytes(Regions(areas=regions)), replace=False)

    def _place(self, file: Path, digest: str, choice: dict[str, int | None]) -> str:
        images = self.folder / "images"
        name = self._free(portable(file.stem) or "image", digest)
        if not self.copy or file.absolute().is_relative_to(images):
            elsewhere = None if file.absolute().is_relative_to(self.folder) else str(file.absolute())
            self._list(name, file.absolute(), digest, choice, elsewhere)
            return name
        place = images / f"{name}{file.suffix}"
        images.mkdir(exist_ok=True)
        write_atomic(place, lambda temporary: shutil.copyfile(file, temporary))
        self._list(name, place, digest, choice)
        return name

    def _list(self, name: str, file: Path, digest: str, facts: Mapping[str, Any], elsewhere: str | None = None) -> None:
        path = relative(file, self.folder)
        size = file.stat().st_size
        self.entries.append(ImageEntry(name=name, path=path, elsewhere=elsewhere, size=size, sha256=digest, **facts))
        self._names.add(name.casefold())
        self._known[digest] = name

    def _free(self, stem: str, digest: str) -> str:
        """Return a name that no image of the project has, on file systems that do not tell A from a too.

        Nor may another image lie in ``images/`` under that name: it and its annotation are only not listed any more.
        """
        names = chain((stem,), (f"{stem}_{number}" for number in count(2)))
        unlisted = (name for name in names if name.casefold() not in self._names)
        mine = ((name, self._files.get(name.casefold(), ())) for name in unlisted)
        return next(name for name, files in mine if all(fingerprint(file) == digest for file in files))


def _choice(shape: Sequence[int], axes: str) -> dict[str, int | None]:
    """Choose the first channel and the middle plane where there are several."""
    axes = name_axes(tuple(shape), axes)
    long = [(axis, size) for axis, size in zip(axes, shape, strict=True) if axis not in "YXS" and size > 1]
    planes = prod(size for axis, size in long if axis != "C")
    return {"channel": 0 if "C" in dict(long) else None, "plane": planes // 2 if planes > 1 else None}


def _clean(name: str) -> str:
    """Return a name that every file system takes."""
    kept = "".join(c if c.isalnum() or c in " ._-()[]" else "_" for c in name).strip(" .")
    return portable(kept) or "image"
