"""The step *Project*: images of a folder one after the other, every edit on the disk at once. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.project import adding, texts
from napari_pffnet._qt.project.image import FAULTS, ImageKeeper
from napari_pffnet._qt.project.layers import OpenImage
from napari_pffnet._qt.project.offers import Offers
from napari_pffnet.curate.calibration import Calibration, calibrate, read_calibration
from napari_pffnet.curate.project import Project, ProjectLocked, check_new, check_there
from napari_pffnet.io.project import PROJECT_FILE, is_project
from napari_pffnet.io.regions import Regions
from napari_pffnet.readers import IN_PROJECT


class View(adding.View, Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    new_requested: Any
    open_requested: Any
    save_as_requested: Any
    add_requested: Any
    add_open_requested: Any
    add_stack_requested: Any
    image_chosen: Any
    next_requested: Any
    done_requested: Any
    whole_toggled: Any
    area_requested: Any
    use_layer_requested: Any
    segmenting_chosen: Any

    def segments_new(self) -> bool:
        """Whether images without nuclei are segmented when they are opened."""

    def set_project(self, name: str | None) -> None:
        """Name the project; None hides everything that needs one."""

    def set_images(self, images: Sequence[tuple[str, str]], current: str | None) -> None:
        """List names and states, and which one is open."""

    def set_image(self, done: bool, whole: bool) -> None:
        """Show whether the open image is done, and complete as a whole."""

    def set_busy(self, busy: bool) -> None:
        """Allow nothing but looking and editing while a long job runs."""


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

    #: Another project is open, or something is different in the list of its images.
    changed = Signal()
    #: Another image or project is about to be opened.
    leaving = Signal()
    #: An image without nuclei was opened, and they are to be found: its Image layer.
    wanting_nuclei = Signal(object)

    def __init__(self, active: ActiveLabels, view: View, background: Background) -> None:
        self.active, self.viewer, self.view, self.background = active, active.viewer, view, background
        self.keeper = ImageKeeper(active, view, self._show)
        self.offers = Offers(active, self.keeper)
        self.adder = adding.Adder(self.keeper, view, self._run_long, self._added)
        self._tried: str | None = None
        self._busy = False
        self._connections = Connections(
            (self.viewer.layers.events.inserted, self._inserted),
            (view.new_requested, self.new),
            (view.open_requested, self.open),
            (view.save_as_requested, self.save_as),
            (view.add_requested, self.add),
            (view.add_open_requested, self.adder.open_image),
            (view.add_stack_requested, self.adder.open_stack),
            (view.image_chosen, self.open_image),
            (view.next_requested, self.next),
            (view.done_requested, self.toggle_done),
            (view.whole_toggled, self.keeper.set_whole),
            (view.area_requested, self.keeper.mark_area),
            (view.use_layer_requested, self.offers.use_layer),
            (view.segmenting_chosen, self._want_nuclei),
        )
        self._show()
        self.view.set_status(texts.NO_PROJECT)
        self._take_from_viewer()

    @property
    def project(self) -> Project | None:
        """The project that is open."""
        return self.keeper.project

    @property
    def image(self) -> OpenImage | None:
        """The image in view."""
        return self.keeper.image

    def calibration(self) -> Calibration | None:
        """Return what the corrections of the open project have taught about the predicted fit."""
        return read_calibration(self.project.folder) if self.project else None

    def close(self) -> None:
        """Save the image in view and let go of everything; its layers stay."""
        self._connections.close()
        self.adder.close()
        self.keeper.close()
        if self.project:
            self.project.close()

    def new(self, folder: str) -> None:
        """Make a new project and open it."""
        self._enter(lambda: check_new(folder), lambda: Project.create(folder))

    def open(self, folder: str, image: str | None = None) -> None:
        """Open a project, on that image or the first that is not done; if somebody has it open, ask first."""
        anyway = partial(Project.open, folder, take_over=True)
        self._enter(lambda: check_there(folder), lambda: Project.open(folder), anyway, image)

    def leave_project(self) -> bool:
        """Save and close the project; False if the user stays."""
        if not self._leave_image():
            return False
        if self.project:
            self.project.close()
        self.keeper.project = None
        return True

    def open_image(self, name: str) -> None:
        """Save the image in view and open another one."""
        project = self.project
        if project is None:
            return
        if self.image and self.image.name == name:
            self.leaving.emit()  # what hides its layers
            self.keeper.bring_back()
            self._want_nuclei()
            return
        if not self._leave_image():
            self._show()
            return
        self._tried = name
        try:
            self.keeper.open(project, name)
        except FAULTS as error:
            self.keeper.fail(error)
        else:
            self.view.set_status("" if self.image and "labels" in self.image.layers else texts.NO_NUCLEI)
        self._show()
        self.keeper.tell_notes()
        self._want_nuclei()

    def _want_nuclei(self) -> None:
        image, project = self.image, self.project
        if image is None or project is None or project.readonly or "labels" in image.layers:
            return
        if self.view.segments_new() and project.entry(image.name).state == "new":
            self.wanting_nuclei.emit(image.layers["image"])

    def next(self) -> None:
        """Open the next image that is not done."""
        if self.project is None or self._busy:
            return
        name = self.image.name if self.image else self._tried
        following = self.project.following(name)
        if following is None:
            self.keeper.save()
            here = self.image is not None and self.project.entry(self.image.name).state != "done"
            self.view.set_status(texts.LAST_ONE if here else texts.ALL_DONE)
        else:
            self.open_image(following)

    def done_and_next(self) -> None:
        """Mark the image in view as done, if it is not, and open the next one."""
        project, image = self.project, self.image
        if project is None or image is None or self._busy:
            return
        if project.entry(image.name).state != "done":
            if not image.annotation().labels.any() and not self.view.ask(texts.EMPTY.format(image.name)):
                return
            self.toggle_done()
        if project.entry(image.name).state == "done":
            self.next()

    def _leave_image(self) -> bool:
        self.leaving.emit()
        return self.offers.goes_on() and self.keeper.leave()

    def toggle_done(self) -> None:
        """Mark the image in view as done, or not; one without complete areas is then complete as a whole."""
        if self.project is None or self.image is None:
            return
        done = self.project.entry(self.image.name).state == "done"
        if (not done and not self.offers.goes_on()) or not self.keeper.save():
            return
        try:
            if not done and self.image.regions == Regions():
                self.keeper.write_regions(Regions(whole=True))
            self.project.set_state(self.image.name, "in work" if done else "done")
        except FAULTS as error:
            self.keeper.fail(error)
        else:
            image = self.image
            self.view.set_status("" if done else texts.done(bool(image.annotation().labels.any()), image.regions.whole))
            if not done:
                self._learn(self.project.folder)
        self._show()

    def add(self, paths: Sequence[str]) -> None:
        """Add image files and folders, in the background; a project among them is opened instead."""
        projects = [path for path in paths if is_project(path) or Path(path).name == PROJECT_FILE]
        if projects:
            self.open(projects[0])
        elif self.project is not None:
            self.adder.files(self.project, paths)

    def save_as(self, folder: str) -> None:
        """Copy the project in the background and go on in the copy."""
        if self.project is None:
            return
        self.keeper.save()
        project = self.project
        self._run_long("Copying the project", lambda report: project.save_as(folder, report), self._go_on_in)

    def _learn(self, folder: Path) -> None:
        """Calibrate the predicted fit by what is done now; if that fails, it stays as it was."""
        self.background(
            "PFFNet: comparing predictions with corrections",
            lambda _report: calibrate(folder),
            done=lambda _calibration: None,
            failed=lambda _error: None,
        )

    def _enter(
        self,
        check: Callable[[], object],
        opening: Callable[[], Project],
        anyway: Callable[[], Project] | None = None,
        image: str | None = None,
    ) -> None:
        """Leave the project for another one, if that can be."""
        if self._busy:
            self.view.warn(texts.BUSY)
            return
        try:
            check()
        except FAULTS as error:
            self.keeper.fail(error)
            return
        if not self.leave_project():
            return
        self._show()
        try:
            try:
                self.keeper.project = opening()
            except ProjectLocked as error:
                if anyway is None or not self.view.ask(f"{error}.\n\nOpen it here all the same?"):
                    self.view.set_status(texts.NO_PROJECT)
                    return
                self.keeper.project = anyway()
        except FAULTS as error:
            self.keeper.fail(error)
            return
        self._show()
        self.view.set_status("" if self.project and self.project.manifest.images else texts.NO_IMAGES)
        self.keeper.tell_notes()
        self._open_first(image)

    def _open_first(self, wanted: str | None = None) -> None:
        names = [entry.name for entry in self.project.manifest.images] if self.project else []
        if self.project and self.image is None and names:
            self.open_image(wanted if wanted in names else self.project.following() or names[0])

    def _inserted(self, event: Any) -> None:
        """Open the project of layers that napari's reader made; offer other nuclei to the image in view."""
        if self.keeper.adding:
            return
        layer, last = event.value, event.value.metadata.get(IN_PROJECT, {}).get("last")
        if last:
            self._take(event.value.metadata[IN_PROJECT])
        elif isinstance(layer, Labels):
            self.offers.offered(layer)
        if self.image is not None:
            self.image.let_go_of_copy(layer)

    def _take_from_viewer(self) -> None:
        notes = [layer.metadata[IN_PROJECT] for layer in self.viewer.layers if IN_PROJECT in layer.metadata]
        note = next((note for note in notes if note.get("last")), notes[-1] if notes else None)
        if note is not None:
            self._take(note)

    def _take(self, note: Mapping[str, Any]) -> None:
        """Open the image of a project that napari's reader has shown."""
        if self.project and self.project.folder == Path(note["folder"]):
            self.view.warn(
                f"{note['folder']} is open already; the layers just opened are copies, edits there are not kept"
            )
        else:
            self.open(note["folder"], note["image"])

    def _added(self, name: str | None) -> None:
        """Show images that were added, and open that one, or the first if none is open."""
        self._show()
        if name is None:
            self._open_first()
        else:
            self.open_image(name)

    def _go_on_in(self, copy: Project) -> None:
        former = self.project
        self.keeper.move(copy)
        if former:
            former.close()
        self.view.set_status(f"Now working in {copy.folder}.")
        self._show()

    def _run_long(
        self,
        what: str,
        job: Callable[[Callable[[int, int], None]], Any],
        done: Callable[[Any], object],
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a job in the background; see `LongJob`."""
        self._set_busy(True)
        self.view.set_status(f"{what}…")
        self.background(
            f"PFFNet: {what.lower()}",
            job,
            done=lambda result: self._finish(lambda: done(result)),
            failed=lambda error: self._finish(lambda: self.keeper.fail(error)),
            progressed=lambda number, total: self.view.set_status(f"{what}: {number} of {total}"),
            cancel=cancel,
        )

    def _set_busy(self, busy: bool) -> None:
        self._busy = busy
        self.view.set_busy(busy)

    def _finish(self, action: Callable[[], object]) -> None:
        self._set_busy(False)
        try:
            action()
        except FAULTS as error:
            self.keeper.fail(error)

    def _show(self) -> None:
        entries = self.project.manifest.images if self.project else ()
        self.view.set_project(self.project.name if self.project else None)
        current = self.image.name if self.image else None
        self.view.set_images([(entry.name, entry.state) for entry in entries], current)
        state = next((entry.state for entry in entries if entry.name == current), "new")
        self.view.set_image(state == "done", bool(self.image and self.image.regions.whole))
        self.changed.emit()
