"""The gate: the old and the new model on images that neither has learnt from, before the new one is offered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GATE_FILE, GATE_FOLDER = "gate.json", "gate"
MEASURES = {"ap50": "AP50", "aji": "AJI", "pq": "PQ"}
TIE = 0.005
#: standard deviation, at most, of the share of one nucleus that is found; of N nuclei it is this / √N
NOISE = 0.5
#: A model finds again what it has drawn itself: then the annotation tells little about others.
OWN_WORK = 0.97
Figures = dict[str, float]


@dataclass(frozen=True)
class Compared:
    """Figures in [0, 1] of both models, by name of the measure.

    Attributes
    ----------
    name : str
        The image, or what the figures are pooled over.
    old, new : dict
        AP50, AJI and PQ; zero where a model failed.
    nuclei : int
        True ones.
    old_labels, new_labels : str
        Files of what the models found, seen from the run's folder; "" if there are none.
    fault : str
        Why a model failed; "" if none did.
    """

    name: str
    old: Figures
    new: Figures
    nuclei: int = 0
    old_labels: str = ""
    new_labels: str = ""
    fault: str = ""

    def change(self, measure: str) -> int:
        """Return 1 if the new model is better, -1 if it is worse, 0 if there is no difference to speak of."""
        difference = self.new.get(measure, 0.0) - self.old.get(measure, 0.0)
        return 0 if abs(difference) < TIE else (1 if difference > 0 else -1)

    @property
    def by_chance(self) -> bool:
        """Whether AP50 differs, but by no more than so few nuclei may by chance; False if their number is not known."""
        difference = abs(self.new.get("ap50", 0.0) - self.old.get("ap50", 0.0))
        return self.nuclei > 0 and TIE <= difference < NOISE / self.nuclei**0.5

    @property
    def verdict(self) -> int:
        """Return 1 if the new model's AP50 is better by more than chance, -1 if it is worse, 0 else."""
        return 0 if self.by_chance else self.change("ap50")


@dataclass(frozen=True)
class Gate:
    """The comparison: all held-out images together, each of them, and all replay images together.

    `known` are the held-out images from which the old model has learnt.
    """

    pooled: Compared | None = None
    images: tuple[Compared, ...] = ()
    replay: Compared | None = None
    known: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there was a comparison."""
        return self.pooled is not None

    @property
    def better(self) -> bool:
        """Whether the new model is at least as good on what is held out, and on replay images, if any.

        False if a model failed on an image: nothing is known then.
        """
        return not self.faults and all(each is None or each.verdict >= 0 for each in (self.pooled, self.replay))

    @property
    def in_doubt(self) -> bool:
        """Whether the figures speak neither for the new model nor for the old one: it is lower, perhaps by chance."""
        lower = self.pooled is not None and self.pooled.by_chance and self.pooled.change("ap50") < 0
        return self.better and lower

    @property
    def faults(self) -> tuple[str, ...]:
        """Why models failed, by image; empty if none did."""
        return tuple(f"{image.name}: {image.fault}" for image in self.images if image.fault)

    def headline(self) -> str:
        """Say what came out in a sentence."""
        if self.pooled is None:
            return "not compared with the old model"
        if self.faults:
            return f"could not be compared with the old model; {self.faults[0]}"
        verdict = {1: "better than the old model", 0: "as good as the old model", -1: "worse than the old model"}
        chance = f"as good as the old model, as far as {self.pooled.nuclei} nuclei can tell"
        parts = [f"{chance if self.pooled.by_chance else verdict[self.pooled.verdict]}: {_arrow(self.pooled)}"]
        wins = [image.change("ap50") for image in self.images]
        if len(wins) > 1:
            parts.append(f"{wins.count(1)} of {len(wins)} images better, {wins.count(-1)} worse")
        if self.replay is not None:
            also = "and" if self.pooled.verdict < 0 else "but"
            forgets = f"{also} it forgets: " if self.replay.verdict < 0 else ""
            parts.append(f"{forgets}on replay images {_arrow(self.replay)}")
        if self.known:
            parts.append(f"but the old model has learnt from {', '.join(self.known)}, which flatters it")
        elif self.pooled.old.get("ap50", 0.0) >= OWN_WORK:
            parts.append(
                "but what is held out is nearly as the old model drew it: hold out an image that needed corrections"
            )
        return ", ".join(parts)

    def write(self, output: Path) -> None:
        """Write ``OUTPUT/gate.json``."""
        from napari_pffnet.io.atomic import write_atomic

        values = {
            "old": self.pooled.old if self.pooled else {},
            "new": self.pooled.new if self.pooled else {},
            "images": [asdict(image) for image in self.images],
            "replay": asdict(self.replay) if self.replay else None,
            "known": list(self.known),
        }
        write_atomic(output / GATE_FILE, json.dumps(values, indent=1).encode())


def gate_file(name: str, which: str) -> str:
    """File of an image, seen from the run's folder, under a name that any file system takes and no other image has.

    `which` is what a model found (``"old"``, ``"new"``), what is true (``"truth"``) or where nothing is known
    (``"ignored"``).
    """
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:60]
    return f"{GATE_FOLDER}/{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}_{which}.tif"


def read_gate(output: Path) -> Gate:
    """Read ``OUTPUT/gate.json``; an empty comparison if it is not there or damaged."""
    try:
        content = json.loads((output / GATE_FILE).read_text(encoding="utf-8"))
        images = tuple(_compared(each) for each in content["images"])
        replay = None if content.get("replay") is None else _compared(content["replay"])
        nuclei = sum(image.nuclei for image in images)
        known = tuple(str(name) for name in content.get("known", []))
        return Gate(Compared("all", _figures(content["old"]), _figures(content["new"]), nuclei), images, replay, known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Gate()


def lines(gate: Gate) -> Sequence[str]:
    """Return the comparison as a table for a terminal."""
    rows = [*gate.images, *([gate.pooled] if gate.pooled else []), *([gate.replay] if gate.replay else [])]
    return [
        f"{row.name:24.24} "
        + "  ".join(
            f"{title} {row.old.get(key, 0):.3f} -> {row.new.get(key, 0):.3f} {'-=+'[row.change(key) + 1]}"
            for key, title in MEASURES.items()
        )
        + (f"  ({row.fault})" if row.fault else "")
        for row in rows
    ]


def _arrow(row: Compared) -> str:
    return f"AP50 {row.old.get('ap50', 0):.2f} → {row.new.get('ap50', 0):.2f}"


def _compared(values: dict[str, Any]) -> Compared:
    texts = {key: str(values.get(key, "")) for key in ("old_labels", "new_labels", "fault")}
    nuclei = int(values.get("nuclei", 0))
    return Compared(str(values["name"]), _figures(values["old"]), _figures(values["new"]), nuclei, **texts)


def _figures(values: dict[str, Any]) -> Figures:
    return {name: float(values[name]) for name in MEASURES if name in values}
