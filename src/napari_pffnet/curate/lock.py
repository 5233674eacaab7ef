"""Who has a project open."""

from __future__ import annotations

from pathlib import Path

from napari_pffnet.io.lock import InUse, Lock
from napari_pffnet.io.project import ProjectError

LOCK_FILE = "project.lock"


class ProjectLocked(ProjectError):
    """Somebody has the project open."""


def lock_project(folder: Path, take_over: bool = False) -> Lock:
    """Take the lock of a project's folder; arguments as of `Lock`.

    Raises
    ------
    ProjectLocked
        Somebody else has it open.
    OSError
        The folder is not writable.
    """
    try:
        return Lock(folder / LOCK_FILE, take_over)
    except InUse as error:
        raise ProjectLocked(
            f"{folder} is open already, {error}; close it there first, or take it over if nobody works on it"
        ) from None
