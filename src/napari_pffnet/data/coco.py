"""COCO instance annotations: polygons or run lengths in one JSON file, with the images beside it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from napari_pffnet.data.annotation import read_pixels, read_semantic
from napari_pffnet.data.sources import DataError, Sample, read_json
from napari_pffnet.labels import IGNORE
from napari_pffnet.wording import dimensions

Annotation = dict[str, Any]
KEYS = (int, float, str)
KINDS: dict[str, type] = {"file_name": str}


class CocoSource:
    """Annotated images of a COCO file. Every category counts as nucleus; crowd regions are ignored by the losses.

    Images are looked for by `file_name` beside the JSON file, in ``images/`` and in the folder of the JSON file's name
    (for a file in ``annotations/`` also one level up). A PNG of the image's name in ``semantic/`` is its semantic map.
    Where nuclei overlap the smaller one is in front.

    Parameters
    ----------
    path : str or Path
        The JSON file.

    Raises
    ------
    DataError
        The file is not COCO JSON, or names no image, or planes of stacks as `io.export.Coco` writes them.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        content = _load(self.path)
        self._images: list[dict[str, Any]] = content["images"]
        self._names = _names([entry["file_name"] for entry in self._images])
        self._annotations: dict[Any, list[Annotation]] = defaultdict(list)
        for annotation in content["annotations"]:
            self._annotations[annotation["image_id"]].append(annotation)

    def __len__(self) -> int:
        """Return the number of images, those without nuclei included."""
        return len(self._images)

    def name(self, index: int) -> str:
        """Return the image's file name without suffix; with its folders' names before it where others have it too."""
        return self._names[index]

    def read(self, index: int) -> Sample:
        """Read an image and draw its annotations."""
        entry = self._images[index]
        file = self._find(entry["file_name"])
        image = read_pixels(file)
        shape = (image.shape[0], image.shape[1])
        declared = (entry.get("height", shape[0]), entry.get("width", shape[1]))
        if declared != shape:
            raise DataError(
                f"{file}: the image is {dimensions(shape)} but {self.path.name} says {dimensions(declared)}"
                " (height×width); annotate the image at its own size"
            )
        labels, crowd = self._draw(entry, shape)
        semantic = self._semantic(entry, shape, bool(labels.any()))
        if semantic is None and crowd.any():
            semantic = (labels > 0).astype(np.uint8)
        if semantic is not None:
            semantic[crowd & (labels == 0)] = IGNORE
        return Sample(self.name(index), image, labels, semantic)

    def faults(self) -> list[str]:
        """Name annotations of images that the file does not list, and images listed twice."""
        ids = Counter(entry["id"] for entry in self._images)
        lost = [
            f"{self.path}: image_id {key} of {len(found)} annotations is not in 'images'; add the image or remove them"
            for key, found in self._annotations.items()
            if key not in ids
        ]
        double = [
            f"{self.path}: image id {key} occurs {n} times; give each image its own" for key, n in ids.items() if n > 1
        ]
        same = [
            f"{self.path}: {n} images are named {name}; give each file its own name"
            for name, n in Counter(self._names).items()
            if n > 1
        ]
        return lost + double + same

    def _folders(self) -> list[Path]:
        return (
            [self.path.parent, self.path.parent.parent]
            if self.path.parent.name == "annotations"
            else [self.path.parent]
        )

    def _find(self, file_name: str) -> Path:
        stem = self.path.stem.removeprefix("instances_")
        places = [folder / part for folder in self._folders() for part in ("", "images", stem)]
        for place in places:
            if (place / file_name).is_file():
                return place / file_name
        looked = ", ".join(str(place) for place in places)
        raise DataError(f"{self.path}: image {file_name} not found in {looked}; put it there or correct file_name")

    def _semantic(self, entry: dict[str, Any], shape: tuple[int, int], nuclei: bool) -> NDArray[np.uint8] | None:
        beside = Path(entry["file_name"]).with_suffix(".png")
        names = [beside] if len(beside.parts) > 1 and not beside.is_absolute() else []
        names += [Path(beside.name)] if beside.stem in self._names else []
        for file in (folder / "semantic" / name for folder in self._folders() for name in names):
            if file.is_file():
                return read_semantic(file, shape, nuclei)
        return None

    def _draw(self, entry: dict[str, Any], shape: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return labels (ids in the order of the file) and the crowd regions."""
        labels, crowd = np.zeros(shape, np.int32), np.zeros(shape, bool)
        objects, faults = [], []
        for number, annotation in enumerate(self._annotations[entry["id"]], start=1):
            try:
                runs = encode(annotation.get("segmentation"), shape)
            except (ValueError, TypeError) as error:
                faults.append(
                    f"{self.path}: annotation {annotation.get('id', number)} of {entry['file_name']}: {error}"
                )
                continue
            if annotation.get("iscrowd"):
                crowd |= decode(runs, shape)
            else:
                objects.append((sum(runs[1::2]), number, runs))
        if faults:
            raise DataError("\n".join(faults))
        for _, number, runs in sorted(objects, key=lambda item: -item[0]):
            labels[decode(runs, shape)] = number
        return labels, crowd


def encode(segmentation: Any, shape: tuple[int, int]) -> list[int]:
    """Bring a COCO segmentation to run lengths: pixels outside, inside, outside, … down the columns.

    Parameters
    ----------
    segmentation : list or dict
        Polygons ``[[x, y, x, y, …], …]``, or run lengths ``{"size": [H, W], "counts": list or str}``.
    shape : (int, int)
        Height and width of the image.

    Raises
    ------
    ValueError
        It is neither, is damaged, or belongs to another size.
    """
    if isinstance(segmentation, dict) and "counts" in segmentation:
        return _check_runs(segmentation["counts"], tuple(segmentation.get("size", ())), shape)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("no segmentation; expected polygons or run lengths")
    if any(not isinstance(p, list) or len(p) < 6 or len(p) % 2 for p in segmentation):
        raise ValueError("a polygon needs at least three points, as a list x, y, x, y, …")
    if not np.isfinite(np.concatenate(segmentation).astype(float)).all():
        raise ValueError("a polygon holds a coordinate that is not a number")
    runs = coco_mask.merge(coco_mask.frPyObjects(segmentation, *shape))
    return _run_lengths(runs["counts"].decode())


def decode(runs: list[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw run lengths: bool H×W."""
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(shape, order="F")


def _check_runs(counts: Any, size: tuple[int, ...], shape: tuple[int, int]) -> list[int]:
    if size != shape:
        raise ValueError(f"run lengths for {dimensions(size)}, but the image is {dimensions(shape)} (height×width)")
    runs: list[int] = counts if isinstance(counts, list) else _run_lengths(str(counts))
    if any(not isinstance(run, int) for run in runs):
        raise ValueError("run lengths must be whole numbers")
    if sum(runs) != shape[0] * shape[1] or min(runs, default=0) < 0:
        raise ValueError(f"damaged run lengths; they cover {sum(runs)} pixels of {shape[0] * shape[1]}")
    return runs


def _run_lengths(text: str) -> list[int]:
    """Read COCO's compressed counts; pycocotools would draw random pixels for a text that was cut off."""
    counts: list[int] = []
    value = bits = 0
    for character in text:
        part = ord(character) - 48
        value |= (part & 31) << bits
        bits += 5
        if part & 32:
            continue
        if part & 16:
            value -= 1 << bits
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = bits = 0
    return counts


def _names(files: list[str]) -> list[str]:
    """Names without suffix; those that several files have, with the names of the folders."""
    paths = [Path(file).with_suffix("") for file in files]
    count = Counter(path.name for path in paths)
    return [path.name if count[path.name] == 1 else "-".join(path.parts[path.is_absolute() :]) for path in paths]


def _load(path: Path) -> dict[str, Any]:
    content = read_json(path)
    needed = {"images": ("id", "file_name"), "annotations": ("image_id",)}
    for key, fields in needed.items():
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path}: no COCO file, it has no list '{key}'; expected images and annotations")
        if any(not isinstance(entry, dict) or not set(fields) <= entry.keys() for entry in entries):
            raise DataError(f"{path}: an entry of '{key}' lacks {' or '.join(fields)}")
        wrong = next((e for e in entries for f in fields if not isinstance(e[f], KINDS.get(f, KEYS))), None)
        if wrong is not None:
            raise DataError(f"{path}: in '{key}', {json.dumps(wrong)[:120]}: ids are numbers, file names are text")
    if not content["images"]:
        raise DataError(f"{path}: 'images' is empty; list at least one image")
    stacks = [entry["file_name"] for entry in content["images"] if isinstance(entry.get("plane"), dict)]
    if stacks:
        raise DataError(
            f"{path}: {len(stacks)} of {len(content['images'])} images are planes of stacks ({stacks[0]}); save each"
            " plane as an image of its own, with its labels, and export these"
        )
    return cast(dict[str, Any], content)
