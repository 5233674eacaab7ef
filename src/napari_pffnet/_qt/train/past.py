"""Trainings of a project that are over: listed, shown again, deleted. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_pffnet._qt.connections import Pair
from napari_pffnet._qt.train.choice import InBackground
from napari_pffnet._qt.train.protocol import View
from napari_pffnet._qt.train.runs import Past, discard, past
from napari_pffnet.train.child import Run, find

DELETE = "Delete the files of this training ({} MB)? A model that was accepted stays in the library."


class PastTrainings:
    """Lists the trainings of a project that are over; shows one again, or deletes it.

    Parameters
    ----------
    view : View
        Shows the list, and tells what the user wants.
    background : InBackground
        Where files are read and deleted.
    show : callable
        Shows a run as if it had just ended.
    """

    def __init__(self, view: View, background: InBackground, show: Callable[[Run], None]) -> None:
        self.view, self.background, self._show = view, background, show
        self._project: Path | None = None
        self._trainings: list[Past] = []
        self.connections: list[Pair] = [
            (view.past_chosen, self.look_again),
            (view.past_unwanted, self.delete),
        ]

    def follow(self, project: Path | None) -> None:
        """List the trainings of a project as they are now."""
        if project != self._project:
            self._project = project
            self._take([])
        if project is not None:
            self.background(
                "PFFNet: earlier trainings",
                lambda: past(project),
                lambda found: self._take(found) if project == self._project else None,
            )

    def look_again(self, name: str) -> None:
        """Show the comparison of a training, by the name of its folder; its model can be accepted still."""
        training = self._named(name)
        run = find(training.output) if training else None
        if run is not None:
            self._show(run)

    def delete(self, name: str) -> None:
        """Delete the files of a training, if the user agrees."""
        training = self._named(name)
        if training is None or not self.view.ask(DELETE.format(round(_size(training.output) / 1e6))):
            return
        self.background(
            "PFFNet: deleting a run", lambda: discard(training.output), lambda _: self.follow(self._project)
        )

    def _named(self, name: str) -> Past | None:
        return next((each for each in self._trainings if each.output.name == name), None)

    def _take(self, trainings: Sequence[Past]) -> None:
        self._trainings = list(trainings)
        self.view.set_past(self._trainings)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
