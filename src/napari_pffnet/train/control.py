"""Asking a run to wait or to end: by files in its folder, so that any program and any person can."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

STOP_FILE, PAUSE_FILE = "stop", "pause"
LOOK_EVERY = 0.5


def asked(output: Path) -> Literal["stop", "pause", ""]:
    """Return what the files in the run's folder ask for; a file ``stop`` counts more than a file ``pause``."""
    if (output / STOP_FILE).exists():
        return "stop"
    return "pause" if (output / PAUSE_FILE).exists() else ""
