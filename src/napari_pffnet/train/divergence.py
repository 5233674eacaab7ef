"""Noticing that training has gone wrong: a loss that is not finite, or one that has grown many times over."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 10
SMOOTHING = 0.8
GROWTH = 4.0


@dataclass
class Watch:
    """Follows the sum of the losses over the steps."""

    steps: int = 0
    first: float = 0.0
    smooth: float = 0.0

    def fault(self, losses: dict[str, float]) -> str:
        """Take in a step's losses; return what is wrong, or nothing.

        A run has diverged when the smoothed sum is 4 times what it was over the first 10 steps.
        """
        bad = [name for name, value in losses.items() if not abs(value) < float("inf")]
        if bad:
            return f"{', '.join(bad)} is not finite"
        total = sum(losses.values())
        self.steps += 1
        self.smooth = total if self.steps == 1 else SMOOTHING * self.smooth + (1 - SMOOTHING) * total
        if self.steps <= FIRST:
            self.first += total / FIRST
            return ""
        return "the losses have grown many times over" if self.smooth > GROWTH * self.first else ""
