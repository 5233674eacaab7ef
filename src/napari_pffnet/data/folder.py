"""The plain folder layout: ``images/NAME.png``, ``labels/NAME.tif`` and, if wanted, ``semantic/NAME.png``.

Labels may be outlines, too: ``labels/NAME.geojson`` of QuPath, ``labels/NAME.zip`` or ``NAME_rois.zip`` of ImageJ; or
``labels/NAME_seg.npy`` of Cellpose.
Where they have regions, what lies outside of these is ignored, unless there is a semantic map. Label images may also be
named as other programs do, see `LABEL_ENDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from napari_pffnet.data.annotation import read_annotation, read_pixels, read_semantic
from napari_pffnet.data.other_files import holds_annotation, image_name
from napari_pffnet.data.project import within
from napari_pffnet.data.sources import DataError, Sample
from napari_pffnet.io.images import SUFFIXES
from napari_pffnet.io.regions import Regions

#: results of a segmentation, beside an image or its labels, by the end of their names
RESULTS = ("_labels", "_semantic", "_overlay")
#: ends of the names of NAME's label images: this program's, Cellpose's, others'
LABEL_ENDS = ("_labels", "_cp_masks", "_masks", "_mask", "_label", "_seg", "_stardist")


class FolderSource:
    """Annotated images in a folder; files belong together by their name without suffix.

    Parameters
    ----------
    path : str or Path
        Folder with ``images`` and ``labels``, optionally ``semantic``.

    Raises
    ------
    DataError
        There is no image at all.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._images = list_images(self.path / "images")
        self._labels = list_labels(self.path / "labels", self._images)
        self._semantic = list_images(self.path / "semantic")
        self._names = sorted(self._images.keys() & self._labels.keys())
        if not self._images:
            raise DataError(f"{self.path / 'images'}: no image; expected files that end in {', '.join(SUFFIXES)}")

    def __len__(self) -> int:
        """Return the number of images that have labels."""
        return len(self._names)

    def name(self, index: int) -> str:
        """Return the file name without suffix."""
        return self._names[index]

    def read(self, index: int) -> Sample:
        """Read an image, its labels and its semantic map if there is one."""
        name = self._names[index]
        image = read_pixels(self._images[name][0])
        shape = (image.shape[0], image.shape[1])
        labels, regions = read_annotation(self._labels[name][0], shape)
        semantic = None
        if name in self._semantic:
            semantic = read_semantic(self._semantic[name][0], shape, bool(labels.any()))
        elif regions:
            labels, semantic = within(labels, Regions(areas=regions).mask(shape), np.zeros(shape, bool))
        return Sample(name, image, labels, semantic)

    def faults(self) -> list[str]:
        """Name images and annotations without partner, and names that occur twice."""
        alone = [
            f"{files[0]}: no {other} of this name in {self.path / folder}; add it or remove this file"
            for mine, theirs, folder, other in (
                (self._images, self._labels, "labels", "label image"),
                (self._labels, self._images, "images", "image"),
                (self._semantic, self._images, "images", "image"),
            )
            for name, files in mine.items()
            if name not in theirs
        ]
        double = [
            f"{files[1]}: same name as {files[0].name}; remove one of them"
            for group in (self._images, self._labels, self._semantic)
            for files in group.values()
            if len(files) > 1
        ]
        return alone + double


def results_among(names: Collection[str]) -> set[str]:
    """Return which names (without suffix) are results of others among them: label images, semantic maps, overlays.

    Of ``NAME`` that has ``NAME_labels``, or, of a plane, ``NAME_plane5_labels``.
    """
    there = {*names}
    labels = {name for name in there if (image := image_of(name)) != name and {image, of_all_planes(image)} & there}
    return labels | {image_of(name) + end for name in labels for end in RESULTS[1:]}


def image_of(name: str) -> str:
    """Return the name of the image whose label image is named so: NAME of ``NAME_labels``, for one."""
    return name.removesuffix(next((end for end in LABEL_ENDS if name.endswith(end)), ""))


def of_all_planes(name: str) -> str:
    """Return the name of the stack whose plane a result is named after: NAME of ``NAME_plane5``."""
    return re.sub(r"_plane\d+$", "", name)


def list_images(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of a folder by name without suffix; hidden files and a missing folder count as none."""
    return _by_name(folder, lambda path: path.suffix.lower() in SUFFIXES, lambda path: path.stem)


def list_labels(folder: Path, images: Collection[str]) -> dict[str, list[Path]]:
    """Return the label images of a folder by the name of their image, of others their `other_files`."""
    files: dict[str, list[Path]] = {}
    known = {name.removesuffix(".ome"): name for name in images}
    for stem, paths in list_images(folder).items():
        if not any(stem.endswith(end) and stem.removesuffix(end) in images for end in RESULTS[1:]):
            names = (stem, stem.removesuffix(".ome"), image_of(stem), image_of(stem.removesuffix(".ome")))
            owner = next((known.get(name, name) for name in names if name in images or name in known), stem)
            files.setdefault(owner, []).extend(paths)
    drawn = _by_name(folder, holds_annotation, image_name)
    return files | {name: found for name, found in drawn.items() if name in images and name not in files}


def _by_name(folder: Path, wanted: Callable[[Path], bool], name: Callable[[Path], str]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if wanted(path) and not path.name.startswith(".") and not path.is_dir():
            files.setdefault(name(path), []).append(path)
    return files
