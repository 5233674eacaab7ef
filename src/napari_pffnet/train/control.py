"""What a run and those who start it or wait for it agree on: efforts and files. No PyTorch in here.

A run is asked to wait or to end by files in its folder, so that any program and any person can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

Effort = Literal["quick", "normal", "thorough"]
#: Steps for five images.
EFFORTS: dict[Effort, int] = {"quick": 60, "normal": 160, "thorough": 600}
USUAL_EFFORT: Effort = "normal"
STOP_FILE, PAUSE_FILE = "stop", "pause"
#: What resuming needs, the last model, and the best one or the result.
RESUME_FILE, LAST, RESULT = "resume.pt", "last.safetensors", "best.safetensors"
LOOK_EVERY = 0.5


def asked(output: Path) -> Literal["stop", "pause", ""]:
    """Return what the files in the run's folder ask for; a file ``stop`` counts more than a file ``pause``."""
    if (output / STOP_FILE).exists():
        return "stop"
    return "pause" if (output / PAUSE_FILE).exists() else ""


def listed(names: Sequence[str]) -> str:
    """Write names as the list of YAML that the training reads."""
    return yaml.safe_dump(list(names), default_flow_style=True, allow_unicode=True, width=math.inf).strip()
