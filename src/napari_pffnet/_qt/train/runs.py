"""Runs of a project: their folders, commands and figures. No Qt in here."""

from __future__ import annotations

import json
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile

from napari_pffnet.config import FIXED, ConfigError, TrainConfig, apply_overrides, parse
from napari_pffnet.curate.project import Project
from napari_pffnet.evaluate.complete import within_complete
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.images import ImageError
from napari_pffnet.io.patience import patiently
from napari_pffnet.io.project import PROJECT_FILE, RUNS, ImageEntry, ProjectError, find_image, read_manifest, read_plane
from napari_pffnet.library import LibraryError, entry, pixel_print, seen_by
from napari_pffnet.train.__main__ import build_parser
from napari_pffnet.train.child import Run, RunError, find
from napari_pffnet.train.control import RESUME_FILE, USUAL_EFFORT, listed
from napari_pffnet.train.gate import Compared, Gate, gate_file, read_gate
from napari_pffnet.typing import Array
from napari_pffnet.wording import count_nuclei, counted

DECISION_FILE = "decision.json"
OLD_KEPT, UNDECIDED, BROKE_OFF = "old kept", "undecided", "broke off"
FAULTS = (OSError, ValueError, RunError, ProjectError)
Page = Literal["none", "setup", "running", "gate", "failed"]


@dataclass(frozen=True)
class Past:
    """A training that is over.

    Attributes
    ----------
    output : Path
        Its folder.
    date : str
        When it began, such as "2026-11-28 14:02".
    told : str
        Base model, effort, what it learnt from and what came out, a line each.
    gate : Gate
        The old and the new model; empty if it came to no comparison.
    became : str
        Name of the model that was accepted, or why there is none.
    """

    output: Path
    date: str
    told: str
    gate: Gate
    became: str


@dataclass(frozen=True)
class TrainOptions:
    """What the user has set: images to use, those of them held out, and how to train."""

    images: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    base: str = "default"
    effort: str = USUAL_EFFORT
    device: str = "auto"
    settings: str = ""


def check_settings(text: str) -> list[str]:
    """Return the lines ``section.key=value`` of a text, checked by the configuration.

    Raises
    ------
    ConfigError
        A line has another form, an unknown key or an impossible value, or is not for fine-tuning.
    """
    lines = [line.strip() for line in text.splitlines()]
    settings = [line for line in lines if line and not line.startswith("#")]
    parse(TrainConfig, apply_overrides({}, settings), "Advanced settings")
    keys = [line.split("=")[0].strip() for line in settings]
    fixed = next((key for key in keys if key in FIXED or key.split(".")[0] == "model"), None)
    if fixed:
        raise ConfigError(f"Advanced settings: {fixed} is as in the model to start from; leave it out")
    return settings


def command(project: Path, output: Path, options: TrainOptions, settings: Sequence[str]) -> list[str]:
    """Return the command of a run."""
    chosen = [f"finetune.images={listed(options.images)}", f"finetune.held_out={listed(options.held_out)}"]
    return [
        *(sys.executable, "-m", "napari_pffnet.train"),
        *("--project", str(project), "--base", options.base, "--output", str(output)),
        *("--effort", options.effort, "--device", options.device),
        *chosen,
        *settings,
    ]


def again(stored: Sequence[str], project: Path, output: Path, settings: Sequence[str] = ()) -> list[str]:
    """Return the command that goes on with a run; `settings` are added to its own.

    Only settings of a training are taken from what the run's file says: a project may come from anybody, and may have
    been moved.

    Raises
    ------
    RunError
        What is stored is no training of this program.
    """
    given = parsed(stored, output)
    return [
        *(sys.executable, "-m", "napari_pffnet.train"),
        *("--project", str(project), "--base", given.base or "default", "--output", str(output)),
        *("--effort", given.effort or USUAL_EFFORT, "--device", given.device, "--resume", "auto"),
        *given.overrides,
        *settings,
    ]


def parsed(stored: Sequence[str], output: Path) -> Namespace:
    """Read the command of a run: its `base`, `effort`, `device`, `overrides`.

    Raises
    ------
    RunError
        It is no training of this program.
    """
    try:
        if stored[1:3] != ["-m", "napari_pffnet.train"]:
            raise ValueError
        return build_parser().parse_intermixed_args(stored[3:])
    except (ValueError, SystemExit):
        raise RunError(
            f"{output / 'run.json'} is damaged or not of this program; discard this training and start anew"
        ) from None


def seen(base: str, project: Path) -> tuple[list[str], list[str]]:
    """Images of a project that a model has learnt from, and on which it was checked; none if it cannot be read."""
    entries = {each.name: each for each in read_manifest(project / PROJECT_FILE).images}

    def print_of(name: str) -> str | None:
        try:
            status = find_image(project, entries[name]).stat()
            return _print(project, entries[name], status.st_mtime_ns, status.st_size)
        except (ProjectError, ImageError, OSError):
            return None

    try:
        return seen_by(entry(base).card).among(list(entries), print_of)
    except (LibraryError, OSError):
        return [], []


@lru_cache(1024)
def _print(project: Path, image: ImageEntry, _changed: int, _size: int) -> str:
    """Read an image once, and again when it has changed."""
    return pixel_print(np.asarray(read_plane(project, image)[0]))


def new_folder(project: Path) -> Path:
    """Return a folder for the next run that does not exist, named by date and time."""
    base = project / RUNS / time.strftime("%Y-%m-%d_%H%M%S")
    others = (base.with_name(f"{base.name}-{number}") for number in range(2, 1000))
    return next(folder for folder in (base, *others) if not folder.exists())


def open_run(project: Path) -> Run | None:
    """Return the run of a project that goes on, else the last one that the user has not decided on."""
    runs = _runs(project)
    going = [run for run in runs if run.goes_on]
    undecided = [run for run in runs[:1] if not (run.output / DECISION_FILE).exists()]
    return next(iter([*going, *undecided]), None)


def read_pair(project: Project, output: Path, image: Compared) -> tuple[Array, Array, Array, Array]:
    """Read a held-out image (H×W or H×W×3), what is right, and what the old and the new model found (int H×W).

    Only what is known counts, as in the figures: nuclei elsewhere are left out of all three.

    Raises
    ------
    ProjectError, ImageError, OSError
        Something cannot be read.
    """
    pixels, _ = project.read(image.name)
    files = output / gate_file(image.name, "truth"), output / image.old_labels, output / image.new_labels
    truth, old, new = (tifffile.imread(file).astype(np.int32) for file in files)
    unknown = output / gate_file(image.name, "ignored")
    ignored = tifffile.imread(unknown) > 0 if unknown.is_file() else None
    old, new = (within_complete(truth, found, ignored)[1] for found in (old, new))
    return pixels, within_complete(truth, truth, ignored)[0], old, new


def decide(output: Path, accepted: str | None) -> None:
    """Note what became of a run's model; what only served to resume is deleted."""
    decision = {"accepted": accepted, "date": time.strftime("%Y-%m-%d %H:%M")}
    write_atomic(output / DECISION_FILE, json.dumps(decision).encode())
    (output / RESUME_FILE).unlink(missing_ok=True)


def decided(output: Path) -> bool:
    """Whether the user has said what becomes of a training."""
    return (output / DECISION_FILE).is_file()


def past(project: Path) -> list[Past]:
    """Return the trainings of a project that are over, the last one first; empty if there are none."""
    return [_past(run) for run in _runs(project) if not run.goes_on]


def rename_accepted(project: Path, old: str, new: str) -> None:
    """Note that a model which a project's training brought has another name in the library now."""
    for file in (project / RUNS).glob(f"*/{DECISION_FILE}"):
        with suppress(OSError, ValueError):  # a damaged file, or a project that cannot be written
            decision = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(decision, dict) and decision.get("accepted") == old:
                write_atomic(file, json.dumps({**decision, "accepted": new}).encode())


def accepted_models(project: Path) -> list[str]:
    """Return the models that the project's training brought, the last one first; they may have left the library."""
    names = []
    for file in sorted((project / RUNS).glob(f"*/{DECISION_FILE}"), reverse=True):
        try:
            name = json.loads(file.read_text(encoding="utf-8")).get("accepted")
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(name, str):
            names.append(name)
    return names


def resumable(output: Path) -> bool:
    """Whether a run can go on where it broke off."""
    return (output / RESUME_FILE).is_file()


def discard(output: Path) -> None:
    """Delete a run; a process that is just ending may write for a moment yet."""
    gone = output.with_name(f".{output.name}-discarded")
    patiently(output.rename, gone)
    for _ in range(20):
        shutil.rmtree(gone, ignore_errors=True)
        if not gone.exists():
            return
        time.sleep(0.1)
    raise OSError(f"{gone} could not be deleted as a whole; delete it by hand")


def size_of(images: int, nuclei: int) -> str:
    """Say how many images and nuclei there are."""
    return f"{counted(images, 'image')} ({count_nuclei(nuclei)})"


def _runs(project: Path) -> list[Run]:
    """Return all runs of a project, the last one first."""
    folders = sorted((project / RUNS).glob("*/"), reverse=True)
    return [run for folder in folders if not folder.name.startswith(".") and (run := find(folder)) is not None]


def _past(run: Run) -> Past:
    gate = read_gate(run.output)
    told = [*_settings(run), *_material(run), *([f"the new model is {gate.headline()}"] if gate.usable else [])]
    return Past(run.output, run.since, "\n".join(told), gate, _became(run, gate))


def _settings(run: Run) -> list[str]:
    try:
        given = parsed(run.command, run.output)
    except RunError:
        return []
    own = [setting for setting in given.overrides if not setting.startswith(("finetune.images=", "finetune.held_out="))]
    return [f"from {given.base or 'default'}, effort {given.effort or USUAL_EFFORT}", *own]


def _material(run: Run) -> list[str]:
    plan = next((event for event in run.events() if event["kind"] == "plan"), {})
    try:
        learnt, held = (int(plan["images"]), int(plan["nuclei"])), ", ".join(map(str, plan["held_out"]))
    except (KeyError, TypeError, ValueError):  # it ended before, or its log is damaged
        return []
    return [f"learnt from {size_of(*learnt)}", f"checked on {held}"]


def _became(run: Run, gate: Gate) -> str:
    try:
        accepted = json.loads((run.output / DECISION_FILE).read_text(encoding="utf-8"))["accepted"]
    except FileNotFoundError:
        return UNDECIDED if gate.usable else BROKE_OFF
    except (OSError, ValueError, KeyError, TypeError):
        return UNDECIDED
    return accepted if isinstance(accepted, str) else OLD_KEPT
