"""Files that another program has open: on Windows they cannot be renamed, replaced or deleted meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Windows' numbers of "access is denied", "used by another process" and "locked by another process"
BUSY = (5, 32, 33)
PATIENCE, PAUSE = 2.0, 0.05


def patiently(action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something with a file, for two seconds again and again while another program has it open.

    Programs that look for viruses, index or synchronise open each new file for a moment.

    Raises
    ------
    OSError
        It did not work; the last reason.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return action(*args, **kwargs)
        except OSError as error:
            if not is_busy(error) or time.monotonic() > end:
                raise
        time.sleep(PAUSE)


def is_busy(error: OSError) -> bool:
    """Whether an error may say that another program has the file open; never on other systems than Windows."""
    return getattr(error, "winerror", None) in BUSY
