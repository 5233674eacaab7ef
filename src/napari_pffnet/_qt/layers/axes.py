"""What the axes, channels and levels of an image layer are, and how large its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import numpy as np
import pint
from napari.layers import Image

from napari_pffnet.io.images import TIFF, tiff_layout
from napari_pffnet.io.place import CHANNELS, UNNAMED
from napari_pffnet.io.stains import HEMATOXYLIN
from napari_pffnet.typing import Array

Channel = int | Literal["view", "colour", "hematoxylin"]
MOST_UNNAMED_CHANNELS = 4


def is_image(layer: Any) -> bool:
    """Whether a layer is an image, and not one that the panel has made of results."""
    return isinstance(layer, Image) and "content" not in layer.metadata.get("napari-pffnet", {})


def channel_axis(layer: Image) -> int | None:
    """Axis that holds channels: so named, or the first of three unnamed axes if it is short (C×H×W)."""
    if layer.rgb:
        return None
    named = [axis for axis, label in enumerate(layer.axis_labels) if label.lower() in CHANNELS]
    if named:
        return named[0]
    if layer.ndim != 3 or not is_unnamed(layer.axis_labels):
        return None
    return 0 if 2 <= level_shape(layer)[0] <= MOST_UNNAMED_CHANNELS else None


def channels(layer: Image) -> list[tuple[str, Channel]]:
    """Choices of channel, as (title, value); empty if there is nothing to choose."""
    if layer.rgb:
        return [("all colours", "view"), ("hematoxylin alone", HEMATOXYLIN)]
    axis = channel_axis(layer)
    if axis is None:
        return []
    count = level_shape(layer)[axis]
    colour: list[tuple[str, Channel]] = [("all three, as red, green, blue", "colour")] if count == 3 else []
    return [("the one in view", "view"), *((str(i + 1), i) for i in range(count)), *colour]


def pixel_size(layer: Image, shown: Sequence[int] = (-2, -1)) -> float | None:
    """Height of a pixel of the largest level in µm, where the layer's units say so; `shown`: axes on the screen."""
    return pixel_sizes(layer, shown).get("Y")


def pixel_sizes(layer: Image, shown: Sequence[int] = (-2, -1)) -> dict[str, float]:
    """Sizes of a pixel of the largest level in µm along Y and X, the axes `shown`, where the layer's units say so."""
    try:
        sizes = [(layer.scale[axis] * layer.units[axis]).to("micrometer").magnitude for axis in shown]
    except pint.DimensionalityError:
        return {}
    return dict(zip("YX", (abs(float(size)) for size in sizes), strict=True))  # of flipped images they are negative


def is_unnamed(labels: Sequence[str]) -> bool:
    """Whether all axes have the labels that napari gives: -3, or axis -3."""
    return all(_is_given(label) for label in labels)


def _is_given(label: str) -> bool:
    return label.removeprefix("axis ").lstrip("-").isdigit()


def axis_names(layer: Image) -> list[str]:
    """Names of the layer's axes, "axis i" for those without one; keys of `Plane.position`."""
    return [f"axis {i}" if _is_given(label) else label for i, label in enumerate(layer.axis_labels)]


def name_as_in_file(layer: Image) -> None:
    """Name the axes of a layer that has no names as its TIFF does, from which napari takes the pixels alone."""
    path = layer.source.path
    if path is None or not is_unnamed(layer.axis_labels) or Path(path).suffix.lower() not in TIFF:
        return
    try:
        axes, shape = tiff_layout(path)
    except Exception:  # no file any more, or none that says
        return
    pixels = level_shape(layer)
    if shape == pixels and not set(axes.lower()) <= {*UNNAMED, "y", "x", "s"}:
        names = [axis.lower() for axis in axes[: layer.ndim].replace("S", "C")]  # samples that are no colours here
        layer.axis_labels = [
            kept if name in UNNAMED else name for name, kept in zip(names, layer.axis_labels, strict=True)
        ]


def level_count(layer: Image) -> int:
    """Return how many levels an image has."""
    return len(layer.data) if layer.multiscale else 1


def level_shape(layer: Image, level: int = 0) -> tuple[int, ...]:
    """Return the shape of the pixels of a level."""
    return tuple((layer.data[level] if layer.multiscale else layer.data).shape)


def level_data(layer: Image, level: int = 0) -> Any:
    """Return the pixels of a level; what is on disk is read when it is asked for."""
    data = layer.data[level] if layer.multiscale else layer.data
    if isinstance(data, (np.ndarray, da.Array)):
        return data
    return da.from_array(data, getattr(data, "chunks", None) or "auto")  # type: ignore[no-untyped-call]


def level_factors(layer: Image, level: int) -> Array:
    """Return how many pixels of the largest level a pixel of a level spans along each axis, float64."""
    full, sizes = (np.array(level_shape(layer, i)[: layer.ndim]) for i in (0, level))
    return np.asarray(full / sizes)
