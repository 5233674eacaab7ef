"""Printing where the terminal, or the file that stands for it, does not know every character."""

from __future__ import annotations

import io
import sys


def print_any_text() -> None:
    """Let standard output and errors escape what they cannot encode, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
