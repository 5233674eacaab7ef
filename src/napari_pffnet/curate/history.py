"""What lies in ``journal/NAME``: the snapshot before the present one, and the journals that lead from it to now."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pffnet.curate.edit import Edit, Plane, from_record, replay_pixels, replay_rows
from napari_pffnet.curate.journal import HEAD, Journal, read_journal
from napari_pffnet.curate.provenance import read_rows
from napari_pffnet.io.own_file import OwnFile, link_or_copy
from napari_pffnet.io.project import FOLDERS, ProjectError
from napari_pffnet.typing import Array
from napari_pffnet.wording import dimensions

NUMBERED = "[0-9]" * 6 + ".journal"
Digests = dict[str, str | None]


@dataclass(frozen=True)
class Stage:
    """A journal that was read."""

    file: Path
    base: Digests
    edits: list[Edit]
    snapshots: list[tuple[int, Digests]]
    length: int
    damaged: bool

    def known(self, kind: str) -> set[str | None]:
        """Checksums of a file that we wrote: the snapshot that this journal starts from, and those noted in it."""
        return {self.base[kind], *(digests[kind] for _, digests in self.snapshots)}

    def finished(self, digests: Digests) -> bool:
        """Whether the files are the snapshot after the last edit: only starting the next journal was not done."""
        return (len(self.edits), digests) in self.snapshots


class History:
    """The folder ``journal/NAME``.

    Attributes
    ----------
    stages : list of Stage
        Its journals, the latest last.
    unreadable : list of Path
        Journals that are not empty, but damaged from their first record on.
    """

    def __init__(self, place: Path, shape: tuple[int, int]) -> None:
        self.place, self.shape = place, shape
        self.unreadable: list[Path] = []
        self.stages = [stage for file in sorted(place.glob(NUMBERED)) if (stage := self._read(file))]

    @property
    def latest(self) -> Stage | None:
        """The journal of the edits since the snapshot."""
        return self.stages[-1] if self.stages else None

    def replay(self, kind: str, start: Any, edits: list[Edit]) -> Any:
        """Return a plane or the rows after edits."""
        if kind == "provenance":
            return replay_rows(start or {}, edits)
        plane: Plane = "labels" if kind == "labels" else "semantic"
        return replay_pixels(plane, start, edits, self.shape)

    def restored(self, kind: str) -> tuple[Any, bool]:
        """Return what the snapshot before and all journals give, and whether nothing is missing in it."""
        start, whole = None, not self.stages or self.stages[0].base[kind] is None
        if self._previous(kind).exists():
            try:
                start, whole = self.decode(kind, self._previous(kind).read_bytes()), True
            except Exception:  # damaged too: the journals alone
                whole = False
        return self.replay(kind, start, [edit for stage in self.stages for edit in stage.edits]), whole

    def decode(self, kind: str, content: bytes) -> Any:
        """Read the content of a file of the snapshot."""
        return read_rows(content) if kind == "provenance" else self.plane(content)

    def plane(self, content: bytes) -> Array:
        """Read a label image."""
        array = np.asarray(tifffile.imread(BytesIO(content)))
        if array.dtype.kind not in "ui":
            raise ValueError(f"its pixels are {array.dtype}, not whole numbers")
        if array.shape != self.shape:
            given, expected = map(dimensions, (array.shape, self.shape))
            raise ValueError(f"it is {given}, but the image is {expected}")
        return array

    def keep_previous(self, kind: str, file: OwnFile, *, copy: bool = False) -> None:
        """Let a file of the present snapshot be that of the one before; `copy` if it stays the present one too."""
        self.place.mkdir(parents=True, exist_ok=True)
        if not file.path.exists():
            self._previous(kind).unlink(missing_ok=True)
        elif copy:
            shutil.copy2(file.path, self._previous(kind))
        else:
            link_or_copy(file.path, self._previous(kind))

    def start(self, digests: Digests, keep_all: bool) -> Journal:
        """Start the next journal and delete those that are no longer needed to come from the snapshot before."""
        self.place.mkdir(parents=True, exist_ok=True)
        number = int(self.stages[-1].file.stem) + 1 if self.stages else 1
        file = self.place / f"{number:06d}.journal"
        journal = Journal.create(file, {"kind": "base", "shape": self.shape, "digests": digests})
        if not keep_all:
            for stage in self.stages[:-1]:
                stage.file.unlink(missing_ok=True)
            self.stages = self.stages[-1:]
        self.stages.append(Stage(file, digests, [], [], 0, False))
        return journal

    def _previous(self, kind: str) -> Path:
        return self.place / f"previous-{kind}{FOLDERS[kind]}"

    def _read(self, file: Path) -> Stage | None:
        records, length = read_journal(file)
        if not records:
            self.unreadable += [file] if file.stat().st_size else []
            return None
        first, rest = records[0].content, records[1:]
        if tuple(first["shape"]) != self.shape:
            was, now = map(dimensions, (first["shape"], self.shape))
            raise ProjectError(
                f"{file}: belongs to an image of {was}, but the image is {now} (height×width); put back that image"
            )
        edits: list[Edit] = []
        snapshots: list[tuple[int, Digests]] = []
        for record in rest:
            if record.content["kind"] == "snapshot":
                snapshots.append((len(edits), record.content["digests"]))
            else:
                edits.append(from_record(record, self.shape))
        return Stage(file, first["digests"], edits, snapshots, length, _followed(file, length))


def unsaved_edits(place: Path) -> int:
    """Return how many edits in ``journal/NAME`` are not in the snapshot yet."""
    files = sorted(place.glob(NUMBERED))
    kinds = [record.content["kind"] for record in read_journal(files[-1])[0]] if files else []
    after = kinds[::-1].index("snapshot") if "snapshot" in kinds else len(kinds)
    return kinds[len(kinds) - after :].count("edit")


def _followed(file: Path, length: int) -> bool:
    """Whether something other than a torn last record follows: a record of full length with a wrong checksum."""
    data = file.read_bytes()[length:]
    return len(data) > HEAD.size and len(data) > HEAD.size + HEAD.unpack_from(data)[0] > HEAD.size
