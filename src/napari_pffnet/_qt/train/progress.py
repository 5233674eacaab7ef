"""What a run has told so far: curves, progress, time left. No Qt in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from napari_pffnet.typing import Array
from napari_pffnet.wording import duration

WINDOW_S = 60.0
POINTS = 400
TOTAL = "total"
Curve = tuple[Array, Array]


class Progress:
    """Gathers the events of a run."""

    def __init__(self) -> None:
        self.step = self.steps = 0
        self.crops_per_second = 0.0
        self.plan: dict[str, Any] = {}
        self.memory = 0
        self.preview: Path | None = None
        self._at: list[int] = []
        self._losses: dict[str, list[float]] = {}
        self._checks: list[tuple[int, dict[str, float]]] = []
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """Take in events; steps that are done again after an interruption replace those before."""
        takers = {
            "plan": self._plan,
            "step": self._step,
            "validation": self._check,
            "preview": self._preview,
        }
        for event in events:
            if event["kind"] in takers:
                takers[event["kind"]](event)

    def tick(self, now: float, running: bool) -> None:
        """Note how far it is at a time in seconds; pauses do not count."""
        if not running:
            self._seen.clear()
        elif self.step:
            self._seen.append((now, self.step))
            while self._seen[-1][0] - self._seen[0][0] > WINDOW_S:
                self._seen.popleft()

    def seconds_left(self) -> float | None:
        """Estimate the time to the last step, from the last minute, at first from the measured plan."""
        left = self.steps - self.step
        if len(self._seen) > 1 and self._seen[-1][1] > self._seen[0][1]:
            (first, before), (last, after) = self._seen[0], self._seen[-1]
            return left * (last - first) / (after - before)
        per_step = self.plan.get("seconds_per_step")
        return left * float(per_step) if per_step and self.steps else None

    def expected(self) -> str:
        """Say what the plan promises; nothing before there is one."""
        if not self.plan.get("seconds_per_step"):
            return ""
        seconds = float(self.plan["seconds_per_step"])
        return f"{duration(self.steps * seconds)} at most: {self.steps} steps of {seconds:.1f} s, measured here"

    def sentence(self, paused: bool, stopping: bool) -> str:
        """Say how far it is; before the first step, what the plan promises."""
        if not self.step:
            before = self.expected() or "Preparing: reading images, measuring the time of a step…"
            return f"{before} · pauses after the first step" if paused else before
        left = self.seconds_left()
        parts = [f"step {self.step} of {self.steps}"]
        if self.step == self.steps or stopping:
            parts.append("comparing with the old model…")
        elif paused:
            parts.append("paused")
        elif left is not None:
            parts.append(f"{duration(left)} left")
        if self.crops_per_second and not paused:
            parts.append(f"{self.crops_per_second:.1f} crops/s")
        if self.memory:
            parts.append(f"{self.memory / 2**30:.1f} GB")
        return " · ".join(parts)

    def losses(self) -> dict[str, Curve]:
        """Return each loss over the steps, and their sum first; long curves are averaged to a few hundred points."""
        at = np.array(self._at, float)
        named = {name: np.array(values, float) for name, values in self._losses.items()}
        total = {TOTAL: np.nansum(list(named.values()), axis=0)} if named else {}
        return {name: thin(at, values) for name, values in {**total, **named}.items()}

    def metrics(self) -> dict[str, Curve]:
        """Return AP50 and PQ on the held-out images over the steps."""
        curves = {}
        for name, title in (("ap50", "AP50"), ("pq", "PQ")):
            known = [(step, metrics[name]) for step, metrics in self._checks if name in metrics]
            if known:
                steps, values = np.array(known, float).T
                curves[title] = (steps, values)
        return curves

    def _plan(self, event: dict[str, Any]) -> None:
        self.plan = event
        self.steps = int(event.get("steps") or self.steps)

    def _step(self, event: dict[str, Any]) -> None:
        self.step, self.steps = int(event["step"]), int(event["steps"])
        self.crops_per_second = float(event.get("crops_per_second") or 0)
        self.memory = int(event.get("memory") or 0)
        kept = len(self._at)
        while kept and self._at[kept - 1] >= self.step:
            kept -= 1
        del self._at[kept:]
        for values in self._losses.values():
            del values[kept:]
        for name in event["losses"]:
            self._losses.setdefault(name, [np.nan] * kept)
        self._at.append(self.step)
        for name, values in self._losses.items():
            values.append(float(event["losses"].get(name, np.nan)))

    def _check(self, event: dict[str, Any]) -> None:
        self._checks = [check for check in self._checks if check[0] < event["step"]]
        self._checks.append((int(event["step"]), event["metrics"]))

    def _preview(self, event: dict[str, Any]) -> None:
        self.preview = Path(event["path"])


def thin(x: Array, y: Array, points: int = POINTS) -> Curve:
    """Average neighbouring points so that about `points` are left."""
    block = -(-len(x) // points) if len(x) > points else 1
    if block == 1:
        return x, y
    whole = len(x) // block * block
    return x[:whole].reshape(-1, block).mean(1), y[:whole].reshape(-1, block).mean(1)
