"""A project: images, their annotation, and what is to be done next. The folder is described in `io.project`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_pffnet.curate.intake import Intake, NewImage, find_images
from napari_pffnet.curate.lock import LOCK_FILE, ProjectLocked, lock_project
from napari_pffnet.curate.region_files import RegionFiles
from napari_pffnet.curate.work import Work
from napari_pffnet.io.atomic import TEMPORARY, write_atomic
from napari_pffnet.io.errors import reason
from napari_pffnet.io.lock import Lock
from napari_pffnet.io.own_file import OwnFile
from napari_pffnet.io.paths import relative
from napari_pffnet.io.project import (
    FOLDERS,
    PROJECT_FILE,
    RUNS,
    ImageEntry,
    Manifest,
    ProjectError,
    State,
    find_image,
    is_project,
    manifest_bytes,
    read_manifest,
    read_plane,
)
from napari_pffnet.io.regions import Regions

__all__ = ["Added", "Project", "ProjectError", "ProjectLocked"]

Report = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Added:
    """What became of files to add: names of the new images, facts to tell, and one line for each that was left out."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Project:
    """A project that is open; use `create` or `open`.

    Attributes
    ----------
    folder : Path
        Where it is.
    manifest : Manifest
        Its images.
    readonly : bool
        The folder cannot be written.
    notes : list of str
        What the user should know; the reader may clear it.
    """

    def __init__(self, folder: Path, lock: Lock | None) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._lock = lock
        self._file = OwnFile(folder / PROJECT_FILE)
        self._regions = RegionFiles(folder, self.notes)
        self.manifest = self._read_manifest()
        if self.readonly:
            self.notes.append(f"{folder} cannot be written; you can look at it, and work on a copy after Save As…")
        else:
            self._tidy()

    @classmethod
    def create(cls, folder: str | Path) -> Project:
        """Make a new project in a folder that is empty or does not exist.

        Raises
        ------
        ProjectError
            There is something in the folder already.
        OSError
            The folder cannot be written.
        """
        folder = check_new(folder)
        for kind in ("images", *FOLDERS):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        OwnFile(folder / PROJECT_FILE).write(manifest_bytes(Manifest()))
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path, *, take_over: bool = False) -> Project:
        """Open a project; one that cannot be written is opened for reading.

        Parameters
        ----------
        folder : str or Path
            The folder, or its ``project.json``.
        take_over : bool
            Open it even if somebody seems to have it open.

        Raises
        ------
        ProjectError
            There is no project, or its ``project.json`` cannot be used; `ProjectLocked` if somebody has it open.
        """
        folder = check_there(folder)
        try:
            lock = lock_project(folder, take_over)
        except OSError:
            lock = None
        try:
            return cls(folder, lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    @property
    def readonly(self) -> bool:
        """Whether nothing is written."""
        return self._lock is None

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def close(self) -> None:
        """Let others open it."""
        if self._lock:
            self._lock.release()
            self._lock = None

    def entry(self, name: str) -> ImageEntry:
        """Return what is listed of an image.

        Raises
        ------
        ProjectError
            The project has no image of that name.
        """
        for entry in self.manifest.images:
            if entry.name == name:
                return entry
        raise ProjectError(f"{self.folder}: no image '{name}' in this project")

    def add(
        self, paths: Sequence[str | Path], *, copy: bool = True, report: Report = lambda _done, _total: None
    ) -> Added:
        """Add image files, and those in folders: `gather` and `take` in one."""
        return self.take(self.gather(paths, copy=copy, report=report))

    def gather(
        self,
        paths: Sequence[str | Path],
        *,
        copy: bool = True,
        report: Report = lambda _done, _total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Intake:
        """Read image files, and those in folders; a bad one is named and the others go on. May run in another thread.

        Parameters
        ----------
        paths : sequence of str or Path
            Files, or folders whose images (of their folders too) are taken; labels that lie beside an image are its
            annotation (`intake.find_images`).
        copy : bool
            Copy them into the project; otherwise they stay where they are.
        report : callable
            Told how many are done, of how many.
        cancelled : callable
            Asked before each file; once true, no more are read.
        """
        self._check_writable()
        found, problems = find_images(paths)
        intake = Intake(self.folder, self.manifest, copy)
        intake.problems += problems
        for each in _counted(found, report, cancelled):
            intake.take(each)
        return intake

    def gather_pixels(
        self,
        images: Sequence[NewImage],
        *,
        report: Report = lambda _done, _total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Intake:
        """Write images that are in no file, and their annotation, as `gather` does those of files."""
        self._check_writable()
        intake = Intake(self.folder, self.manifest, copy=True)
        for image in _counted(images, report, cancelled):
            try:
                intake.take_pixels(image)
            except (ValueError, OSError) as error:
                intake.problems.append(reason(error))
        return intake

    def take(self, intake: Intake) -> Added:
        """List what was gathered."""
        self._check_writable()
        self._write_manifest((*self.manifest.images, *intake.entries))
        came = f"{intake.annotated} of {len(intake.entries)} images came with nuclei: check them, then press Mark done"
        notes = [*([came] if intake.annotated else []), *intake.notes]
        return Added(tuple(entry.name for entry in intake.entries), tuple(notes), tuple(intake.problems))

    def read(self, name: str) -> tuple[np.ndarray[Any, Any], Mapping[str, float]]:
        """Read an image (H×W or H×W×3) and the sizes of its pixels in µm along X and Y, where they are known.

        Raises
        ------
        ProjectError, ImageError
            It is missing or cannot be read.
        """
        entry = self.entry(name)
        size = find_image(self.folder, entry).stat().st_size
        if size != entry.size:
            self.notes.append(
                f"the file of image '{name}' has changed since it was added ({size} bytes instead of {entry.size}); "
                "check that the annotation still fits"
            )
        return read_plane(self.folder, entry)

    def work(self, name: str, shape: tuple[int, int]) -> Work:
        """Open the annotation of an image of H×W = `shape`.

        Raises
        ------
        ProjectError, OSError
            As `Work.open`; or another program has taken the project over.
        """
        self.check_lock()
        return Work.open(self.folder, name, shape, readonly=self.readonly)

    def check_lock(self) -> None:
        """Raise ProjectError if another program has taken the project over."""
        if not self.folder.is_dir():
            raise ProjectError(f"{self.folder} is gone; put the folder back where it was, or use Save As…")
        if self._lock and not self._lock.held():
            raise ProjectError(
                f"{self.folder} was taken over by another program; nothing more is saved here. "
                "Close it there and open it again"
            )

    def set_state(self, name: str, state: State) -> None:
        """Set an image's state."""
        if self.entry(name).state == state:
            return
        self._check_writable()
        changed = {"state": state}
        self._write_manifest(e.model_copy(update=changed) if e.name == name else e for e in self.manifest.images)

    def following(self, name: str | None = None) -> str | None:
        """Return the next image that is not done, after `name` and then from the start; None if all are done."""
        names = [entry.name for entry in self.manifest.images]
        start = names.index(name) + 1 if name in names else 0
        order = [*self.manifest.images[start:], *self.manifest.images[:start]]
        return next((entry.name for entry in order if entry.state != "done" and entry.name != name), None)

    def regions(self, name: str) -> Regions:
        """Return where an image is complete."""
        return self._regions.read(name, readonly=self.readonly)

    def write_regions(self, name: str, regions: Regions) -> None:
        """Write where an image is complete; what another program has written meanwhile is kept beside."""
        self._check_writable()
        self._regions.write(name, regions)

    def save_as(self, folder: str | Path, report: Report = lambda _done, _total: None) -> Project:
        """Copy the project to another folder, and open the copy; this one stays as it is and open.

        Images inside the project are copied; references stay references. Training runs stay where they are. Of a
        project whose folder is gone (a drive that was unplugged) only the list of images is left.
        """
        folder = Path(folder).absolute()
        if folder.is_relative_to(self.folder):
            raise ProjectError(f"{folder} lies inside the project; choose a folder outside {self.folder}")
        check_new(folder)
        files = [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            and path.name != LOCK_FILE
            and not path.name.startswith(".")
            and path.relative_to(self.folder).parts[0] != RUNS
        ]
        files.sort(key=lambda path: path.name == PROJECT_FILE)  # the list last: until then it is no project
        for number, file in enumerate(files):
            report(number, len(files))
            place = folder / file.relative_to(self.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
        gone = not is_project(folder)
        if gone:
            folder.mkdir(parents=True, exist_ok=True)
            OwnFile(folder / PROJECT_FILE).write(manifest_bytes(self.manifest))
        copy = Project.open(folder)
        if gone:
            copy.notes.append(
                f"{self.folder} is gone or damaged: {folder} holds the list of images and what is in view. When it is"
                " back, copy the files that are missing from it, but replace none"
            )
        copy._write_manifest(_seen_from(folder, self.folder, entry) for entry in copy.manifest.images)
        return copy

    def _check_writable(self) -> None:
        if self.readonly:
            raise ProjectError(f"{self.folder} cannot be written; use Save As… to work on a copy")
        self.check_lock()

    def _read_manifest(self) -> Manifest:
        """Read ``project.json``; a broken one is kept beside, and the one before is used."""
        self._file.read()
        try:
            return read_manifest(self._file.path)
        except ProjectError as error:
            former = _former(self.folder)
            if self.readonly or not former.is_file():
                raise
            manifest = read_manifest(former)
            kept = self._file.keep("damaged")
            self._file.write(manifest_bytes(manifest))
            self.notes.append(
                f"{error}. The list before the last change is used; the damaged one is kept as {kept and kept.name}. "
                "Add images again that are missing: their annotation is still there"
            )
            return manifest

    def _write_manifest(self, images: Iterable[ImageEntry]) -> None:
        manifest = Manifest(images=tuple(images))
        try:
            before = manifest_bytes(self.manifest)
            _former(self.folder).parent.mkdir(exist_ok=True)
            write_atomic(_former(self.folder), before)
            told = self._file.write(manifest_bytes(manifest))
        except OSError as error:
            raise ProjectError(
                f"{self._file.path}: not saved ({error.strerror or error}); make room and try again"
            ) from None
        self.manifest = manifest
        self.notes += [told] if told else []

    def _tidy(self) -> None:
        """Delete what a killed program left half written."""
        for folder in (
            self.folder,
            *(self.folder / kind for kind in ("images", *FOLDERS)),
            *self.folder.glob("journal/*"),
        ):
            for file in folder.glob(TEMPORARY):
                file.unlink(missing_ok=True)


def _counted(items: Sequence[T], report: Report, cancelled: Callable[[], bool]) -> Iterator[T]:
    """Go through items, telling how many are done, until `cancelled`."""
    for number, item in enumerate(items):
        if cancelled():
            break
        report(number, len(items))
        yield item
    report(len(items), len(items))


def check_new(folder: str | Path) -> Path:
    """Return a folder in which a project can be made; ProjectError if it is none."""
    folder = Path(folder)
    if is_project(folder):
        raise ProjectError(f"{folder} is a project already; open it, or choose another folder")
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file; choose a new folder for the project")
    if folder.exists() and any(path for path in folder.iterdir() if not path.name.startswith(".")):
        raise ProjectError(f"{folder} is not empty; choose a new folder for the project and add its images then")
    return folder


def check_there(folder: str | Path) -> Path:
    """Return the folder of a project, given it or its ``project.json``; ProjectError if there is none."""
    folder = Path(folder)
    folder = (folder.parent if folder.name == PROJECT_FILE else folder).absolute()
    if not is_project(folder) and not _former(folder).is_file():
        raise ProjectError(f"{folder}: no project here; it has no {PROJECT_FILE}")
    return folder


def _seen_from(folder: Path, former: Path, entry: ImageEntry) -> ImageEntry:
    """Return an entry whose path, if it leads out of the project, is seen from another folder."""
    if entry.elsewhere is None:
        return entry
    return entry.model_copy(update={"path": relative((former / entry.path).resolve(), folder)})


def _former(folder: Path) -> Path:
    return folder / "journal" / "project.before.json"
