"""Whether a process of this machine still runs."""

from __future__ import annotations

from pathlib import Path

import psutil


def started(pid: int) -> int | None:
    """Return when a process started, None if nobody knows: numbers of processes are used again.

    Of Linux the kernel's own count, which stays when the clock is set; elsewhere seconds since 1970.
    """
    fields = _facts(pid)
    if len(fields) > 19:
        return int(fields[19])
    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def alive(pid: int, since: int | None) -> bool:
    """Whether the process of that number runs, and is the one that started at `since` (of `started`; None: unknown)."""
    if not psutil.pid_exists(pid) or _facts(pid)[:1] == ["Z"]:
        return False
    now = started(pid)
    return now is None or since is None or now == since


def _facts(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on; none on other systems."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
