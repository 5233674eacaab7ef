"""Writing files so that a crash never leaves half of one."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from napari_pffnet.io.patience import is_busy, patiently

#: characters of a file's name in that of its temporary copy, which is no longer than names may be
SHOWN = 32
#: Pattern of the names of temporary copies, which a killed program leaves behind; earlier versions' are longer.
TEMPORARY = ".*-" + "[0-9a-f]" * 16 + "*.*"


def write_atomic(path: str | Path, content: bytes | Callable[[Path], object], *, replace: bool = True) -> None:
    """Write a file completely or not at all; readers see the old file or the new one.

    Parameters
    ----------
    path : str or Path
        The file; its folder exists. Of a link, that to which it points.
    content : bytes or callable
        What to write, or a function that writes it to the path that it is given. That path lies in the same folder and
        ends in the same suffix.
    replace : bool
        Whether an old file gives way to the new one.

    Raises
    ------
    FileExistsError
        There is a file, and it is not to be replaced.
    OSError
        The folder is missing, full or not writable; it names `path`. The old file, if any, is unchanged.
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    temporary = path.with_name(f".{path.stem[:SHOWN]}-{uuid.uuid4().hex[:16]}{path.suffix}")
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        _to_disk(temporary)
        if replace:
            patiently(os.replace, temporary, path)
        else:
            move_new(temporary, path)
    except OSError as error:  # a full disk names no file, others the temporary one
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        elsewhere = "; if it is open in another program, close it there" if is_busy(error) else ""
        raise OSError(error.errno, f"{error.strerror}{elsewhere}", str(path)) from error
    finally:
        with suppress(OSError):
            patiently(temporary.unlink, missing_ok=True)


def move_new(source: Path, target: Path) -> None:
    """Rename a file within its folder, never replacing another one.

    Raises
    ------
    FileExistsError
        There is a file of the new name.
    """
    try:
        patiently(os.link, source, target)  # unlike a rename, it fails if there is a target
    except FileExistsError:
        raise
    except OSError as error:  # a file system without hard links
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        patiently(source.rename, target)
    else:
        patiently(source.unlink)


def _to_disk(path: Path) -> None:
    """Without this a power cut after the rename can leave an empty file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
