"""Whether a process of this machine still runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def started(pid: int) -> int | None:
    """Return when a process started, where the system tells (Linux): numbers of processes are used again."""
    fields = _facts(pid)
    return int(fields[19]) if len(fields) > 19 else None


def alive(pid: int, since: int | None) -> bool:
    """Whether the process of that number runs, and is the one that started at `since` (of `started`; None: unknown)."""
    if not _exists(pid) or _facts(pid)[:1] == ["Z"]:
        return False
    now = started(pid)
    return now is None or since is None or now == since


def _exists(pid: int) -> bool:
    if sys.platform == "win32":  # there os.kill would end the process
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return code.value == 259  # still active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _facts(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on; none on other systems."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
