"""Readers of training events: a progress bar, a JSON-lines log and TensorBoard."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from napari_pffnet.train.events import Checkpoint, Comparison, Event, Message, Plan, Preview, Step, Validation
from napari_pffnet.wording import count_nuclei, counted, duration

LOG_FILE = "log.jsonl"
HEADLINE = ("ap50", "mean_ap", "aji", "pq", "dice")


def log_lines(events: Iterable[Event], path: Path) -> Iterator[Event]:
    """Append each event to a JSON-lines file as it passes."""
    with path.open("a", encoding="utf-8") as file:
        for event in events:
            file.write(json.dumps(dataclasses.asdict(event), default=str) + "\n")
            file.flush()
            yield event


def tensorboard(events: Iterable[Event], folder: Path) -> Iterator[Event]:
    """Write losses, rate and metrics for TensorBoard as they pass (needs the package tensorboard)."""
    from torch.utils.tensorboard import SummaryWriter

    with ExitStack() as stack:
        writer: Any = stack.enter_context(SummaryWriter(str(folder)))
        for event in events:
            for name, value in _scalars(event).items():
                writer.add_scalar(name, value, getattr(event, "step", 0))
            yield event


def show(events: Iterable[Event], *, quiet: bool = False) -> None:
    """Consume the events; draw a progress bar with the time left and print what is worth a line."""
    with ExitStack() as stack:
        bar = None
        for event in events:
            if not isinstance(event, Step):
                tqdm.write(describe(event))
            elif not quiet:
                bar = bar or stack.enter_context(tqdm(total=event.steps, initial=event.step - 1, unit="step"))
                bar.set_postfix_str(f"loss {sum(event.losses.values()):.3f}", refresh=False)
                bar.update(event.step - bar.n)


def describe(event: Event) -> str:
    """One line about an event."""
    if isinstance(event, Validation):
        figures = ", ".join(f"{name} {event.metrics[name]:.3f}" for name in HEADLINE if name in event.metrics)
        return f"step {event.step}: {figures or 'no validation images'}"
    if isinstance(event, Checkpoint):
        return f"step {event.step}: wrote {event.path}{' (best so far)' if event.best else ''}"
    if isinstance(event, Message):
        return event.text
    if isinstance(event, Comparison):
        return "\n".join([*event.lines, f"the new model is {event.headline}"])
    if isinstance(event, Preview):
        return f"step {event.step}: wrote {event.path}"
    if isinstance(event, Plan):
        images = f"{counted(event.images, 'image')} with {count_nuclei(event.nuclei)}"
        return (
            f"{images}; held out: {', '.join(event.held_out)};"
            f" at most {event.steps} steps of {event.seconds_per_step:.2f} s"
            f" ({event.batch} crops of {event.crop} pixels, {event.precision}):"
            f" {duration(event.steps * event.seconds_per_step)}"
        )
    return f"step {event.step}: " + ", ".join(f"{name} {value:.4f}" for name, value in event.losses.items())


def _scalars(event: Event) -> dict[str, float]:
    if isinstance(event, Step):
        return {**event.losses, "rate": event.rate, "crops_per_second": event.crops_per_second}
    return event.metrics if isinstance(event, Validation) else {}
