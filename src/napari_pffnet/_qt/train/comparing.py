"""What two models found in a held-out image, side by side. No Qt in here."""

from __future__ import annotations

from typing import Any

from napari_pffnet._qt.train.choice import InBackground
from napari_pffnet._qt.train.compare_layers import LEGEND, with_difference
from napari_pffnet._qt.train.protocol import SideBySide, View
from napari_pffnet._qt.train.runs import read_pair
from napari_pffnet.curate.project import Project
from napari_pffnet.train.child import Run
from napari_pffnet.train.gate import read_gate


class Comparing:
    """Shows one image at a time.

    Parameters
    ----------
    view : View
        Tells how the models differ.
    background : InBackground
        Where the images are read.
    side_by_side : SideBySide
        Shows them.
    """

    def __init__(self, view: View, background: InBackground, side_by_side: SideBySide) -> None:
        self.view, self.background, self.side_by_side = view, background, side_by_side
        self._name = ""

    def show(self, project: Project, run: Run, name: str) -> None:
        """Show a held-out image of a run; nothing if it has none of that name."""
        image = next((each for each in read_gate(run.output).images if each.name == name), None)
        if image is None:
            self.end()
            return
        self._name = name

        def show(pair: Any) -> None:
            if self._name == name:  # the user may have gone on meanwhile
                self.side_by_side.show(name, *pair)
                self.view.set_status(f"{pair[-1].headline()} · {LEGEND}")

        self.background("PFFNet: side by side", lambda: with_difference(*read_pair(project, run.output, image)), show)

    def end(self) -> None:
        """Take the image away."""
        self._name = ""
        self.side_by_side.remove()
