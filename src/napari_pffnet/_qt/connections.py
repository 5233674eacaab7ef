"""Signals that are listened to for a while. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pair = tuple[Any, Callable[..., Any]]


class Connections:
    """Signals and their slots, connected until `close`; true as long as there are any.

    Parameters
    ----------
    *pairs : tuple
        A signal, which has ``connect`` and ``disconnect``, and its slot.
    """

    def __init__(self, *pairs: Pair) -> None:
        self._pairs = pairs
        for signal, slot in pairs:
            signal.connect(slot)

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def close(self) -> None:
        """Disconnect all."""
        for signal, slot in self._pairs:
            signal.disconnect(slot)
        self._pairs = ()
