"""OME-Zarr: what an image's metadata says (0.4, 0.5), and label pyramids that are written block by block (0.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import zarr

from napari_pffnet.io.images import MICROMETRES, ImageError
from napari_pffnet.typing import Array

VERSION = "0.5"
BLOCK = 1024
#: chunks of smaller levels shrink with them down to this, so that a block does not rewrite what others wrote
SMALLEST_CHUNK = 256
UNITS = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm"}


class Placement(NamedTuple):
    """Where pixels lie: size, place of the first one, and their units as OME names them, each along y and x."""

    scale: tuple[float, float] = (1.0, 1.0)
    translation: tuple[float, float] = (0.0, 0.0)
    units: tuple[str | None, str | None] = (None, None)


UNPLACED = Placement()


@dataclass(frozen=True)
class Multiscale:
    """An image: `axes` one letter each, `paths` of its levels, width in µm (if known) and placement of their pixels.

    `channel_colours` are those of OMERO's metadata, RRGGBB, "" where one is missing.
    """

    axes: str
    paths: tuple[str, ...]
    pixel_sizes: tuple[float | None, ...]
    placements: tuple[Placement, ...]
    channel_colours: tuple[str, ...] = ()


def describe(group: zarr.Group) -> Multiscale | None:
    """Read what a group says about its first image; None if it holds none."""
    attributes: Mapping[str, Any] = dict(group.attrs)
    inner = attributes.get("ome", attributes)
    listed = inner.get("multiscales") if isinstance(inner, Mapping) else None
    if not listed:
        return None
    first = listed[0]
    axes = [axis["name"] if isinstance(axis, Mapping) else axis for axis in first.get("axes", "tczyx")]
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in first.get("axes", "tczyx")]
    letters = "".join(name[0].upper() for name in axes)
    unit = MICROMETRES.get(UNITS.get(units[letters.index("X")] or "", units[letters.index("X")] or ""))
    along = letters.index("Y"), letters.index("X")
    placements = [_placement(level, first, units, along) for level in first["datasets"]]
    sized = [bool(_step(level, "scale") or _step(first, "scale")) for level in first["datasets"]]
    return Multiscale(
        letters,
        tuple(level["path"] for level in first["datasets"]),
        tuple(
            place.scale[1] * unit if known and unit else None for place, known in zip(placements, sized, strict=True)
        ),
        tuple(placements),
        _channel_colours(inner.get("omero")),
    )


def _channel_colours(omero: Any) -> tuple[str, ...]:
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    channels = [channel for channel in listed or () if isinstance(channel, Mapping)]
    return tuple(str(channel.get("color") or "").lstrip("#")[:6].upper() for channel in channels)


def _placement(
    level: Mapping[str, Any], whole: Mapping[str, Any], units: Sequence[str | None], along: tuple[int, int]
) -> Placement:
    """Placement of a level: its own transformations, then those of the whole pyramid."""
    scale, translation = UNPLACED.scale, UNPLACED.translation
    for steps in (level, whole):
        if factor := _step(steps, "scale"):
            scale = scale[0] * factor[along[0]], scale[1] * factor[along[1]]
            translation = translation[0] * factor[along[0]], translation[1] * factor[along[1]]
        if shift := _step(steps, "translation"):
            translation = translation[0] + shift[along[0]], translation[1] + shift[along[1]]
    return Placement(scale, translation, (units[along[0]], units[along[1]]))


def _step(level: Mapping[str, Any], kind: str) -> list[float]:
    for step in level.get("coordinateTransformations") or ():
        if step.get("type") == kind:
            return list(step[kind])
    return []


class LabelPyramid:
    """A label image with smaller copies, written block by block; readers see each block as soon as it is written.

    Smaller copies are samples of the pixels, never mixtures: the pixel at the corner of each square.

    Parameters
    ----------
    folder : Path
        The Zarr group, made if missing; the image goes to ``labels/NAME``.
    name : str
        Of the label image.
    shape : (int, int)
        Height and width.
    dtype : str
        Unsigned integers.
    placement : Placement
        Of the largest level.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        shape: tuple[int, int],
        dtype: str,
        placement: Placement = UNPLACED,
    ) -> None:
        self.shape = shape
        count = 1
        while max(shape) / 2 ** (count - 1) > BLOCK and count < 10:
            count += 1
        root = zarr.open_group(folder, mode="a", zarr_format=3)
        labels = root.require_group("labels")
        known: Any = labels.attrs.get("ome", {})
        labels.attrs["ome"] = {"version": VERSION, "labels": sorted({*known.get("labels", ()), name})}
        image = labels.create_group(name, overwrite=True)
        image.attrs["ome"] = _metadata(name, count, placement)
        self.levels = [
            image.create_array(
                str(level),
                shape=tuple(-(-n // 2**level) for n in shape),
                chunks=(max(BLOCK >> level, min(BLOCK, SMALLEST_CHUNK)),) * 2,
                dtype=dtype,
                fill_value=0,
                dimension_names=["y", "x"],
            )
            for level in range(count)
        ]

    def write(self, y: int, x: int, block: Array) -> None:
        """Write a block (at multiples of `BLOCK`) into every level."""
        for level, array in enumerate(self.levels):
            part = block[:: 2**level, :: 2**level]
            if part.any():  # the rest is 0 by itself
                top, left = y // 2**level, x // 2**level
                array[top : top + part.shape[0], left : left + part.shape[1]] = part


def label_levels(folder: Path, name: str) -> list[zarr.Array[Any]]:
    """Open the levels of a label image that `LabelPyramid` has written, the largest first."""
    image, facts = _label_image(folder, name)
    return [image[path] for path in facts.paths]  # type: ignore[misc]


def label_placement(folder: Path, name: str) -> Placement:
    """Return where the pixels of such a label image lie."""
    return _label_image(folder, name)[1].placements[0]


def _label_image(folder: Path, name: str) -> tuple[zarr.Group, Multiscale]:
    image = zarr.open_group(folder, mode="r")[f"labels/{name}"]
    assert isinstance(image, zarr.Group)
    facts = describe(image)
    assert facts is not None
    return image, facts


def open_labels(folder: Path) -> zarr.Array[Any]:
    """Open a label image, all its axes, at full resolution.

    A Zarr array, an OME-Zarr image of labels, or an image or result with labels: those named ``nuclei``, or the only
    ones.

    Raises
    ------
    ImageError
        There are no labels, or one cannot tell which; the message names the fix.
    """
    node = zarr.open(folder, mode="r")
    if isinstance(node, zarr.Group) and isinstance(inside := node.get("labels"), zarr.Group):
        names = sorted(name for name, _ in inside.groups())
        chosen = "nuclei" if "nuclei" in names or len(names) != 1 else names[0]
        if chosen not in names:
            raise ImageError(f"{folder}: holds the labels {', '.join(names) or 'of nothing'}; give the folder of one")
        node = inside[chosen]
    if isinstance(node, zarr.Group):
        facts = describe(node)
        if facts is None:
            raise ImageError(f"{folder}: holds no labels (no 'multiscales'); give an OME-Zarr label image or an array")
        node = node[facts.paths[0]]
    assert isinstance(node, zarr.Array)
    return node


def is_result(folder: Path) -> bool:
    """Whether a folder holds the ``nuclei`` and ``semantic`` of a large image, and no other image or labels."""
    try:
        group = zarr.open_group(folder, mode="r")
        labels = zarr.open_group(folder / "labels", mode="r")
        return describe(group) is None and set(group) == {"labels"} and set(labels) == {"nuclei", "semantic"}
    except (ValueError, OSError, KeyError, TypeError, AssertionError):  # what others write may be anything
        return False


def _metadata(name: str, count: int, placement: Placement) -> dict[str, Any]:
    # of each square the pixel at the corner is kept, so that all levels begin at the same place
    moved = [{"type": "translation", "translation": list(placement.translation)}] if any(placement.translation) else []
    steps = [[{"type": "scale", "scale": [size * 2**i for size in placement.scale]}, *moved] for i in range(count)]
    levels = [{"path": str(i), "coordinateTransformations": each} for i, each in enumerate(steps)]
    units = [{"unit": unit} if unit else {} for unit in placement.units]
    axes = [{"name": axis, "type": "space", **unit} for axis, unit in zip("yx", units, strict=True)]
    scales = {"name": name, "axes": axes, "datasets": levels, "type": "nearest"}
    # the image lies elsewhere
    return {"version": VERSION, "multiscales": [scales], "image-label": {"version": VERSION}}


def blocks(shape: Sequence[int]) -> list[tuple[slice, slice]]:
    """Return the windows of all blocks of an image, row by row."""
    return [
        (slice(y, min(y + BLOCK, shape[0])), slice(x, min(x + BLOCK, shape[1])))
        for y in range(0, shape[0], BLOCK)
        for x in range(0, shape[1], BLOCK)
    ]
