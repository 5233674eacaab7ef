"""A model's card in words. A card is free-form, so everything here copes with anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pffnet.library.folder import Entry

#: Figures that sum up a model, best known first, and how people write them.
FIGURES = {"ap50": "AP50", "pq": "PQ", "aji": "AJI", "mean_ap": "mean AP"}


def describe(entry: Entry) -> str:
    """Return some lines for a person who chooses a model."""
    text = entry.card.get("purpose") or entry.card.get("name") or ""
    lines = [
        clean(text),
        clean(entry.note),
        f"made from {parent(entry.card)}" if parent(entry.card) else "",
        headline(entry.card),
        date_of(entry),
        "comes with the package" if entry.embedded else "",
        entry.fault,
    ]
    return "\n".join(line for line in lines if line)


@dataclass(frozen=True)
class Seen:
    """Images that a fine-tuned model, or one it comes from, has learnt from, and those on which it was checked last.

    Attributes
    ----------
    learnt, held_out : list of str
        Their names.
    prints : dict
        `pixel_print` of images by their name, of all that had it; models that earlier versions wrote have none.
    """

    learnt: list[str]
    held_out: list[str]
    prints: dict[str, list[str]]

    def among(self, names: Sequence[str], print_of: Callable[[str], str | None]) -> tuple[list[str], list[str]]:
        """Return which of some images are among those learnt from, and those checked on: by name and by print.

        `print_of` gives an image's `pixel_print`; where it cannot (None) the name counts.
        """

        def same(name: str) -> bool:
            known = self.prints.get(name)
            mine = print_of(name) if known else None
            return known is None or mine is None or mine in known

        found = [name for name in names if name in {*self.learnt, *self.held_out} and same(name)]
        return [name for name in found if name in self.learnt], [name for name in found if name in self.held_out]


def seen_by(card: Mapping[str, Any]) -> Seen:
    """Return the images that a model's card names."""
    data = _table(card.get("data"))
    learnt, held_out = data.get("learnt", data.get("images", [])), data.get("held_out", [])
    prints = {str(name): [str(each) for each in known or []] for name, known in _table(data.get("prints")).items()}
    return Seen([str(name) for name in learnt or []], [str(name) for name in held_out or []], prints)


def pixel_print(image: np.ndarray[Any, Any]) -> str:
    """Return 16 hexadecimal digits that tell an image's pixels from those of others."""
    shape = "x".join(map(str, image.shape))
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


def date_of(entry: Entry) -> str:
    """Return when the model was made, or else added to the library; "" if unknown."""
    return clean(entry.card.get("date") or entry.added)


def parent(card: Mapping[str, Any]) -> str:
    """Return which model it was made from: the name, and the first 8 digits of the file's SHA-256; "" if unknown."""
    known = card.get("parent")
    if isinstance(known, Mapping):
        return clean(f"{known.get('name') or ''} {str(known.get('sha256') or '')[:8]}")
    return clean(known)


def headline(card: Mapping[str, Any]) -> str:
    """Return the validation in a few words; "" if there is none.

    Against its parent (``gate``: ``old`` and ``new``), of one set of images, or of several (name to figures).
    """
    gate, validation = _table(card.get("gate")), _table(card.get("validation"))
    for key, title in FIGURES.items():
        old, new = _number(_table(gate.get("old")).get(key)), _number(_table(gate.get("new")).get(key))
        if old is not None and new is not None:
            return f"{title} {new:.2f} (parent {old:.2f})"
        one = _number(validation.get(key))
        if one is not None:
            return f"{title} {one:.2f}"
        several = {clean(name): _number(_table(figures).get(key)) for name, figures in validation.items()}
        known = [f"{value:.2f} {name}" for name, value in several.items() if value is not None]
        if known:
            return f"{title} {', '.join(known)}"
    return ""


def clean(value: Any) -> str:
    """Return a value as one line that a terminal shows as it is; "" of None."""
    text = "" if value is None else str(value)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
