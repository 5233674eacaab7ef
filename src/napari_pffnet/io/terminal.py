"""Printing to terminals and to files that stand for them, which know neither every character nor a cursor."""

from __future__ import annotations

import io
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, TextIO


def print_any_text() -> None:
    """Let standard output and errors escape what they cannot encode, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def quiet_readers() -> None:
    """Let tifffile log nothing to the terminal: what is wrong with a file is told once, with its name."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once, to standard output if not elsewhere; who reads it may have enough, as in ``| head``."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        drop(stream)


def as_typed(command: Sequence[str]) -> str:
    """Return a command as it is typed in a shell of this system."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def drop(stream: TextIO) -> None:
    """Let what is still written to a stream vanish."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Lines:
    """Where a progress bar writes that nobody watches: each state is a line of its own."""

    def write(self, text: str) -> None:
        """Write what the bar shows, without what moves the cursor."""
        if shown := text.strip():
            tell(shown, sys.stderr)

    def flush(self) -> None:
        """Do nothing: every line is out already."""


#: arguments of a progress bar that nobody watches: a line every 30 seconds
IN_FILES: dict[str, Any] = {"mininterval": 30, "maxinterval": 30, "delay": 30, "ascii": True, "file": Lines()}
