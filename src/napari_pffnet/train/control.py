"""Asking a run to wait or to end: by files in its folder, so that any program and any person can."""

from __future__ import annotations

import time
from pathlib import Path

STOP_FILE, PAUSE_FILE = "stop", "pause"
LOOK_EVERY = 0.5


def stop_asked(output: Path) -> bool:
    """Wait while there is a file ``pause`` in the run's folder; return whether there is a file ``stop``."""
    while (output / PAUSE_FILE).exists() and not (output / STOP_FILE).exists():
        time.sleep(LOOK_EVERY)
    return (output / STOP_FILE).exists()
