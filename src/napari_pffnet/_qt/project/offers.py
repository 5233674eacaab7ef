"""Labels layers that may become the annotation of the project's image in view, or part of it. No Qt in here."""

from __future__ import annotations

from napari.layers import Labels

from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.editable import hindrance
from napari_pffnet._qt.layers.planes import PlaneError
from napari_pffnet._qt.layers.selection import remove_if_there
from napari_pffnet._qt.project.image import FAULTS, ImageKeeper
from napari_pffnet._qt.project.joining import is_partial, join_found, place_in
from napari_pffnet._qt.project.layers import OpenImage, as_plane, plane_of
from napari_pffnet._qt.project.pairing import beside
from napari_pffnet._qt.project.texts import (
    AMONG,
    BESIDE,
    DONE_ALREADY,
    IN_WORK,
    INSTEAD,
    LEFT,
    MISPLACED,
    NOT_TAKEN,
    OTHERS,
    READONLY,
    REMOVED,
    STAYS,
)
from napari_pffnet.curate.change import OperationError
from napari_pffnet.curate.project import Project
from napari_pffnet.wording import count_nuclei


class Offers:
    """Decides, with the user, what is taken.

    Parameters
    ----------
    active : ActiveLabels
        The selected layer.
    keeper : ImageKeeper
        Keeps the image in view and its annotation.
    """

    def __init__(self, active: ActiveLabels, keeper: ImageKeeper) -> None:
        self.active, self.viewer, self.keeper = active, active.viewer, keeper

    def offered(self, layer: Labels) -> None:
        """Take the first nuclei of the image as its annotation; tell that later ones are not taken."""
        if is_partial(layer):  # `found` takes it, once it is complete
            return
        role, image = plane_of(layer), self.keeper.image
        if role is None or image is None or as_plane(layer, image.shape) is None or image.is_of_another(layer):
            return
        if image.lies_beside(layer):
            self.keeper.view.set_status(MISPLACED.format(layer.name, image.name))
            return
        if role in image.missing() and not self.keeper.view.ask(REMOVED.format(image.name, layer.name)):
            layer.visible = False
            self.keeper.bring_back()
            return
        if role not in image.layers and ("labels" not in image.layers or role == "labels"):
            self.keeper.adopt(layer, role)
            self.keeper.view.set_status("")
        elif role == "labels":
            self.keeper.view.set_status(NOT_TAKEN)
            if layer in beside(self.viewer, image):
                self.keeper.view.warn(BESIDE.format(layer.name, image.layers[role].name))

    def found(self, layer: Labels) -> None:
        """Put nuclei that were just found in a part of the image in view into its annotation."""
        image, project = self.keeper.image, self.keeper.project
        if image is None or project is None or not is_partial(layer) or place_in(image, layer) is None:
            return
        if project.readonly or "labels" in image.missing():
            self.keeper.view.set_status(NOT_TAKEN)
        elif project.entry(image.name).state != "done" or self.keeper.view.ask(DONE_ALREADY.format(image.name)):
            self._join(image, layer)
        else:
            self.keeper.view.set_status(NOT_TAKEN)

    def _join(self, image: OpenImage, layer: Labels) -> bool:
        """Put nuclei into the annotation and save it; False if that could not be done."""
        try:
            joined = join_found(self.active, image, layer)
        except (OperationError, PlaneError) as error:
            self.keeper.view.set_status(f"{NOT_TAKEN} ({error})")
            return False
        if joined is None or not self.keeper.save():
            return False
        left = f" {count_nuclei(joined.unwanted)} left out where you had deleted some." if joined.unwanted else ""
        self.keeper.view.set_status(f"{count_nuclei(len(joined.ids))} put into the project; {STAYS}.{left}")
        return True

    def goes_on(self) -> bool:
        """Ask whether results that lie on the image in view, but are not in the project, may be left; hide them."""
        left = beside(self.viewer, self.keeper.image) if self.keeper.image else []
        if self.keeper.image is None or self.keeper.project is None or self.keeper.project.readonly or not left:
            return True
        if not self.keeper.view.ask(LEFT.format("', '".join(layer.name for layer in left), self.keeper.image.name)):
            return False
        for layer in left:
            layer.visible = False
        if "labels" in self.keeper.image.layers:
            self.keeper.image.layers["labels"].visible = True
        return True

    def use_layer(self) -> None:
        """Take the selected Labels layer as the annotation of the image in view."""
        image, layer, project = self.keeper.image, self.active.layer, self.keeper.project
        if image is None or project is None:
            return
        if project.readonly:
            self.keeper.view.set_status(READONLY)
            return
        role = plane_of(layer) if layer is not None else None
        found = layer is not None and place_in(image, layer) is not None
        if layer is not None and found and is_partial(layer):
            self._join(image, layer)
            return
        if layer is not None and role is not None and (reason := hindrance(layer)):
            self.keeper.view.set_status(f"{reason}: press 'Edit a copy' (Correct), and take the copy.")
            return
        if layer is None or role is None or as_plane(layer, image.shape) is None:
            self.keeper.view.set_status("Select a Labels layer of the image's size first.")
            return
        if layer is not image.layers.get(role) and image.lies_beside(layer):
            self.keeper.view.set_status(MISPLACED.format(layer.name, image.name))
            return
        if image.is_of_another(layer) and not self.keeper.view.ask(OTHERS.format(layer.name, image.name)):
            return
        before = image.layers.get(role)
        state = project.entry(image.name).state
        if before and layer is not before and state != "new":
            question = (AMONG if found else INSTEAD).format(layer, before)
            if not self.keeper.view.ask(f"{question}{IN_WORK.format(image.name) if state == 'done' else ''}"):
                return
            if found:
                if self._join(image, layer):
                    self._take_up_again(project, image)
                return
        if role in image.missing() and not self.keeper.view.ask(REMOVED.format(image.name, layer.name)):
            return
        if layer is not before:
            self.keeper.adopt(layer, role)
            remove_if_there(self.viewer, before)
        if self.keeper.save():
            self.keeper.view.set_status(f"'{layer}' is in the project now.")
            if before and layer is not before:
                self._take_up_again(project, image)

    def _take_up_again(self, project: Project, image: OpenImage) -> None:
        """Note that an image which was done has other nuclei now, to be looked at."""
        if project.entry(image.name).state != "done":
            return
        try:
            project.set_state(image.name, "in work")
        except FAULTS as error:
            self.keeper.fail(error)
        self.keeper.changed()
