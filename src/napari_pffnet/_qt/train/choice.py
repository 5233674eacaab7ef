"""What the images of a project offer to learn from, and what the user wants of it. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from napari_pffnet._qt.train.protocol import View
from napari_pffnet._qt.train.runs import seen, size_of
from napari_pffnet.curate.material import ProjectMaterial, material
from napari_pffnet.data.sources import hold_out

NOTHING_DONE = "No image counts yet. Correct one, and mark it as done or complete in the step Project."
NOTHING_TICKED = "Tick at least one image to learn from."
ONE_WITH_NUCLEI = "Only one of these images has nuclei: tick it alone, to check on a part of it, or correct another."
COUNTING = "Counting nuclei…"


class InBackground(Protocol):
    """Runs ``job()`` elsewhere; then `after`, and `done` with its result if it did not fail."""

    def __call__(
        self,
        title: str,
        job: Callable[[], Any],
        done: Callable[[Any], None],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin."""


class MaterialChoice:
    """Counts what images offer, proposes which are learnt from and which are held out.

    Parameters
    ----------
    view : View
        Shows it, and has what the user ticked.
    background : InBackground
        Where images are read.
    """

    def __init__(self, view: View, background: InBackground) -> None:
        self.view, self.background = view, background
        self._folder: Path | None = None
        self._material: list[ProjectMaterial] = []
        self._proposed: list[str] = []
        self._base = ""
        self._counting = self._again = False

    def follow(self, folder: Path | None) -> None:
        """Turn to another project; its images are not counted yet, and nothing is ticked."""
        self._folder, self._material, self._proposed = folder, [], []
        self.view.set_material([], [], [])
        self.view.set_summary(COUNTING, ready=False)

    def summarize(self) -> None:
        """Say what is learnt from with the images that are ticked."""
        options = self.view.options()
        used = [each for each in self._material if each.name in options.images]
        held = [each for each in used if each.name in options.held_out]
        learnt = [each for each in used if each not in held]
        if not used:
            some = any(each.trains for each in self._material)
            self.view.set_summary(NOTHING_TICKED if some else NOTHING_DONE, ready=False)
        elif len(used) > 1 and sum(each.nuclei > 0 for each in used) == 1:
            self.view.set_summary(ONE_WITH_NUCLEI, ready=False)
        elif len(used) > 1 and not held:
            self.view.set_summary(
                "Tick at least one image to check on: what is learnt there tells nothing.", ready=False
            )
        elif not learnt:
            self.view.set_summary("All images are held out; leave at least one to learn from.", ready=False)
        elif not sum(each.nuclei for each in learnt):
            self.view.set_summary("There is no nucleus to learn from; tick an image with nuclei.", ready=False)
        elif held and not sum(each.nuclei for each in held):
            self.view.set_summary("There is no nucleus to check on; hold out an image with nuclei.", ready=False)
        else:
            check = f"checked on {_images(held)}" if held else "checked on a part of it that is held out"
            stacks = {each.stack or "" for each in held} & {each.stack or "" for each in learnt} - {""}
            told = f" Both hold slices of '{min(stacks)}': on another image it may do less well." if stacks else ""
            self.view.set_summary(f"Learns from {_images(learnt)}, {check}.{told}", ready=True)

    def count(self) -> None:
        """Count what the images offer, in the background; once more if something changes meanwhile."""
        folder = self._folder
        if folder is None or self._counting:
            self._again = folder is not None
            return
        self._counting, self._again = True, False
        base = self.view.options().base
        self.background(
            "PFFNet: counting nuclei",
            lambda: (material(folder), seen(base, folder)),
            lambda found: self._counted(folder, base, *found),
            self._let,
        )

    def _let(self) -> None:
        self._counting = False
        if self._again:
            self.count()

    def _counted(
        self, folder: Path, base: str, found: list[ProjectMaterial], known: tuple[list[str], list[str]]
    ) -> None:
        if folder != self._folder:
            return
        options = self.view.options()
        mine = base == self._base or sorted(options.held_out) != sorted(self._proposed)
        before = {each.name: each for each in self._material}
        used = [
            each.name
            for each in found
            if each.trains
            and (each.name in options.images if _same(each, before.get(each.name)) else each.state == "done")
        ]
        held = [name for name in options.held_out if name in used] if before and mine else []
        if not held:
            full = [each.name for each in found if each.name in used and each.nuclei]
            stacks = {each.name: each.stack for each in found if each.stack}
            held = self._proposed = hold_out(full, *known, stacks)
        self._material, self._base = found, base
        self.view.set_material(found, used, held)
        self.summarize()


def _same(now: ProjectMaterial, before: ProjectMaterial | None) -> bool:
    """Whether an image is as far as it was, so that the user's tick still holds."""
    return before is not None and (now.state, now.trains) == (before.state, before.trains)


def _images(images: Sequence[ProjectMaterial]) -> str:
    return size_of(len(images), sum(each.nuclei for each in images))
