"""Names and paths that hold on every system."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: names of files that Windows keeps for devices
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
NOT_ON_WINDOWS = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def portable(name: str) -> str:
    """Return the name of a file without its suffix as every system takes it: other characters become _."""
    kept = NOT_ON_WINDOWS.sub("_", name).rstrip(" .")
    return f"{kept}_" if DEVICE.fullmatch(kept) else kept


def relative(file: Path, folder: Path) -> str:
    """Return a path seen from a folder, with /; the full path where that cannot be (another drive)."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.absolute().as_posix()
