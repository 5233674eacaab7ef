"""What a training run reports while it goes on. The progress bar, the log files and the panel read the same events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """What a fine-tuning is going to do: how much it learns from, what is held out, and how long it takes at most."""

    images: int
    nuclei: int
    held_out: tuple[str, ...]
    steps: int
    seconds_per_step: float
    batch: int
    crop: int
    precision: str
    kind: str = field(default="plan", init=False)


@dataclass(frozen=True)
class Step:
    """One optimiser step is done; `losses` are the means of its batches, `memory` are the bytes in use."""

    step: int
    steps: int
    losses: dict[str, float]
    rate: float
    crops_per_second: float
    memory: int = 0
    kind: str = field(default="step", init=False)


@dataclass(frozen=True)
class Validation:
    """Figures on the validation images: metrics in [0, 1] and losses of fixed crops."""

    step: int
    metrics: dict[str, float]
    kind: str = field(default="validation", init=False)


@dataclass(frozen=True)
class Checkpoint:
    """Files were written; `best` if this is the best model so far."""

    step: int
    path: Path
    best: bool
    kind: str = field(default="checkpoint", init=False)


@dataclass(frozen=True)
class Preview:
    """A picture of a validation image with the outlines that the network finds now."""

    step: int
    path: Path
    kind: str = field(default="preview", init=False)


@dataclass(frozen=True)
class Comparison:
    """The old and the new model were compared on what is held out: the outcome in words, and as a table."""

    headline: str
    lines: tuple[str, ...]
    kind: str = field(default="gate", init=False)


@dataclass(frozen=True)
class Message:
    """Something the user should know, in a sentence."""

    text: str
    kind: str = field(default="message", init=False)


Event = Plan | Step | Validation | Checkpoint | Preview | Comparison | Message
