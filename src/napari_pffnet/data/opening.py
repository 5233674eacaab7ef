"""Opening annotated images of any layout, and checking them all before training starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_pffnet.data.coco import CocoSource
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.project import ProjectSource
from napari_pffnet.data.sources import DataError, Source
from napari_pffnet.io.project import is_project
from napari_pffnet.wording import counted


def open_source(path: str | Path) -> Source:
    """Open annotated images.

    Parameters
    ----------
    path : str or Path
        A project's folder; a folder with ``images/`` and ``labels/`` (optional ``semantic/``); a COCO JSON file, or a
        folder that holds one.

    Raises
    ------
    DataError
        Nothing of the kind is there, or the JSON is no COCO file.
    """
    path = Path(path)
    if is_project(path):
        return ProjectSource(path)
    if path.is_file() and path.suffix.lower() == ".json":
        return CocoSource(path)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return FolderSource(path)
    found = sorted([*path.glob("*.json"), *path.glob("annotations/*.json")])
    if len(found) == 1:
        return CocoSource(found[0])
    if found:
        raise DataError(
            f"{path}: holds several JSON files ({', '.join(f.name for f in found)}); give the path of one of them"
        )
    reason = "no such folder" if not path.exists() else "found neither images/ with labels/ nor a COCO .json file"
    raise DataError(f"{path}: {reason}; expected images/NAME.png with labels/NAME.tif")


def check(sources: Sequence[Source]) -> None:
    """Read everything once.

    Raises
    ------
    DataError
        One report that lists every faulty file of every source.
    """
    faults = [fault for source in sources for fault in [*source.faults(), *_unreadable(source)]]
    if faults:
        raise DataError("\n  ".join([f"{counted(len(faults), 'problem')} in the data:", *faults]))


def _unreadable(source: Source) -> list[str]:
    faults = []
    for i in range(len(source)):
        try:
            source.read(i)
        except DataError as error:
            faults += str(error).splitlines()
    return faults
