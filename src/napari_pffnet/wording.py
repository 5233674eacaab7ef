"""Numbers and names as messages say them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

MINUTE_S, HOUR_S = 60, 3600
#: the key that Qt calls Ctrl
CTRL = "Cmd" if sys.platform == "darwin" else "Ctrl"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 image", "3 images"; `many` where that is not `one` with an s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def count_nuclei(count: int, kind: str = "") -> str:
    """Return such as "1 nucleus", "3 nuclei" or, of a kind, "3 accepted nuclei"."""
    kind = f"{kind} " if kind else ""
    return counted(count, f"{kind}nucleus", f"{kind}nuclei")


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def dimensions(shape: Iterable[object]) -> str:
    """Return a shape as "512×768"."""
    return "×".join(map(str, shape))


def duration(seconds: float) -> str:
    """Return a time in seconds as "45 s", "12 min" or "1.5 h"."""
    if seconds < MINUTE_S:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / MINUTE_S:.0f} min" if seconds < HOUR_S else f"{seconds / HOUR_S:.1f} h"
