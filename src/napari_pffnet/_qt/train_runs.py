"""Runs of a project: their folders, commands and figures. No Qt in here."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_pffnet.config import TrainConfig, apply_overrides, parse
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.project import RUNS, ProjectError
from napari_pffnet.train.child import Run, RunError, find

EFFORTS = ("quick", "normal", "thorough")
GATE_FILE, DECISION_FILE, RESUME_FILE = "gate.json", "decision.json", "resume.pt"
MEASURES = {"ap50": "AP50", "aji": "AJI", "pq": "PQ"}
FAULTS = (OSError, ValueError, RunError, ProjectError)
TIE = 0.005
Page = Literal["none", "setup", "running", "gate", "failed"]


@dataclass(frozen=True)
class Options:
    """What the user has set: images to use, those of them held out, and how to train."""

    images: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    base: str = "default"
    effort: str = "normal"
    device: str = "auto"
    settings: str = ""


@dataclass(frozen=True)
class Row:
    """Figures in [0, 1] of the old and the new model on an image, by name of the measure."""

    name: str
    old: dict[str, float]
    new: dict[str, float]

    def change(self, measure: str) -> int:
        """Return 1 if the new model is better, -1 if it is worse, 0 if there is no difference to speak of."""
        difference = self.new.get(measure, 0.0) - self.old.get(measure, 0.0)
        return 0 if abs(difference) < TIE else (1 if difference > 0 else -1)


@dataclass(frozen=True)
class Gate:
    """The comparison: all images together, and each."""

    pooled: Row | None = None
    images: tuple[Row, ...] = field(default=())

    @property
    def usable(self) -> bool:
        """Whether there was a comparison."""
        return self.pooled is not None

    def headline(self) -> str:
        """Say what came out in one sentence."""
        if self.pooled is None:
            return "not compared with the old model"
        change = self.pooled.change("ap50")
        verdict = {1: "better than the old model", 0: "as good as the old model", -1: "worse than the old model"}
        figures = f"AP50 {self.pooled.old.get('ap50', 0):.2f} → {self.pooled.new.get('ap50', 0):.2f}"
        wins = [row.change("ap50") for row in self.images]
        tail = f", {wins.count(1)} images better, {wins.count(-1)} worse" if len(wins) > 1 else ""
        return f"{verdict[change]}: {figures}{tail}"


def check_settings(text: str) -> list[str]:
    """Return the lines ``section.key=value`` of a text, checked by the configuration.

    Raises
    ------
    ConfigError
        A line has another form, an unknown key or an impossible value.
    """
    lines = [line.strip() for line in text.splitlines()]
    settings = [line for line in lines if line and not line.startswith("#")]
    parse(TrainConfig, apply_overrides({}, settings), "Advanced settings")
    return settings


def command(project: Path, output: Path, options: Options, settings: Sequence[str]) -> list[str]:
    """Return the command of a run."""
    chosen = [f"finetune.images={json.dumps(options.images)}", f"finetune.held_out={json.dumps(options.held_out)}"]
    return [
        *(sys.executable, "-m", "napari_pffnet.train"),
        *("--project", str(project), "--base", options.base, "--output", str(output)),
        *("--effort", options.effort, "--device", options.device),
        *chosen,
        *settings,
    ]


def new_folder(project: Path) -> Path:
    """Return a folder for the next run that does not exist, named by date and time."""
    base = project / RUNS / time.strftime("%Y-%m-%d_%H%M%S")
    others = (base.with_name(f"{base.name}-{number}") for number in range(2, 1000))
    return next(folder for folder in (base, *others) if not folder.exists())


def open_run(project: Path) -> Run | None:
    """Return the run of a project that goes on, else the last one that the user has not decided on."""
    folders = sorted((project / RUNS).glob("*/"), reverse=True) if (project / RUNS).is_dir() else []
    runs = [run for folder in folders if not folder.name.startswith(".") and (run := find(folder)) is not None]
    going = [run for run in runs if run.state in ("running", "paused")]
    undecided = [run for run in runs[:1] if not (run.output / DECISION_FILE).exists()]
    return next(iter([*going, *undecided]), None)


def read_gate(output: Path) -> Gate:
    """Read the comparison of a run; an empty one if there is none."""
    try:
        content = json.loads((output / GATE_FILE).read_text(encoding="utf-8"))
        rows = [Row(str(each["name"]), _figures(each["old"]), _figures(each["new"])) for each in content["images"]]
        return Gate(Row("all", _figures(content["old"]), _figures(content["new"])), tuple(rows))
    except (OSError, ValueError, KeyError, TypeError):
        return Gate()


def decide(output: Path, accepted: str | None) -> None:
    """Note what became of a run's model; what only served to resume is deleted."""
    decision = {"accepted": accepted, "date": time.strftime("%Y-%m-%d %H:%M")}
    write_atomic(output / DECISION_FILE, json.dumps(decision).encode())
    (output / RESUME_FILE).unlink(missing_ok=True)


def resumable(output: Path) -> bool:
    """Whether a run can go on where it broke off."""
    return (output / RESUME_FILE).is_file()


def discard(output: Path) -> None:
    """Delete a run; a process that is just ending may write for a moment yet."""
    gone = output.with_name(f".{output.name}-discarded")
    output.rename(gone)
    for _ in range(20):
        shutil.rmtree(gone, ignore_errors=True)
        if not gone.exists():
            return
        time.sleep(0.1)
    raise OSError(f"{gone} could not be deleted as a whole; delete it by hand")


def _figures(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(values[name]) for name in MEASURES if name in values}
