"""The step *Project*: images of a folder one after the other, every edit on the disk at once. No Qt in here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Shapes

from napari_pffnet._qt.active_labels import ActiveLabels
from napari_pffnet._qt.background import Background
from napari_pffnet._qt.history import writes
from napari_pffnet._qt.label_rows import LabelRows, RowsChange
from napari_pffnet._qt.planes import PlaneError, pixel_size, take_plane
from napari_pffnet._qt.project_layers import OpenImage, all_rows, as_plane, read_shapes
from napari_pffnet.curate.edit import Plane
from napari_pffnet.curate.project import Added, Project, ProjectError, ProjectLocked
from napari_pffnet.curate.work import Annotation
from napari_pffnet.io.images import ImageError
from napari_pffnet.io.project import is_project
from napari_pffnet.io.regions import Regions
from napari_pffnet.readers import IN_PROJECT, image_layers, same_place

FAULTS = (ProjectError, ImageError, OSError)
NO_PROJECT = "Nothing is saved until you make or open a project."
NO_IMAGES = "Add images, or drop files or folders onto the list."
NO_NUCLEI = "No nuclei yet: press Segment, or add a Labels layer and paint."
NOT_TAKEN = "The new result is not in the project yet; to take it: Add > Selected Labels layer."
ALL_DONE = "All images are done."


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    new_requested: Any
    open_requested: Any
    save_as_requested: Any
    add_requested: Any
    add_open_requested: Any
    image_chosen: Any
    next_requested: Any
    done_requested: Any
    whole_toggled: Any
    area_requested: Any
    use_layer_requested: Any

    def copies(self) -> bool:
        """Whether images are copied into the project."""

    def set_project(self, name: str | None) -> None:
        """Name the project; None hides everything that needs one."""

    def set_images(self, images: Sequence[tuple[str, str]], current: str | None) -> None:
        """List names and states, and which one is open."""

    def set_image(self, done: bool, whole: bool) -> None:
        """Show whether the open image is done, and complete as a whole."""

    def set_busy(self, busy: bool) -> None:
        """Allow nothing but looking and editing while a long job runs."""

    def set_status(self, text: str) -> None:
        """Show one line."""

    def warn(self, text: str) -> None:
        """Tell what the user should not miss."""

    def ask(self, question: str) -> bool:
        """Ask something that is answered with yes or no."""


class ProjectController:
    """Connects viewer, view and project.

    Parameters
    ----------
    active : ActiveLabels
        Tells of edits.
    view : View
        Shows the images.
    background : Background
        Runs long jobs.
    """

    def __init__(self, active: ActiveLabels, view: View, background: Background) -> None:
        self.active, self.viewer, self.view, self.background = active, active.viewer, view, background
        self.project: Project | None = None
        self.image: OpenImage | None = None
        self._rows: LabelRows | None = None
        self._cancel = threading.Event()
        self._adding = self._unsaved = False
        layers = self.viewer.layers.events
        self._connections: list[tuple[Any, Callable[..., Any]]] = [
            (active.switched, self._follow_rows),
            (layers.inserted, self._inserted),
            (layers.removed, self._removed),
            (view.new_requested, self.new),
            (view.open_requested, self.open),
            (view.save_as_requested, self.save_as),
            (view.add_requested, self.add),
            (view.add_open_requested, self.add_open_image),
            (view.image_chosen, self.open_image),
            (view.next_requested, self.next),
            (view.done_requested, self.toggle_done),
            (view.whole_toggled, self.set_whole),
            (view.area_requested, self.mark_area),
            (view.use_layer_requested, self.use_layer),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)
        self._show()
        self.view.set_status(NO_PROJECT)
        self._take_from_viewer()

    def close(self) -> None:
        """Save the image in view and let go of everything; its layers stay."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._cancel.set()
        self.save()
        if self.image:
            self._forget(self.image)
        if self.project:
            self.project.close()

    def new(self, folder: str) -> None:
        """Make a new project and open it."""
        self._enter(lambda: Project.create(folder))

    def open(self, folder: str) -> None:
        """Open a project; if somebody has it open, ask first."""
        self._enter(lambda: Project.open(folder), lambda: Project.open(folder, take_over=True))

    def leave_project(self) -> bool:
        """Save and close the project; False if the image in view could not be saved."""
        if not self._leave_image():
            return False
        if self.project:
            self.project.close()
        self.project = None
        return True

    def save(self) -> bool:
        """Write a snapshot of the image in view; False (and the user is told) if that fails."""
        image, project = self.image, self.project
        if image is None or project is None or project.readonly:
            return True
        try:
            project.check_lock()
            self._record_replaced(image)
            image.work.save(image.annotation())
        except FAULTS as error:
            self._tell_unsaved(error)
            return False
        self._unsaved = False
        self._tell_notes()
        return True

    def open_image(self, name: str) -> None:
        """Save the image in view and open another one."""
        project = self.project
        if project is None or (self.image and self.image.name == name) or not self._leave_image():
            return
        try:
            pixels, size = project.read(name)
            work = project.work(name, (pixels.shape[0], pixels.shape[1]))
            regions = project.regions(name)
        except FAULTS as error:
            self._tell_notes()
            self._show()
            self._fail(error)
            return
        self.image = OpenImage(name, work.shape, work, regions)
        if work.recovered and not project.readonly:
            self._offer_recovered(self.image)
        self._add_layers(image_layers(project.folder, name, pixels, size, work.now, regions))
        self._follow_rows()
        self._show()
        self.view.set_status("" if "labels" in self.image.layers else NO_NUCLEI)
        self._tell_notes()

    def next(self) -> None:
        """Open the next image that is not done."""
        if self.project is None:
            return
        following = self.project.following(self.image.name if self.image else None)
        if following is None:
            self.save()
            self.view.set_status(ALL_DONE)
        else:
            self.open_image(following)

    def toggle_done(self) -> None:
        """Mark the image in view as done, or not; one without complete areas is then complete as a whole."""
        if self.project is None or self.image is None or not self.save():
            return
        done = self.project.entry(self.image.name).state == "done"
        try:
            if not done and self.image.regions == Regions():
                self._write_regions(Regions(whole=True))
            self.project.set_state(self.image.name, "in work" if done else "done")
        except FAULTS as error:
            self._fail(error)
        else:
            whole = " It counts as complete as a whole." if self.image.regions.whole else ""
            self.view.set_status("" if done else f"Done.{whole}")
        self._show()

    def set_whole(self, whole: bool) -> None:
        """Note that every nucleus of the image in view is annotated, or not."""
        if self.image and whole != self.image.regions.whole:
            self._guard(lambda image: self._write_regions(image.regions.model_copy(update={"whole": whole})))

    def mark_area(self) -> None:
        """Let the user draw a rectangle that is complete."""
        image, project = self.image, self.project
        if image is None or project is None:
            return
        if "regions" not in image.layers:
            now = image.work.now
            layers = image_layers(project.folder, image.name, now.labels, None, now, image.regions)
            self._add_layers([each for each in layers if each[2] == "shapes"])
            shown = image.layers["image"]
            image.layers["regions"].scale, image.layers["regions"].units = shown.scale, shown.units
        layer = image.layers["regions"]
        self.viewer.layers.selection.active = layer
        if isinstance(layer, Shapes):
            layer.mode = "add_rectangle"
        self.view.set_status("Draw around an area in which every nucleus is right.")

    def use_layer(self) -> None:
        """Take the selected Labels layer as the annotation of the image in view."""
        image, layer = self.image, self.active.layer
        if image is None:
            return
        if layer is None or as_plane(layer, image.shape) is None:
            self.view.set_status("Select a Labels layer of the image's size first.")
            return
        role = _plane_of(layer)
        before = image.layers.get(role)
        if layer is not before:
            self._adopt(layer, role)
            if before in self.viewer.layers:
                self.viewer.layers.remove(before)
        if self.save():
            self.view.set_status(f"'{layer}' is in the project now.")

    def add(self, paths: Sequence[str]) -> None:
        """Add image files and folders, in the background; a project among them is opened instead."""
        projects = [path for path in paths if is_project(path)]
        if projects or self.project is None:
            if projects:
                self.open(projects[0])
            return
        project, copy = self.project, self.view.copies()
        self._cancel = cancel = threading.Event()
        self.view.set_busy(True)
        self.view.set_status("Adding images…")
        self.background(
            "PFFNet: adding images",
            lambda report: project.gather(paths, copy=copy, report=report, cancelled=cancel.is_set),
            done=lambda intake: self._finish(lambda: self._added(project, project.take(intake))),
            failed=lambda error: self._finish(lambda: self._fail(error)),
            progressed=lambda done, total: self.view.set_status(f"Adding images: {done} of {total}"),
            cancel=cancel.set,
        )

    def add_open_image(self) -> None:
        """Add the plane in view of the open image layer, with the selected Labels layer as its annotation."""
        chosen = self.viewer.layers.selection.active
        images = [each for each in (chosen, *reversed(self.viewer.layers)) if isinstance(each, Image)]
        layer = images[0] if images else None
        if self.project is None or layer is None or (self.image and layer is self.image.layers.get("image")):
            self.view.set_status("Open an image in napari first; or add files.")
            return
        try:
            plane = take_plane(layer, self.viewer.dims.point, self.viewer.dims.order)
            pixels = plane.read()[..., :3] if layer.rgb else plane.read()
            name = self.project.add_pixels(layer.name, pixels, pixel_size(layer))
            self._annotate(name, (pixels.shape[0], pixels.shape[1]))
        except (*FAULTS, PlaneError) as error:
            self._fail(error)
            return
        layer.visible = False
        self.open_image(name)

    def save_as(self, folder: str) -> None:
        """Copy the project in the background and go on in the copy."""
        if self.project is None:
            return
        self.save()
        project = self.project
        self.view.set_busy(True)
        self.view.set_status("Copying the project…")
        self.background(
            "PFFNet: copying the project",
            lambda report: project.save_as(folder, report),
            done=lambda copy: self._finish(lambda: self._go_on_in(copy)),
            failed=lambda error: self._finish(lambda: self._fail(error)),
            progressed=lambda done, total: self.view.set_status(f"Copying the project: {done} of {total} files"),
            cancel=lambda: None,
        )

    def _enter(self, opening: Callable[[], Project], anyway: Callable[[], Project] | None = None) -> None:
        if not self.leave_project():
            return
        self._show()
        try:
            try:
                self.project = opening()
            except ProjectLocked as error:
                if anyway is None or not self.view.ask(f"{error}.\n\nOpen it here all the same?"):
                    self.view.set_status(NO_PROJECT)
                    return
                self.project = anyway()
        except FAULTS as error:
            self._fail(error)
            return
        self._show()
        self.view.set_status("" if self.project.manifest.images else NO_IMAGES)
        self._tell_notes()
        self._open_first()

    def _open_first(self) -> None:
        entries = self.project.manifest.images if self.project else ()
        if self.project and self.image is None and entries:
            self.open_image(self.project.following() or entries[0].name)

    def _leave_image(self) -> bool:
        """Save the image in view and take its layers away; False if it could not be saved."""
        image = self.image
        if image is None:
            return True
        if not self.save():
            return False
        self._forget(image)
        for layer in image.layers.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        return True

    def _forget(self, image: OpenImage) -> None:
        self.image = None
        self._follow_rows()
        for role, layer in image.layers.items():
            self._listen(role, layer, False)
        image.work.close()

    def _offer_recovered(self, image: OpenImage) -> None:
        work = image.work
        edits = "1 edit" if work.recovered == 1 else f"{work.recovered} edits"
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
        self._adding = True
        try:
            for data, arguments, kind in layers:
                note = arguments["metadata"][IN_PROJECT]
                there = next((each for each in self.viewer.layers if same_place(each.metadata, note)), None)
                if isinstance(there, Labels) and not np.array_equal(there.data, data):
                    # edited while no panel was open; or made of work that the user did not want back
                    if self.image.declined:
                        there.data = data
                    else:
                        self.image.stale.add(note["role"])
                layer = there or self.viewer.add_layer(Layer.create(data, arguments, kind))
                self.image.layers[note["role"]] = layer
                self._listen(note["role"], layer, True)
        finally:
            self._adding = False
        image = self.image.layers
        self.viewer.layers.selection.active = image.get("labels", image["image"])
        self.viewer.reset_view()

    def _listen(self, role: str, layer: Layer, listening: bool) -> None:
        slots = {"regions": [(layer.events.data, self._read_areas)], "image": []}
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

    def _write(self, image: OpenImage, role: str, change: RowsChange) -> None:
        project = self.project
        if project is None:
            return
        plane: Plane = "labels" if role == "labels" else "semantic"
        try:
            project.check_lock()
            self._record_replaced(image)
            image.work.record(image.edit(plane, change))
            self._unsaved = False
            if project.entry(image.name).state == "new":
                project.set_state(image.name, "in work")
                self._show()
        except FAULTS as error:
            self._tell_unsaved(error)

    def _painted(self, event: Any) -> None:
        """A layer that is not the selected one was edited: nobody keeps its rows, its pixels are kept all the same."""
        role = self.image.role(event.source) if self.image else None
        if self.image and role and event.source is not self.active.layer:
            self._write(self.image, role, RowsChange(writes(event.value, undone=False), pd.DataFrame(), []))

    def _record_replaced(self, image: OpenImage) -> None:
        for role in sorted(image.stale):
            plane: Plane = "labels" if role == "labels" else "semantic"
            image.work.record(image.replaced(plane))
            image.stale.discard(role)

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

    def _adopt(self, layer: Labels, role: Plane) -> None:
        if self.image is None:
            return
        before = self.image.layers.get(role)
        if before is not None:
            self._listen(role, before, False)
        self.image.layers[role] = layer
        self.image.stale.add(role)
        self._listen(role, layer, True)
        self._follow_rows()

    def _inserted(self, event: Any) -> None:
        """Take the first nuclei of an image as its annotation; open the project of layers that napari's reader made."""
        layer = event.value
        if self._adding:
            return
        if layer.metadata.get(IN_PROJECT, {}).get("last"):
            self._take_from_viewer()
        elif self.image and isinstance(layer, Labels) and as_plane(layer, self.image.shape) is not None:
            role = _plane_of(layer)
            if role not in self.image.layers and ("labels" not in self.image.layers or role == "labels"):
                self._adopt(layer, role)
                self.view.set_status("")
            elif role == "labels":
                self.view.set_status(NOT_TAKEN)

    def _take_from_viewer(self) -> None:
        notes = [layer.metadata[IN_PROJECT] for layer in self.viewer.layers if IN_PROJECT in layer.metadata]
        note = next((note for note in notes if note.get("last")), None)
        if note is None or (self.project and self.project.folder == Path(note["folder"])):
            return
        self.open(note["folder"])

    def _removed(self, event: Any) -> None:
        """The user took a layer of the image away: its work is saved; without the image there is nothing to work on."""
        image, role = self.image, self.image.role(event.value) if self.image else None
        if image is None or role is None:
            return
        self._listen(role, event.value, False)
        if role == "regions":
            del image.layers[role]
            return
        self.save()
        del image.layers[role]
        if role == "image":
            self._forget(image)
            self._show()
            self.view.set_status(f"'{image.name}' is saved and closed.")

    def _read_areas(self, event: Any) -> None:
        if str(getattr(event, "action", "")).lower() in ("added", "removed", "changed") and self.image:
            areas = read_shapes(event.source, self.image.regions.whole)
            if areas != self.image.regions:
                self._guard(lambda _image: self._write_regions(areas))

    def _write_regions(self, regions: Regions) -> None:
        if self.project and self.image:
            self.project.write_regions(self.image.name, regions)
            self.image.regions = regions

    def _guard(self, action: Callable[[OpenImage], None]) -> None:
        """Do something for the image in view, and tell what goes wrong."""
        if self.image is None:
            return
        try:
            action(self.image)
        except FAULTS as error:
            self._fail(error)
        self._tell_notes()
        self._show()

    def _annotate(self, name: str, shape: tuple[int, int]) -> None:
        """Save the selected Labels layer, or the topmost of that size, as the annotation of a new image."""
        fits = [each for each in self.viewer.layers if isinstance(each, Labels) and as_plane(each, shape) is not None]
        fits = [each for each in fits if _plane_of(each) == "labels"]
        layer = self.active.layer if self.active.layer in fits else (fits[-1] if fits else None)
        if self.project is None or layer is None:
            return
        labels = as_plane(layer, shape)
        if labels is not None:
            work = self.project.work(name, shape)
            work.save(Annotation(labels.copy(), None, all_rows(layer, labels)))
            work.close()
            layer.visible = False

    def _added(self, project: Project, added: Added) -> None:
        count = "1 image" if len(added.names) == 1 else f"{len(added.names)} images"
        left = f", {len(added.problems)} left out" if added.problems else ""
        if project is self.project:
            self._show()
            self._open_first()
        self.view.set_status(f"Added {count}{left}.")
        told = [*added.problems, *added.notes]
        if told:
            self.view.warn("\n".join(told))

    def _go_on_in(self, copy: Project) -> None:
        image, former = self.image, self.project
        self.project = copy
        if image is not None:
            now = image.annotation()
            image.work.close()
            image.work = copy.work(image.name, image.shape)
            image.work.now = now
            image.stale = {role for role in ("labels", "semantic") if role in image.layers}
            self.save()
        if former:
            former.close()
        self.view.set_status(f"Now working in {copy.folder}.")
        self._show()

    def _finish(self, action: Callable[[], None]) -> None:
        self.view.set_busy(False)
        try:
            action()
        except FAULTS as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.view.set_status(f"Not done: {str(error).splitlines()[0]}")
        self.view.warn(str(error))

    def _tell_unsaved(self, error: Exception) -> None:
        self.view.set_status(f"Not saved: {str(error).splitlines()[0]}")
        if not self._unsaved:
            self.view.warn(str(error))
        self._unsaved = True

    def _tell_notes(self) -> None:
        notes = self.project.notes if self.project else []
        found = [*notes, *(self.image.work.notes if self.image else [])]
        notes.clear()
        if self.image:
            self.image.work.notes.clear()
        if found:
            self.view.warn("\n".join(found))

    def _show(self) -> None:
        entries = self.project.manifest.images if self.project else ()
        self.view.set_project(self.project.name if self.project else None)
        current = self.image.name if self.image else None
        self.view.set_images([(entry.name, entry.state) for entry in entries], current)
        state = next((entry.state for entry in entries if entry.name == current), "new")
        self.view.set_image(state == "done", bool(self.image and self.image.regions.whole))


def _plane_of(layer: Labels) -> Plane:
    content = layer.metadata.get("napari-pffnet", {}).get("content")
    return "semantic" if content == "semantic" else "labels"
