"""Where images of a project are complete, on disk: the file in use and the one before it."""

from __future__ import annotations

from pathlib import Path

from napari_pffnet.io.own_file import OwnFile, link_or_copy
from napari_pffnet.io.project import ProjectError, annotation_file
from napari_pffnet.io.regions import Regions, read_regions, regions_bytes


class RegionFiles:
    """Reads and writes ``regions/NAME.json``; the version before is ``journal/NAME/previous-regions.json``.

    Parameters
    ----------
    folder : Path
        The project's.
    notes : list of str
        Takes what the user should know.
    """

    def __init__(self, folder: Path, notes: list[str]) -> None:
        self.folder, self.notes = folder, notes
        self._files: dict[str, OwnFile] = {}

    def read(self, name: str, *, readonly: bool) -> Regions:
        """Read an image's regions; where the file is damaged, the version before, which then takes its place.

        Raises
        ------
        ProjectError
            It is damaged, and there is no version before.
        """
        file = self._file(name)
        file.read()
        try:
            return read_regions(file.path)
        except ProjectError as error:
            if not self._previous(name).is_file():
                raise
            former = read_regions(self._previous(name))
            kept = None if readonly else file.keep("damaged")
            if not readonly:
                file.write(regions_bytes(former))
            told = f"; the damaged file is kept as {kept.name}" if kept else ""
            self.notes.append(f"{error}. Complete areas are those before the last change{told}")
            return former

    def write(self, name: str, regions: Regions) -> None:
        """Write an image's regions; what another program has written meanwhile is kept beside."""
        file, previous = self._file(name), self._previous(name)
        if file.path.exists() and not file.changed_outside():
            previous.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(file.path, previous)
        told = file.write(regions_bytes(regions))
        self.notes += [told] if told else []

    def _file(self, name: str) -> OwnFile:
        return self._files.setdefault(name, OwnFile(annotation_file(self.folder, "regions", name)))

    def _previous(self, name: str) -> Path:
        return self.folder / "journal" / name / "previous-regions.json"
