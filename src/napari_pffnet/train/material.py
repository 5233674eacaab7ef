"""What a fine-tuning learns from and is checked on, and what its base model knows of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from napari_pffnet.config import FinetuneConfig
from napari_pffnet.data.opening import check, open_source
from napari_pffnet.data.parts import Chosen, Kept, Side
from napari_pffnet.data.project import ProjectSource
from napari_pffnet.data.sources import DataError, Source, hold_out, names_of
from napari_pffnet.library import Model, Seen, pixel_print, seen_by

NO_CARD: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class TrainingMaterial:
    """What a model learns from, and what it is checked on.

    Attributes
    ----------
    train, held_out : Source
        Images, or parts of them.
    names : tuple of str
        Of the images that are held out; "NAME (a quarter)" where it is part of one.
    nuclei : int
        In the images to learn from.
    """

    train: Source
    held_out: Source
    names: tuple[str, ...]
    nuclei: int


def open_material(folder: str | Path, config: FinetuneConfig, card: Mapping[str, Any] = NO_CARD) -> TrainingMaterial:
    """Open a project, or any annotated images, and part them into those to learn from and those to check on.

    They are read now; what is changed in the files later does not count (as far as 2 GiB hold them).

    Parameters
    ----------
    folder : str or Path
        Of the project or the images.
    config : FinetuneConfig
        Which images, and which of them are held out.
    card : mapping
        Of the base model: what it has learnt from is held out last.

    Raises
    ------
    DataError
        Something cannot be read, an image that is named is not there, or there is no nucleus to learn from.
    """
    source = open_source(folder)
    names = names_of(source)
    used = list(config.images) or (_done(source) if isinstance(source, ProjectSource) else names)
    unknown = [name for name in (*used, *config.held_out) if name not in names]
    if unknown:
        raise DataError(f"{folder}: nothing can be learnt from {', '.join(unknown)}; there are {', '.join(names)}")
    kept = Kept(source)
    check([Chosen(kept, [names.index(name) for name in dict.fromkeys((*used, *config.held_out))])])
    samples = {name: names.index(name) for name in used}
    full = [name for name, index in samples.items() if kept.read(index).labels.any()]
    known = seen_by(card).among(full, lambda name: pixel_print(kept.read(samples[name]).image))
    stacks = source.stacks if isinstance(source, ProjectSource) else {}
    held = list(config.held_out) or (hold_out(full, *known, stacks) if len(used) > 1 else [])
    rest = [name for name in used if name not in held]
    if not config.held_out:  # slices without nuclei, too, are of the stack that is held out
        shared = {stacks[name] for name in held if name in stacks}
        rest = [name for name in rest if stacks.get(name) not in shared] or rest
    if not rest:
        raise DataError(f"{folder}: every image is held out; leave one to learn from, in finetune.held_out")
    train: Source = Chosen(kept, [names.index(name) for name in rest])
    checked: Source = Chosen(kept, [names.index(name) for name in held])
    if not held:
        train, checked = Kept(Side(train, "train")), Kept(Side(train, "held out"))
    counts = [_nuclei(part) for part in (train, checked)]
    if not all(counts):
        raise DataError(
            f"{folder}: no nucleus {'to learn from' if not counts[0] else 'to check on'} in "
            f"{', '.join(rest if not counts[0] else held or rest)}; correct another image, or a larger area"
        )
    shown = tuple(held) if held else tuple(f"{name} (a quarter)" for name in rest)
    return TrainingMaterial(train, checked, shown, counts[0])


def known_to(base: Model, material: TrainingMaterial) -> list[str]:
    """Return which images that are held out the base model has learnt from."""
    held = {name: i for i, name in enumerate(names_of(material.held_out))}
    whole = [name for name in material.names if name in held]
    read = material.held_out.read
    return sorted(seen_by(base.card).among(whole, lambda name: pixel_print(read(held[name]).image))[0])


def prints(before: Seen, material: TrainingMaterial) -> dict[str, list[str]]:
    """Return the prints of all images seen, by name: those of before and of this run.

    A name of which an earlier image has none gets none: that image would be forgotten.
    """
    found = {name: list(known) for name, known in before.prints.items()}
    unknown = {*before.learnt, *before.held_out} - found.keys()
    for source in (material.train, material.held_out):
        for i, name in enumerate(names_of(source)):
            if name in unknown:
                continue
            known, mine = found.setdefault(name, []), pixel_print(source.read(i).image)
            if mine not in known:
                known.append(mine)
    return found


def _done(source: ProjectSource) -> list[str]:
    if not source.done:
        raise DataError(
            f"{source.path}: no image is done; mark those to learn from as done in napari, or name them: "
            "finetune.images=[NAME, …]"
        )
    return source.done


def _nuclei(source: Source) -> int:
    return sum(int(np.count_nonzero(np.bincount(source.read(i).labels.ravel())[1:])) for i in range(len(source)))
