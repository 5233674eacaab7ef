"""Printing to terminals and to files that stand for them, which know neither every character nor a cursor."""

from __future__ import annotations

import io
import sys
from typing import Any


def print_any_text() -> None:
    """Let standard output and errors escape what they cannot encode, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Lines:
    """Where a progress bar writes that nobody watches: each state is a line of its own."""

    def write(self, text: str) -> None:
        """Write what the bar shows, without what moves the cursor."""
        if shown := text.strip():
            print(shown, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Do nothing: every line is out already."""


#: arguments of a progress bar that nobody watches: a line every 30 seconds
IN_FILES: dict[str, Any] = {"mininterval": 30, "maxinterval": 30, "delay": 30, "ascii": True, "file": Lines()}
