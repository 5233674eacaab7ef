"""Tooltips of texts that users and files bring."""

from __future__ import annotations

from html import escape


def plain(text: str) -> str:
    """Return a tooltip that shows a text as it is: Qt would take some for HTML."""
    return f"<p style='white-space:pre-wrap'>{escape(text)}</p>" if text else ""
