"""Files that only we should write: what others wrote meanwhile is noticed and kept beside."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.patience import patiently


class OwnFile:
    """A small file that we read and write whole.

    Parameters
    ----------
    path : Path
        The file; it need not exist.

    Attributes
    ----------
    digest : str or None
        SHA-256 of what we read or wrote last; None if there was no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest: str | None = None
        self._stamp: tuple[int, int] | None = None

    def read(self) -> bytes | None:
        """Return the content; None if there is no file."""
        self._stamp = _stamp(self.path)
        content = self.path.read_bytes() if self._stamp else None
        self.digest = digest(content)
        return content

    def changed_outside(self) -> bool:
        """Whether somebody else has written or deleted the file since we read or wrote it."""
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return False
        return digest(self.path.read_bytes() if stamp else None) != self.digest

    def write(self, content: bytes) -> str:
        """Write the file whole or not at all; say where the version of somebody else is kept, if there was one."""
        kept = self.keep("outside") if self.changed_outside() else None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, content)
        self._stamp, self.digest = _stamp(self.path), digest(content)
        return f"{self.path} was changed outside of napari; that version is kept as {kept.name}" if kept else ""

    def keep(self, why: str) -> Path | None:
        """Keep what is there now beside, as ``NAME.why-DATE-TIME.SUFFIX``; None if there is no file."""
        if not self.path.exists():
            return None
        place = beside(self.path, why)
        link_or_copy(self.path, place)
        return place


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 of a file's content; None of none."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def beside(path: Path, why: str) -> Path:
    """Return a free name ``NAME.why-DATE-TIME.SUFFIX`` beside a file."""
    stem = f"{path.stem}.{why}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = [path.with_name(f"{stem}{number}{path.suffix}") for number in ("", *(f"-{i}" for i in range(2, 100)))]
    return next((name for name in names if not name.exists()), names[-1])


def link_or_copy(file: Path, place: Path) -> None:
    """Give a file a second name, or copy it where the file system knows no such names; replaces `place`."""
    temporary = place.with_name(f".{place.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(file, temporary)
    except OSError:
        shutil.copy2(file, temporary)
    patiently(os.replace, temporary, place)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
