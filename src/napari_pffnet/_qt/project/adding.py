"""Adding files, and what is open in napari, to a project. No Qt in here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from napari_pffnet._qt.layers.label_rows import rows_by_id
from napari_pffnet._qt.layers.origin import layer_origin
from napari_pffnet._qt.layers.planes import Plane, PlaneError
from napari_pffnet._qt.project.image import FAULTS, ImageKeeper
from napari_pffnet._qt.project.layers import rows_among
from napari_pffnet._qt.project.pairing import Pair, find_pair, find_stack, name_of, place_of, sizes_of
from napari_pffnet._qt.project.teller import Teller
from napari_pffnet.curate.intake import Intake, NewImage
from napari_pffnet.curate.project import Added, Project
from napari_pffnet.curate.work import Annotation
from napari_pffnet.typing import Array
from napari_pffnet.wording import counted

NOTHING_OPEN = "Open an image in napari first; or add files."
SLICE = "The slice {} of '{}' is in the project; its other slices, and its layers, are not changed by what you do here."
DRAWN = "Complete is what you had drawn; mark what else is."
ONE_SLICE = "'{}' has one slice only; add it as an image."
ALL_SLICES = "Add the {} slices of '{}' to the project, {} of them with nuclei? Each becomes an image of its own."
STACK = "{} slices of '{}' are images of the project; the stack and its layers are not changed by what you do here."


class View(Teller, Protocol):
    """What is asked of the user."""

    def copies(self) -> bool:
        """Whether images are copied into the project."""


class LongJob(Protocol):
    """Runs ``job(report)`` in the background, allowing nothing else in the panel; `FAULTS` are told."""

    def __call__(
        self,
        what: str,
        job: Callable[[Callable[[int, int], None]], Any],
        done: Callable[[Any], object],
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """Call `done` with the job's result; `what` is told meanwhile."""


class Adder:
    """Adds images to the project that is open.

    Parameters
    ----------
    keeper : ImageKeeper
        Knows the project and the image in view.
    view : View
        Asks and tells the user.
    run : LongJob
        Runs what takes long.
    opened : callable
        Called when images were added: with the name of the one to open, or with None where that stays as it is.
    """

    def __init__(self, keeper: ImageKeeper, view: View, run: LongJob, opened: Callable[[str | None], None]) -> None:
        self.keeper, self.viewer, self.view, self.run, self.opened = keeper, keeper.viewer, view, run, opened
        self._cancel = threading.Event()

    def close(self) -> None:
        """Stop adding; what was read until now is in the project."""
        self._cancel.set()

    def files(self, project: Project, paths: Sequence[str]) -> None:
        """Add image files and folders."""
        copy, cancel = self.view.copies(), self._new_cancel()
        self.run(
            "Adding images",
            lambda report: project.gather(paths, copy=copy, report=report, cancelled=cancel.is_set),
            lambda intake: self._list(project, intake),
            cancel.set,
        )

    def open_image(self) -> None:
        """Add the plane in view of an image that is open in napari, with its nuclei; see `find_pair`."""
        pair = self._find(lambda: find_pair(self.viewer.layers, self.viewer.dims, self._own()))
        if pair is not None:
            self._add([pair], about(pair))

    def open_stack(self) -> None:
        """Add all slices of an image that is open in napari, each with its nuclei."""
        pairs = self._find(lambda: find_stack(self.viewer.layers, self.viewer.dims, self._own()))
        if pairs is None:
            return
        name, labelled = pairs[0].image.name, sum(pair.labels is not None and pair.labels.max() > 0 for pair in pairs)
        if len(pairs) == 1:
            self.view.set_status(ONE_SLICE.format(name))
        elif self.view.ask(ALL_SLICES.format(len(pairs), name, labelled)):
            self._add(pairs, STACK.format(len(pairs), name))

    def _own(self) -> list[Any]:
        return list(self.keeper.image.layers.values()) if self.keeper.image else []

    def _find(self, find: Callable[[], Any]) -> Any:
        """Return what is open; None, once that is told, if there is nothing or it cannot be taken."""
        try:
            found = find()
        except (*FAULTS, PlaneError) as error:
            self.keeper.fail(error)
            return None
        if not found:
            self.view.set_status(NOTHING_OPEN)
        return found or None

    def _add(self, pairs: list[Pair], told: str) -> None:
        """Add planes of one image, open the first of them, and hide the layers that they came from."""
        project, cancel = self.keeper.project, self._new_cancel()
        if project is None:
            return
        try:
            images = new_images(pairs, self.viewer.dims.order)
        except PlaneError as error:
            self.keeper.fail(error)
            return
        self.run(
            "Adding images",
            lambda report: project.gather_pixels(images, report=report, cancelled=cancel.is_set),
            lambda intake: self._took(project, intake, pairs, told),
            cancel.set,
        )

    def _took(self, project: Project, intake: Intake, pairs: list[Pair], told: str) -> None:
        if not intake.entries and len(pairs) == 1 and intake.problems:
            self.keeper.fail(ValueError(intake.problems[0]))
            return
        if intake.entries:
            for layer in (pairs[0].image, *(pair.layer for pair in pairs if pair.layer is not None)):
                layer.visible = False
        added = self._list(project, intake, open_first=True)
        image = self.keeper.image
        if told and len(added.names) == len(pairs) and image and image.name == added.names[0]:
            self.view.set_status(told)

    def _list(self, project: Project, intake: Intake, *, open_first: bool = False) -> Added:
        """List what was gathered, and tell it."""
        added = project.take(intake)
        if project is self.keeper.project:
            self.opened(added.names[0] if open_first and added.names else None)
        left = f", {len(added.problems)} left out" if added.problems else ""
        self.view.set_status(f"Added {counted(len(added.names), 'image')}{left}.")
        if text := [*added.problems, *added.notes]:
            self.view.warn("\n".join(text))
        return added

    def _new_cancel(self) -> threading.Event:
        self._cancel = threading.Event()
        return self._cancel


def new_images(pairs: Sequence[Pair], order: Sequence[int]) -> list[NewImage]:
    """Return planes, or parts of them, as they come into a project; `order` is that of the viewer's axes.

    Pixels and nuclei are read when they are asked for, in whatever thread; the layers are not.
    """
    layers = {pair.layer for pair in pairs if pair.layer is not None}
    known = {layer: (rows_by_id(layer), layer_origin(layer)) for layer in layers}
    images = []
    for pair in pairs:
        image, plane = pair.image, pair.plane
        name, stack = name_of(image, order, plane), image.name if plane.position else None
        sizes, place = sizes_of(image, order, plane.part), place_of(image, order, plane.part)
        nuclei = None
        if pair.layer is not None and pair.labels is not None:
            nuclei = partial(_annotation, pair.labels, *known[pair.layer])
        images.append(NewImage(name, partial(_pixels, plane), sizes, place, nuclei, pair.areas, stack))
    return images


def _annotation(labels: Array, table: pd.DataFrame, origin: str) -> Annotation:
    """Return nuclei as an annotation; ids under 0 are background."""
    labels = np.maximum(labels, 0)
    return Annotation(labels, None, rows_among(table, origin, labels))


def about(pair: Pair) -> str:
    """Say what of an image is in the project now, if that is not all of it."""
    where = ", ".join(f"{axis}: {i}" for axis, i in pair.plane.position.items())
    if where:
        return SLICE.format(where, pair.image.name)
    return DRAWN if pair.areas else ""


def _pixels(plane: Plane) -> Array:
    """Read a plane without its opacity."""
    pixels = plane.read()
    return pixels[..., :3] if pixels.ndim == 3 else pixels
