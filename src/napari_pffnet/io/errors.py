"""Errors in words; and the one that is none."""

from __future__ import annotations


class Cancelled(Exception):
    """The user stopped the segmentation."""


def reason(error: BaseException) -> str:
    """Return what an error says, without numbers of the operating system: the file and what is wrong with it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or repr(error)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; its kind if that is nothing."""
    return str(error).splitlines()[0] if str(error) else repr(error)
