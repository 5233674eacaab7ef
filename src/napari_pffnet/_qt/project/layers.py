"""The layers of the project's image in view, and what they hold as annotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from napari_pffnet._qt.layers.image_under import lies_elsewhere
from napari_pffnet._qt.layers.label_rows import RowsChange, rows_by_id
from napari_pffnet._qt.layers.origin import layer_origin, made_of
from napari_pffnet._qt.layers.shapes import outlines
from napari_pffnet.curate.deletions import Deletions
from napari_pffnet.curate.edit import Edit, Pixels, Plane
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.provenance import Row, Rows, rows_of
from napari_pffnet.curate.work import Annotation, Work
from napari_pffnet.io.regions import Area, Regions
from napari_pffnet.readers import IN_PROJECT, same_place


@dataclass
class OpenImage:
    """An image of the project that is being worked on.

    `layers`: by role ("image", "labels", "semantic", "regions"); `stale`: roles whose pixels were replaced as a whole
    and are not in the journal yet; `unwritten`: so are the complete areas; `found`: nuclei that were taken as they were
    found and are not kept yet, int H×W and rows by id; `declined`: the user did not want the work of a crash back;
    `was_whole`: until an area was drawn it was complete; `told`: files that were changed by others, of which the user
    knows; `joins`: a result is being put into the annotation; `deletions`: where the user has deleted nuclei.
    """

    name: str
    shape: tuple[int, int]
    work: Work
    regions: Regions
    layers: dict[str, Layer] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    found: tuple[np.ndarray[Any, Any], pd.DataFrame] | None = None
    unwritten: bool = False
    declined: bool = False
    was_whole: bool = False
    told: set[Path] = field(default_factory=set)
    joins: bool = False
    deletions: Deletions = field(init=False)

    def __post_init__(self) -> None:
        """Make what depends on the others."""
        self.deletions = Deletions(self.work.folder, self.name, self.shape)

    def role(self, layer: Layer | None) -> str | None:
        """Return a layer's role; None if it is not of this image."""
        return next((role for role, own in self.layers.items() if own is layer), None)

    def show(self, viewer: ViewerModel, data: Any, arguments: dict[str, Any], kind: str) -> tuple[str, Layer]:
        """Add one of its layers to the viewer, or take that which napari's reader has shown already."""
        note = arguments["metadata"][IN_PROJECT]
        role = note["role"]
        there = next((each for each in viewer.layers if same_place(each.metadata, note)), None)
        if isinstance(there, Labels) and as_plane(there, self.shape) is None:  # it was given another size
            there.metadata = {key: value for key, value in there.metadata.items() if key != IN_PROJECT}
            there = None
        if isinstance(there, Labels) and not np.array_equal(there.data, data):
            # edited while no panel was open; or made of work that the user did not want back
            if self.declined:
                there.data = data
            else:
                self.stale.add(role)
        self.layers[role] = there or viewer.add_layer(Layer.create(data, arguments, kind))
        return role, self.layers[role]

    def missing(self) -> set[str]:
        """Return the roles of what was removed from the viewer, and is kept."""
        return {"image", *(["labels"] if self.work.now.labels.any() else [])} - self.layers.keys()

    def is_of_another(self, layer: Labels) -> bool:
        """Whether a result was made of another image than this one."""
        shown = self.layers.get("image")
        return isinstance(shown, Image) and made_of(layer, shown) is False

    def lies_beside(self, layer: Labels) -> bool:
        """Whether labels of the image's size lie elsewhere than the image."""
        shown = self.layers.get("image")
        return isinstance(shown, Image) and lies_elsewhere(layer, shown, [shown.ndim - 2, shown.ndim - 1])

    def changes_outside(self) -> list[str]:
        """Say, once of each, which files another program has written or deleted."""
        found = [path for path in self.work.changed_outside() if path not in self.told]
        self.told.update(found)
        told = {True: "changed outside of napari; that version will be kept beside yours"}
        told[False] = "deleted outside of napari; yours will be saved"
        return [f"{path} was {told[path.exists()]}" for path in found]

    def let_go_of_copy(self, layer: Layer) -> None:
        """Take the note of its place in the project from a copy of one of these layers: it is no annotation."""
        note, own = layer.metadata.get(IN_PROJECT), self.layers.values()
        if note and layer not in own and any(same_place(each.metadata, note) for each in own):
            layer.metadata = {key: value for key, value in layer.metadata.items() if key != IN_PROJECT}

    def plane(self, role: str) -> np.ndarray[Any, Any] | None:
        """Return the pixels of a Labels layer as H×W; None if there is no such layer of that size."""
        layer = self.layers.get(role)
        return as_plane(layer, self.shape) if isinstance(layer, Labels) else None

    def note_found(self) -> None:
        """Remember the nuclei as they are now, before the user corrects them."""
        layer, pixels = self.layers.get("labels"), self.plane("labels")
        if isinstance(layer, Labels) and pixels is not None:
            self.found = pixels.copy(), rows_by_id(layer)

    def note_deleted(self, change: RowsChange) -> None:
        """Remember where nuclei were deleted, or are again."""
        deleted = bool(change.gone) and not change.turned and not self.joins
        for write in change.writes:
            self.deletions.note(write.indices[-2:], write.values, deleted)

    def annotation(self) -> Annotation:
        """Return what the layers hold now, without ids under 0; what has no layer is as it was."""
        shown, semantic = self.plane("labels"), self.plane("semantic")
        now = self.work.now
        layer = self.layers.get("labels")
        labels = now.labels if shown is None else np.maximum(shown, 0)
        return Annotation(
            labels,
            now.semantic if semantic is None else semantic.astype(np.uint8),
            now.rows if shown is None or not isinstance(layer, Labels) else all_rows(layer, labels),
        )

    def edit(self, role: Plane, change: RowsChange) -> Edit:
        """Return an edit as the journal takes it."""
        pixels = tuple(Pixels(role, write.indices[-2:], np.maximum(write.values, 0)) for write in change.writes)
        if role == "semantic":
            return Edit(tuple(p._replace(values=p.values.astype(np.uint8)) for p in pixels))
        return Edit(pixels, tuple(records(change.rows)), tuple(change.gone))

    def replaced(self, role: Plane) -> Edit:
        """Return the edit that sets everything in a layer."""
        annotation = self.annotation()
        if role == "semantic":
            return Edit((Pixels(role, None, np.asarray(annotation.semantic)),))
        return Edit((Pixels(role, None, annotation.labels),), tuple(annotation.rows.values()))


def note_place(layer: Layer, project: Project, name: str, role: str) -> None:
    """Note in a layer's metadata what it shows of a project, so that it is known again when the panel is reopened."""
    note = {**layer.metadata.get(IN_PROJECT, {}), "folder": str(project.folder), "image": name, "role": role}
    layer.metadata = {**layer.metadata, IN_PROJECT: note}


def records(rows: pd.DataFrame) -> list[Row]:
    """Return rows by id as plain values."""
    names = ["index", *map(str, rows.columns)]
    return [dict(zip(names, row, strict=True)) for row in rows.reset_index().astype(object).to_numpy().tolist()]


def plane_of(layer: Labels) -> Plane | None:
    """Return whether a Labels layer shows nuclei or the semantic map; None for other results of the panel."""
    content = layer.metadata.get("napari-pffnet", {}).get("content", "nuclei")
    kinds: dict[str, Plane] = {"nuclei": "labels", "semantic": "semantic"}
    return kinds.get(content)


def as_plane(layer: Labels, shape: tuple[int, int]) -> np.ndarray[Any, Any] | None:
    """Return a layer's pixels as H×W = `shape`, a view; None if it is of another size or not in memory."""
    data = layer.data
    if layer.multiscale or not isinstance(data, np.ndarray) or data.size != shape[0] * shape[1]:
        return None
    return data.reshape(shape) if data.shape[-2:] == shape else None


def all_rows(layer: Labels, labels: np.ndarray[Any, Any]) -> Rows:
    """Return a row for each nucleus: those of the layer's table, and of ids that are not in it."""
    return rows_among(rows_by_id(layer), layer_origin(layer), labels)


def rows_among(table: pd.DataFrame, origin: str, labels: np.ndarray[Any, Any]) -> Rows:
    """Return a row for each nucleus: those of a table by id, and of ids that are not in it, of this origin."""
    ids, areas = np.unique(labels, return_counts=True)
    known = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    there = (row for row in records(table[table.index.isin(ids)]) if row["index"] != 0)
    rows = rows_of(row | {"area": known[row["index"]]} for row in there)
    for label in known.keys() - rows.keys() - {0}:
        rows[label] = {"index": label, "origin": origin, "state": "", "area": known[label]}
    return dict(sorted(rows.items()))


def read_shapes(layer: Shapes, whole: bool) -> Regions:
    """Return the areas that a Shapes layer shows; lines have none."""
    areas = []
    for _, kind, corners in outlines(layer):
        places = tuple((float(y), float(x)) for y, x in corners[:, -2:])
        areas.append(Area(kind="rectangle" if kind == "rectangle" else "polygon", corners=places))
    return Regions(whole=whole, areas=tuple(areas))
