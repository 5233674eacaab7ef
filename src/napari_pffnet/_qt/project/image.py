"""The project's image in view: its layers, the journal of its edits, its complete areas. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
from napari.layers import Labels, Layer, Shapes

from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.history import writes
from napari_pffnet._qt.layers.label_rows import LabelRows, RowsChange
from napari_pffnet._qt.layers.planes import PLACEMENT
from napari_pffnet._qt.layers.selection import remove_if_there
from napari_pffnet._qt.project.layers import OpenImage, note_place, read_shapes, rows_among
from napari_pffnet._qt.project.teller import AfterThePanel, Teller
from napari_pffnet._qt.project.texts import LOST, MARKED, NOT_WHOLE, WHOLE_AGAIN
from napari_pffnet.curate.calibration import keep_prediction
from napari_pffnet.curate.deletions import Deletions
from napari_pffnet.curate.edit import Plane
from napari_pffnet.curate.project import Project, ProjectError
from napari_pffnet.io.errors import reason
from napari_pffnet.io.images import ImageError
from napari_pffnet.io.regions import Regions
from napari_pffnet.readers import IN_PROJECT, image_layers
from napari_pffnet.wording import counted

FAULTS = (ProjectError, ImageError, OSError)


class ImageKeeper:
    """Shows one image of a project and keeps all that is done to it.

    Parameters
    ----------
    active : ActiveLabels
        Tells of edits.
    view : Teller
        Tells and asks the user.
    changed : callable
        Called when the image in view, its state or its complete areas have changed.

    Attributes
    ----------
    project : Project or None
        Whose images are opened.
    image : OpenImage or None
        The one in view.
    """

    def __init__(self, active: ActiveLabels, view: Teller, changed: Callable[[], None]) -> None:
        self.active, self.viewer, self.changed = active, active.viewer, changed
        self.view: Teller = view
        self.project: Project | None = None
        self.image: OpenImage | None = None
        self.adding = self._unsaved = False
        self._rows: LabelRows | None = None
        layers = self.viewer.layers.events
        self._connections = Connections((active.switched, self._follow_rows), (layers.removed, self._removed))

    def close(self) -> None:
        """Save and let go; the layers stay."""
        self._connections.close()
        self.view = AfterThePanel()
        self.save()
        if self.image:
            self._forget(self.image)

    def open(self, project: Project, name: str) -> None:
        """Show an image; the one in view was left before.

        Raises
        ------
        ProjectError, ImageError, OSError
            The image or its annotation cannot be used.
        """
        pixels, sizes = project.read(name)
        regions = project.regions(name)
        work = project.work(name, (pixels.shape[0], pixels.shape[1]))
        image = OpenImage(name, work.shape, work, regions)
        try:
            if work.recovered and not project.readonly:
                self._offer_recovered(image)
        except FAULTS:
            work.close()
            raise
        self.image = image
        self._add_layers(image_layers(project.folder, project.entry(name), pixels, sizes, work.now, regions))
        self.viewer.layers.selection.active = image.layers.get("labels", image.layers["image"])
        self.viewer.reset_view()
        self._follow_rows()

    def save(self) -> bool:
        """Write a snapshot of the image in view; False (and the user is told) if that fails."""
        image, project = self.image, self.project
        if image is None or project is None:
            return True
        if project.readonly:
            return not self._unsaved
        try:
            project.check_lock()
            self._record_replaced(image)
            self._write_areas(image)
            image.work.save(image.annotation())
            image.deletions.save()
        except FAULTS as error:
            self._tell_unsaved(error)
            return False
        self._unsaved = False
        self.tell_notes()
        return True

    def leave(self) -> bool:
        """Save the image in view and take its layers away; False if it could not be saved and the user stays."""
        image = self.image
        if image is None:
            return True
        if not self.save() and not self.view.ask(LOST.format(image.name)):
            return False
        self._forget(image)
        for layer in image.layers.values():
            remove_if_there(self.viewer, layer)
        return True

    def bring_back(self) -> None:
        """Show again what was removed of the image in view."""
        image, project = self.image, self.project
        if image is None or project is None or not (missing := image.missing()):
            return
        try:
            pixels, sizes = project.read(image.name)
            layers = image_layers(
                project.folder, project.entry(image.name), pixels, sizes, image.work.now, image.regions
            )
        except FAULTS as error:
            self.fail(error)
            return
        self._add_layers([each for each in layers if each[1]["metadata"][IN_PROJECT]["role"] in missing])
        places = self.viewer.layers
        places.move(places.index(image.layers["image"]), min(places.index(each) for each in image.layers.values()))
        places.selection.active = image.layers.get("labels")

    def move(self, copy: Project) -> None:
        """Go on in a copy of the project, with the layers as they are."""
        self.project = copy
        if self.image is not None:
            for role, layer in self.image.layers.items():
                note_place(layer, copy, self.image.name, role)
            now = self.image.annotation()
            self.image.work.close()
            self.image.work = copy.work(self.image.name, self.image.shape)
            self.image.deletions = Deletions(copy.folder, self.image.name, self.image.shape)
            self.image.work.now = now
            self.image.stale = {role for role in ("labels", "semantic") if role in self.image.layers}
            if copy.regions(self.image.name) != self.image.regions:
                copy.write_regions(self.image.name, self.image.regions)
            self.save()

    def mark_area(self) -> None:
        """Let the user draw a rectangle that is complete."""
        image, project = self.image, self.project
        if image is None or project is None:
            return
        if "regions" not in image.layers:
            now = image.work.now
            layers = image_layers(project.folder, project.entry(image.name), now.labels, {}, now, image.regions)
            self._add_layers([each for each in layers if each[2] == "shapes"])
            shown, areas = image.layers.get("image", image.layers["regions"]), image.layers["regions"]
            for name in PLACEMENT:
                setattr(areas, name, getattr(shown, name))
        layer = image.layers["regions"]
        self.viewer.layers.selection.active = layer
        if isinstance(layer, Shapes):
            layer.mode = "add_rectangle"
        self.view.set_status("Draw around an area in which every nucleus is right.")

    def set_whole(self, whole: bool) -> None:
        """Note that every nucleus of the image in view is annotated, or not."""
        if self.image and whole != self.image.regions.whole:
            self.image.was_whole = False
            self._guard(lambda image: self.write_regions(image.regions.model_copy(update={"whole": whole})))

    def write_regions(self, regions: Regions) -> None:
        """Write where the image is complete."""
        if self.project and self.image:
            self.image.regions, self.image.unwritten = regions, True
            self._write_areas(self.image)

    def _write_areas(self, image: OpenImage) -> None:
        """Write the complete areas, if they are not written yet."""
        if self.project and image.unwritten:
            self.project.write_regions(image.name, image.regions)
            image.unwritten = False

    def _guard(self, action: Callable[[OpenImage], None]) -> None:
        """Do something for the image in view, and tell what goes wrong."""
        if self.image is None:
            return
        try:
            action(self.image)
        except FAULTS as error:
            self.fail(error)
        self.tell_notes()
        self.changed()

    def _forget(self, image: OpenImage) -> None:
        self.image, self._unsaved = None, False
        self._follow_rows()
        for role, layer in image.layers.items():
            self._listen(role, layer, False)
        image.work.close()

    def _offer_recovered(self, image: OpenImage) -> None:
        work = image.work
        edits = counted(work.recovered, "edit")
        if self.view.ask(f"napari ended while '{image.name}' was open. Restore {edits} made since it was saved last?"):
            self.view.set_status(f"Restored {edits}.")
            return
        kept, image.declined = work.discard_recovered(), True
        if kept:
            work.notes.append(f"'{image.name}' is as it was saved last; the labels with the edits are in {kept}")

    def _add_layers(self, layers: Sequence[tuple[Any, dict[str, Any], str]]) -> None:
        """Show layers, or take those that napari's reader has shown already."""
        if self.image is None:
            return
        self.adding = True
        try:
            for each in layers:
                role, layer = self.image.show(self.viewer, *each)
                self._listen(role, layer, True)
        finally:
            self.adding = False

    def _listen(self, role: str, layer: Layer, listening: bool) -> None:
        slots = {"regions": [(layer.events.data, self._read_areas)], "image": []}
        if isinstance(layer, Shapes):
            (layer.mouse_drag_callbacks.append if listening else layer.mouse_drag_callbacks.remove)(self._drawn)
        if isinstance(layer, Labels):
            slots[role] = [(layer.events.data, self._replaced), (layer.events.paint, self._painted)]
        for event, slot in slots[role]:
            (event.connect if listening else event.disconnect)(slot)

    def _follow_rows(self, _layer: Any = None) -> None:
        """Listen to the rows of the layer being corrected, if it is of the image in view."""
        if self._rows is not None:
            self._rows.changed.disconnect(self._record)
        role = self.image.role(self.active.layer) if self.image else None
        self._rows = self.active.rows if role in ("labels", "semantic") else None
        if self._rows is not None:
            self._rows.changed.connect(self._record)

    def _record(self, change: RowsChange) -> None:
        """Put an edit into the journal."""
        image = self.image
        role = image.role(self.active.layer) if image else None
        if image and role and (role == "labels" or change.writes):
            self._write(image, role, change)

    def _painted(self, event: Any) -> None:
        """A layer that is not the selected one was edited: nobody keeps its rows, its pixels are kept all the same."""
        role = self.image.role(event.source) if self.image else None
        if self.image and role and event.source is not self.active.layer:
            self._write(self.image, role, RowsChange(writes(event.value, undone=False), pd.DataFrame(), []))

    def _write(self, image: OpenImage, role: str, change: RowsChange) -> None:
        project = self.project
        if project is None:
            return
        plane: Plane = "labels" if role == "labels" else "semantic"
        try:
            project.check_lock()
            self._record_replaced(image)
            image.work.record(image.edit(plane, change))
            if role == "labels":
                image.note_deleted(change)
            self._write_areas(image)
            if self._unsaved:
                self.view.set_status("All is saved again.")
            self._unsaved = False
            for sentence in image.changes_outside():
                self.view.warn(sentence)
            if project.entry(image.name).state == "new":
                project.set_state(image.name, "in work")
                self.changed()
        except FAULTS as error:
            self._tell_unsaved(error)

    def _record_replaced(self, image: OpenImage) -> None:
        for role in sorted(image.stale):
            plane: Plane = "labels" if role == "labels" else "semantic"
            image.work.record(image.replaced(plane))
            image.stale.discard(role)
        if image.found is not None and self.project and "labels" in image.layers:
            labels, table = image.found
            keep_prediction(self.project.folder, image.name, labels, rows_among(table, "", labels))
            image.found = None

    def _replaced(self, event: Any) -> None:
        """A layer got other pixels as a whole, as from a new threshold."""
        role = self.image.role(event.source) if self.image else None
        if self.image is None or role is None:
            return
        if self.image.plane(role) is None:
            self.view.warn(f"'{event.source.name}' no longer has the size of the image; it is not saved any more")
            self.image.layers.pop(role)
        else:
            self.image.stale.add(role)
            if role == "labels":
                self.image.note_found()

    def adopt(self, layer: Labels, role: Plane) -> None:
        """Take a layer as the annotation of the image in view."""
        if self.image is None:
            return
        before = self.image.layers.get(role)
        if before is not None:
            self._listen(role, before, False)
        self.image.layers[role] = layer
        self.image.stale.add(role)
        if role == "labels":
            self.image.note_found()
        if self.project:
            note_place(layer, self.project, self.image.name, role)
        self._listen(role, layer, True)
        self._follow_rows()

    def _removed(self, event: Any) -> None:
        """The user took a layer of the image away: its work is saved; without the image there is nothing to work on."""
        image, role = self.image, self.image.role(event.value) if self.image else None
        if image is None or role is None:
            return
        self._listen(role, event.value, False)
        if role == "regions":
            del image.layers[role]
            return
        saved = self.save()
        if not saved:  # it is in no layer any more
            image.work.now = image.annotation()
        del image.layers[role]
        if role == "image" and saved:
            self._forget(image)
            self.changed()
            self.view.set_status(f"'{image.name}' is saved and closed.")

    def _read_areas(self, event: Any) -> None:
        if str(getattr(event, "action", "")).lower() not in ("added", "removed", "changed") or self.image is None:
            return
        image, before = self.image, self.image.regions
        areas = read_shapes(event.source, before.whole)
        if before.whole and len(areas.areas) > len(before.areas):
            image.was_whole, areas = True, areas.model_copy(update={"whole": False})
            self.view.set_status(NOT_WHOLE)
        elif image.was_whole and not areas.areas:
            image.was_whole, areas = False, areas.model_copy(update={"whole": True})
            self.view.set_status(WHOLE_AGAIN)
        if areas != before:
            if len(areas.areas) > len(before.areas) and not before.whole:
                self.view.set_status(MARKED)
            self._guard(lambda _image: self.write_regions(areas))

    def _drawn(self, layer: Shapes, event: Any) -> Iterator[None]:
        """After a rectangle go back to the nuclei."""
        yield
        while event.type == "mouse_move":
            yield
        if self.image and layer.mode == "add_rectangle" and "labels" in self.image.layers:
            self.viewer.layers.selection.active = self.image.layers["labels"]

    def _tell_unsaved(self, error: Exception) -> None:
        self.view.set_status(f"Not saved: {reason(error).splitlines()[0]}")
        if not self._unsaved:
            self.view.warn(reason(error))
        self._unsaved = True

    def tell_notes(self) -> None:
        """Tell what was noticed about files."""
        places = [*([self.project.notes] if self.project else []), *([self.image.work.notes] if self.image else [])]
        found = [note for notes in places for note in notes]
        for notes in places:
            notes.clear()
        if found:
            self.view.warn("\n".join(found))

    def fail(self, error: Exception) -> None:
        """Tell what was not done, and why."""
        self.view.set_status(f"Not done: {reason(error).splitlines()[0]}")
        self.view.warn(reason(error))
