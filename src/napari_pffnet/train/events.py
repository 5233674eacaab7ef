"""What a training run reports while it goes on. The progress bar, the log files and the panel read the same events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One optimiser step is done; `losses` are the means of its batches."""

    step: int
    steps: int
    losses: dict[str, float]
    rate: float
    crops_per_second: float
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
class Message:
    """Something the user should know, in a sentence."""

    text: str
    kind: str = field(default="message", init=False)


Event = Step | Validation | Checkpoint | Message
