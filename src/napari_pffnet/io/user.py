"""Who works here."""

from __future__ import annotations

import getpass
from functools import cache


@cache
def user_name() -> str:
    """Return the login name; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
