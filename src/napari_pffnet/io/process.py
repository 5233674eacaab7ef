"""Whether a process still runs, and whether it is one of this machine."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import psutil

#: seconds by which the start of one process may be told differently where it is counted from a clock that is set
CLOCK_SET = 60


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
    if now is None or since is None:
        return True
    return now == since if _facts(pid) else abs(now - since) <= CLOCK_SET


def machine() -> str:
    """Return the name of this machine; of a Mac without that of its network, which changes from one to the next."""
    return _name(socket.gethostname())


def is_here(host: object) -> bool:
    """Whether a name, of `machine`, is that of this one."""
    return isinstance(host, str) and _name(host) == machine()


def _name(host: str) -> str:
    return host.partition(".")[0] if sys.platform == "darwin" and not host[:1].isdigit() else host


def _facts(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on; none on other systems."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
