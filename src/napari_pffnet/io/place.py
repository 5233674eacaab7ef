"""Where labels lie in their image: on which planes of a stack, in which part, at which resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from napari_pffnet.typing import Array

TIME = ("t", "time", "frame", "frames")
CHANNELS = ("c", "ch", "channel", "channels")
#: what tifffile calls axes of which files do not say what they are
UNNAMED = ("q", "i")
#: columns that tables have anyway
TAKEN = ("index", "y", "x", "area")


def place_columns(axes: Sequence[str], sizes: Sequence[int], place: Sequence[int]) -> dict[str, int]:
    """Return a plane's index along each stack axis longer than 1, by the name of its column in tables.

    Parameters
    ----------
    axes : sequence of str
        Letters or labels of the stack axes; those without a name are called plane, the second of a name plane2.
    sizes, place : sequence of int
        Lengths of these axes, and the index along each.
    """
    columns: dict[str, int] = {}
    for axis, size, number in zip(axes, sizes, place, strict=True):
        if size > 1:
            name = _column(axis)
            columns[f"{name}{len(columns) + 1}" if name in (*columns, *TAKEN) else name] = int(number)
    return columns


def _column(axis: str) -> str:
    name = axis.lower()
    unnamed = not name or name in UNNAMED or name.removeprefix("axis ").lstrip("-").isdigit()  # napari's: -3, axis -3
    return "plane" if unnamed else name


class Spot(NamedTuple):
    """A plane of a stack, or how many there are: along z and t, counted from 0."""

    z: int
    t: int


@dataclass(frozen=True)
class Place:
    """Where a label array lies in its image; each field has an entry for each of its axes, y and x are the last.

    Attributes
    ----------
    axes : tuple of str
        Names: those of `TIME` count as t, those of `CHANNELS` as neither, all others as z. Through several that count
        as one, planes are counted with the last running fastest.
    start : tuple of int
        Where the labels begin, in pixels of their resolution.
    step : tuple of float
        How many pixels of the image at full resolution one of theirs spans; at least 1.
    whole : tuple of int
        Size of the image at full resolution.
    channels : bool
        Whether the image has channels, too.
    """

    axes: tuple[str, ...]
    start: tuple[int, ...]
    step: tuple[float, ...]
    whole: tuple[int, ...]
    channels: bool = False

    @classmethod
    def of_all(cls, shape: Sequence[int], axes: Sequence[str] | None = None) -> Place:
        """Return the place of labels that cover their image."""
        names = tuple(axes or [""] * len(shape))
        return cls(names, (0,) * len(shape), (1.0,) * len(shape), tuple(shape))

    @classmethod
    def of_plane(cls, size: tuple[int, int], axes: Sequence[str], sizes: Sequence[int], at: Sequence[int]) -> Place:
        """Return the place of labels 1×…×H×W of a plane: `at` along stack axes that are `sizes` long."""
        return cls((*axes, "y", "x"), (*at, 0, 0), (1.0,) * (len(axes) + 2), (*sizes, *size))

    @classmethod
    def of_note(cls, note: Any, shape: Sequence[int], axes: Sequence[str]) -> Place | None:
        """Return the place that a layer's `note` tells; None if there is no note, or the layer has changed its size."""
        if not isinstance(note, dict) or list(note.get("shape", ())) != list(shape):
            return None
        start, step, whole = (tuple(note[name]) for name in ("start", "step", "whole"))
        return cls(tuple(axes), start, step, whole, bool(note["channels"]))

    def note(self, shape: Sequence[int]) -> dict[str, Any]:
        """Return all but the names of the axes as plain values, for labels of that shape."""
        facts = {"start": list(self.start), "step": list(self.step), "whole": list(self.whole)}
        return {**facts, "channels": self.channels, "shape": list(shape)}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image at full resolution."""
        return self.whole[-2], self.whole[-1]

    @property
    def count(self) -> Spot:
        """How many planes the image has along z and t."""
        return Spot(*(int(np.prod([self.whole[axis] for axis in axes], dtype=int)) for axes in self._stacks))

    @property
    def is_stack(self) -> bool:
        """Whether the image has several planes."""
        return max(self.count) > 1

    @property
    def is_hyperstack(self) -> bool:
        """Whether ImageJ tells the image's planes by more than one number."""
        return min(self.count) > 1 or (self.is_stack and self.channels)

    def check(self, shape: Sequence[int]) -> None:
        """Raise ValueError if labels of that shape are of several channels: they are no planes."""
        several = [size for size, name in zip(shape, self.axes, strict=True) if name.lower() in CHANNELS and size > 1]
        if several:
            raise ValueError(f"labels of {several[0]} channels; save those of one channel as an image of its own")

    def planes(self, shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Spot]]:
        """Yield the index of each plane in labels of that shape, and which plane of the image it is; see `check`."""
        self.check(shape)
        for index in np.ndindex(*shape[:-2]):
            yield index, Spot(*(self._number(self._at(index), axes) for axes in self._stacks))

    def columns(self, index: Sequence[int]) -> dict[str, int]:
        """Return which plane of the image a plane of labels is, as tables tell it; see `place_columns`.

        The channel that labels were made of is none of it.
        """
        names = [name.lower() for name in self.axes[:-2]]
        stack = [axis for axis, name in enumerate(names) if not (self.channels and name in CHANNELS)]
        axes, sizes, at = [names[axis] for axis in stack], [self.whole[axis] for axis in stack], self._at(index)
        return place_columns(axes, sizes, [at[axis] for axis in stack])

    def edges(self, places: Any, axis: int) -> Array:
        """Return where edges of pixels, along y (-2) or x (-1), lie in the image at full resolution: whole numbers."""
        return np.ceil((np.asarray(places) + self.start[axis]) * self.step[axis] - 0.5).astype(np.int64)

    def centres(self, places: Any, axis: int) -> Any:
        """Return where centres of pixels (whole numbers) lie in the image at full resolution."""
        return (places + self.start[axis] + 0.5) * self.step[axis] - 0.5

    @property
    def _stacks(self) -> tuple[list[int], list[int]]:
        """The axes that count as z, and as t."""
        names = [name.lower() for name in self.axes[:-2]]
        time = [axis for axis, name in enumerate(names) if name in TIME]
        return [axis for axis, name in enumerate(names) if name not in (*TIME, *CHANNELS)], time

    def _at(self, index: Sequence[int]) -> list[int]:
        """Return the index of a plane in the image at full resolution."""
        steps = zip(self.start, index, self.step, self.whole, strict=False)
        return [min(int((start + i + 0.5) * step), size - 1) for start, i, step, size in steps]

    def _number(self, at: Sequence[int], axes: Sequence[int]) -> int:
        number = 0
        for axis in axes:
            number = number * self.whole[axis] + at[axis]
        return number
