"""The annotation of one image while it is worked on: snapshots, the journal of edits since, and recovery.

A snapshot is ``labels/NAME.tif``, ``semantic/NAME.tif`` and ``provenance/NAME.csv``, each written whole or not at all.
``journal/NAME/`` holds the snapshot before (``previous-…``), the journal that leads from there to the present snapshot,
and the journal of the edits since. Its first record names the checksums of the snapshot that it starts from; the
checksums of a snapshot that is about to be written are noted in the journal before. Edits set pixels to values, so
replaying all of a journal over any later state does no harm: a crash between any two steps leaves a state that is read
correctly, and where a snapshot is damaged the one before and both journals give it back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_pffnet.curate.edit import PLANES, Edit, Pixels, to_record
from napari_pffnet.curate.history import Digests, History
from napari_pffnet.curate.journal import Journal
from napari_pffnet.curate.provenance import Rows, rows_bytes
from napari_pffnet.io.errors import first_line
from napari_pffnet.io.own_file import OwnFile, beside, digest
from napari_pffnet.io.project import ProjectError, annotation_file
from napari_pffnet.io.tiff import label_tiff, tiff
from napari_pffnet.typing import Array

KINDS = ("labels", "semantic", "provenance")


@dataclass
class Annotation:
    """What a person makes of an image.

    `labels` int H×W, 0 background; `semantic` uint8 H×W (0 background, 1 nucleus, 255 ignore) or None; `rows` by id.
    """

    labels: Array
    semantic: Array | None = None
    rows: Rows = field(default_factory=dict)


class Work:
    """One image's annotation, opened for work; use `Work.open`.

    Attributes
    ----------
    now : Annotation
        As it was when opened, with all edits that the journal knew, or saved last.
    recovered : int
        Edits that an earlier session made and did not save; they are in `now`.
    notes : list of str
        What the user should know; the reader may clear it.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, int], readonly: bool) -> None:
        self.folder, self.name, self.shape, self.readonly = folder, name, shape, readonly
        self.notes: list[str] = []
        self.recovered = 0
        self._files = {kind: OwnFile(annotation_file(folder, kind, name)) for kind in KINDS}
        self._place = folder / "journal" / name
        self._foreign: set[str] = set()
        self._journal: Journal | None = None
        self._edits = 0
        self._history = History(self._place, shape)
        self.saved, self.now = self._load()

    @classmethod
    def open(cls, folder: Path, name: str, shape: tuple[int, int], *, readonly: bool = False) -> Work:
        """Read an image's annotation.

        Parameters
        ----------
        folder : Path
            The project's folder.
        name : str
            The image's name in the project.
        shape : (int, int)
            Height and width of the image.
        readonly : bool
            Write nothing.

        Raises
        ------
        ProjectError
            The files belong to an image of another size, or cannot be read and there is no journal to restore them.
        OSError
            The folder cannot be written.
        """
        work = cls(folder, name, shape, readonly)
        if not readonly:
            work._begin()
        return work

    def changed_outside(self) -> list[Path]:
        """Return the files that another program has written since we did; they are kept beside at the next snapshot."""
        return [file.path for file in self._files.values() if file.changed_outside()]

    def record(self, edit: Edit) -> None:
        """Put an edit into the journal.

        Raises
        ------
        ProjectError
            It could not be written. It waits in memory and goes out with the next edit or snapshot.
        """
        if self._journal is None:
            raise ProjectError(f"{self.folder} is open for reading only; use Save As… to work on a copy")
        self._edits += 1
        content, arrays = to_record(edit, self.shape)
        self._guarded(lambda journal: journal.append({"kind": "edit", **content}, arrays))

    def save(self, annotation: Annotation) -> None:
        """Write a snapshot and start a new journal; what another program has written meanwhile is kept beside.

        Raises
        ------
        ProjectError
            It could not be written; the snapshot before and the journal are as they were.
        """
        contents = self._contents(annotation)
        digests = {kind: digest(content) for kind, content in contents.items()}
        if not self._edits and not self._foreign and all(self._files[kind].digest == digests[kind] for kind in KINDS):
            return
        self._guarded(lambda journal: journal.append({"kind": "snapshot", "digests": digests}))
        try:
            self._replace(contents)
            self._start(digests)
        except OSError as error:
            raise ProjectError(_not_saved(self.folder, error)) from None
        self.saved = self.now = annotation
        self._edits = 0

    def discard_recovered(self) -> Path | None:
        """Go back to the snapshot; the recovered labels are kept beside, at the place that is returned."""
        place = beside(self._files["labels"].path, "recovered")
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(label_tiff(self.now.labels))
        self.now = self.saved
        self.record(_whole(self.now))
        self.recovered = 0
        return place

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _load(self) -> tuple[Annotation, Annotation]:
        """Return the annotation of the snapshot, and with the edits since."""
        latest, history = self._history.latest, self._history
        contents = {kind: file.read() for kind, file in self._files.items()}
        finished = latest is not None and latest.finished({kind: file.digest for kind, file in self._files.items()})
        saved: dict[str, Any] = {}
        now: dict[str, Any] = {}
        for kind, content in contents.items():
            if latest is None or self._files[kind].digest in latest.known(kind):
                saved[kind] = self._decode(kind, content)
                now[kind] = history.replay(kind, saved[kind], latest.edits if latest else [])
            else:
                now[kind] = saved[kind] = self._settle(kind, content)
        if latest and not finished and not self._foreign:
            self.recovered = len(latest.edits)
        return _annotation(saved, self.shape), _annotation(now, self.shape)

    def _settle(self, kind: str, content: bytes | None) -> Any:
        """Choose what counts for a file that is not as we left it, and keep the other version beside."""
        self._foreign.add(kind)
        file = self._files[kind].path
        ours, whole = self._history.restored(kind)
        restored = "it was restored" if whole else "only edits of the last days are left; put back a copy of the file"
        try:
            theirs = None if content is None else self._decode(kind, content)
        except ProjectError:
            kept = file if self.readonly else self._files[kind].keep("damaged")
            self.notes.append(f"{file} is damaged; {restored} (what was there: {_name(kept)})")
            return ours
        if theirs is None:
            self.notes.append(f"{file} was deleted outside of napari; {restored}")
            return ours
        if not self.readonly and ours is not None and not _equal(ours, theirs):
            place = beside(file, "before")
            place.write_bytes(_encode(kind, ours))
            self.notes.append(f"{file} was changed outside of napari; that version is used, ours is {place.name}")
        return theirs

    def _begin(self) -> None:
        """Open the latest journal, or start one; after a repair the repaired state becomes a snapshot at once."""
        for damaged in self._history.unreadable:  # out of the way: its number will be used again
            kept = damaged.rename(beside(damaged, "damaged"))
            self.notes.append(f"{damaged} is damaged; its edits are only in {kept.name}")
        latest = self._history.latest
        if latest is None:
            for kind, file in self._files.items():
                self._history.keep_previous(kind, file, copy=True)
            self._start({kind: file.digest for kind, file in self._files.items()})
            return
        if latest.damaged:
            kept = beside(latest.file, "damaged")
            shutil.copy2(latest.file, kept)
            self.notes.append(f"{latest.file} is damaged; edits after that place are only in {kept.name}")
        self._journal = Journal(latest.file, latest.length)
        self._edits = len(latest.edits)
        if self._foreign:
            self.record(_whole(self.now))
            self.save(self.now)

    def _contents(self, annotation: Annotation) -> dict[str, bytes | None]:
        rows = annotation.rows
        return {
            "labels": label_tiff(annotation.labels),
            "semantic": None if annotation.semantic is None else _encode("semantic", annotation.semantic),
            "provenance": rows_bytes(rows) if rows or self._files["provenance"].digest else None,
        }

    def _replace(self, contents: dict[str, bytes | None]) -> None:
        """Move the snapshot to the place of the one before, and write the new one."""
        for kind, content in contents.items():
            file = self._files[kind]
            if file.changed_outside():
                self._foreign.add(kind)
            elif kind not in self._foreign:
                self._history.keep_previous(kind, file)
            if content is None:
                continue
            told = file.write(content)
            self.notes += [told] if told else []

    def _start(self, digests: Digests) -> None:
        """Start the next journal; those before the last one are done with, if they lead to the snapshot before."""
        journal = self._history.start(digests, keep_all=bool(self._foreign))
        self.close()
        self._journal = journal
        self._foreign.clear()

    def _guarded(self, write: Callable[[Journal], None]) -> None:
        if self._journal is None:
            raise ProjectError(f"{self.folder} is open for reading only; use Save As… to work on a copy")
        try:
            write(self._journal)
        except OSError as error:
            raise ProjectError(_not_saved(self.folder, error)) from None

    def _decode(self, kind: str, content: bytes | None) -> Any:
        if content is None:
            return None
        try:
            return self._history.decode(kind, content)
        except Exception as error:  # tifffile raises of many kinds
            raise ProjectError(
                f"{self._files[kind].path}: cannot be used ({first_line(error)}); put back a copy, or delete it"
            ) from None


def _annotation(parts: dict[str, Any], shape: tuple[int, int]) -> Annotation:
    labels = np.zeros(shape, np.int32) if parts["labels"] is None else parts["labels"]
    kind = np.int32 if int(labels.max(initial=0)) <= np.iinfo(np.int32).max else np.int64
    semantic = parts["semantic"]
    return Annotation(
        labels.astype(kind), None if semantic is None else semantic.astype(np.uint8), parts["provenance"] or {}
    )


def _whole(annotation: Annotation) -> Edit:
    """Return an edit that sets everything."""
    planes = {"labels": annotation.labels, "semantic": annotation.semantic}
    pixels = tuple(Pixels(plane, None, array) for plane in PLANES if (array := planes[plane]) is not None)
    return Edit(pixels, tuple(annotation.rows.values()))


def _encode(kind: str, value: Any) -> bytes:
    if kind == "provenance":
        return rows_bytes(value)
    return label_tiff(value) if kind == "labels" else tiff(value.astype(np.uint8))


def _equal(one: Any, other: Any) -> bool:
    return one == other if isinstance(one, dict) else bool(np.array_equal(one, other))


def _name(path: Path | None) -> str:
    return "nothing" if path is None else path.name


def _not_saved(folder: Path, error: OSError) -> str:
    return (
        f"{folder}: not saved ({error.strerror or error}); make room, close the file in other programs, or make the "
        "folder writable. Your edits are kept in memory and are written with the next one; Save As… writes them "
        "elsewhere"
    )
