"""A file that says who works on something, so that a second one is noticed."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from napari_pffnet.io.atomic import move_new, write_atomic
from napari_pffnet.io.patience import patiently
from napari_pffnet.io.process import alive, is_here, machine, started
from napari_pffnet.io.user import user_name


class InUse(Exception):
    """Somebody holds the lock; the message says who, where and since when."""


class Lock:
    """Holds a lock file from creation to `release`.

    Parameters
    ----------
    file : Path
        In a folder that is there.
    take_over : bool
        Take the lock also from a holder that seems to be alive.

    Raises
    ------
    InUse
        Somebody else holds it. A lock whose process on this machine has ended counts as none.
    OSError
        The folder is not writable.
    """

    def __init__(self, file: Path, take_over: bool = False) -> None:
        self.file = file
        self.key = uuid.uuid4().hex
        holder = _read(self.file)
        if holder is not None and not take_over and _in_use(holder):
            raise InUse(f"by {holder.get('user') or 'somebody'} on {holder.get('host')} since {holder.get('since')}")
        if holder is not None:
            self._move_aside(holder)
        self._write()

    def held(self) -> bool:
        """Whether the lock is still ours; another program may have taken it over. One that was deleted is set again."""
        holder = _read(self.file)
        if holder is None:
            try:
                self._write()
            except InUse:
                return False
            return True
        return holder.get("key") == self.key

    def release(self) -> None:
        """Give the lock back, if it is there and ours."""
        holder = _read(self.file)
        if holder is not None and holder.get("key") == self.key:
            patiently(self.file.unlink, missing_ok=True)

    def _write(self) -> None:
        content = {
            "pid": os.getpid(),
            "started": started(os.getpid()),
            "host": machine(),
            "user": user_name(),
            "since": time.strftime("%Y-%m-%d %H:%M"),
            "key": self.key,
        }
        try:
            write_atomic(self.file, json.dumps(content).encode(), replace=False)
        except FileExistsError:
            raise InUse("by another program, just now") from None

    def _move_aside(self, holder: dict[str, Any]) -> None:
        """Take an old lock away; another program may do so, and lock anew, at this very moment."""
        aside = self.file.with_name(f"{self.file.name}.{self.key}")
        try:
            patiently(self.file.rename, aside)
        except FileNotFoundError:
            return
        if _read(aside) != holder:
            move_new(aside, self.file)
            raise InUse("by another program, just now")
        patiently(aside.unlink)


def _read(file: Path) -> dict[str, Any] | None:
    """Return who holds the lock; {} if the file says nothing useful, None if there is none."""
    try:
        content = json.loads(patiently(file.read_text, encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _in_use(holder: dict[str, Any]) -> bool:
    """Of another machine nothing is known: its lock counts. An unreadable lock was never finished."""
    if not isinstance(holder.get("pid"), int):
        return False
    if not is_here(holder.get("host")):
        return True
    return alive(holder["pid"], holder.get("started"))
