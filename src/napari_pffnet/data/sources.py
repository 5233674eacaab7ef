"""Where annotated images come from, and what can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

EVERY = 5
NO_STACKS: Mapping[str, str] = MappingProxyType({})


class DataError(ValueError):
    """Training data that cannot be used; the message names each file and what is wrong with it."""


@dataclass(frozen=True)
class Sample:
    """One annotated image.

    Attributes
    ----------
    name : str
        Names the image in messages and results.
    image : ndarray
        Raw intensities, H×W or H×W×3.
    labels : ndarray
        int32 H×W, 0 background, one id per nucleus.
    semantic : ndarray or None
        uint8 H×W: 0 background, 1 nucleus, 255 ignored in every loss; where given it replaces ``labels > 0``.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[np.int32]
    semantic: NDArray[np.uint8] | None = None


class Source(Protocol):
    """A set of annotated images, read one by one."""

    def __len__(self) -> int:
        """Return the number of annotated images."""
        ...

    def name(self, index: int) -> str:
        """Return the name of an image."""
        ...

    def read(self, index: int) -> Sample:
        """Read an image with its annotation; `DataError` says what is wrong with the files."""
        ...

    def faults(self) -> list[str]:
        """Return what is wrong with the set as a whole, such as images without annotation: one line each."""
        ...


def names_of(source: Source) -> list[str]:
    """Return the names of all images of a source."""
    return [source.name(i) for i in range(len(source))]


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError
        It cannot be read, or is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise DataError(f"{path}: damaged JSON ({error})") from None


def hold_out(
    names: Sequence[str],
    learnt: Collection[str] = (),
    held: Collection[str] = (),
    stacks: Mapping[str, str] = NO_STACKS,
) -> list[str]:
    """Choose the images to check on, about one in five and at least one; none of a single image.

    Slices of one stack show the same nuclei: all of them are held out, or none. Where there is but one stack, the last
    ones are.

    Parameters
    ----------
    names : sequence of str
        All images.
    learnt, held : collection of str
        What the model that is to be fine-tuned has learnt from and was checked on: images held out before come first,
        then those that it has never seen, so that it is not checked on what it knows.
    stacks : mapping
        Of each image that is a slice, its stack.
    """
    if len(names) < 2:
        return []
    usual = names[::EVERY]
    groups: dict[tuple[bool, str], list[str]] = {}
    for name in names:
        groups.setdefault((name in stacks, stacks.get(name, name)), []).append(name)
    if len(groups) == 1:
        return [name for name in names if name in held] or list(names[-len(usual) :])

    def rank(group: list[str]) -> tuple[bool, bool, bool]:
        return not set(group) & set(held), bool(set(group) & set(learnt)), not set(group) & set(usual)

    chosen: list[str] = []
    for group in sorted(groups.values(), key=rank):
        if len(chosen) < len(usual) and len(chosen) + len(group) <= max(len(usual), len(names) // 2):
            chosen += group
    return [name for name in names if name in chosen]
