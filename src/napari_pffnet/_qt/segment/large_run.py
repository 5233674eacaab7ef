"""Images too large for the memory: where their results are kept, and how a run is shown. No Qt in here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.engine import Engine, LargeOutcome, LargeRequest, Progress
from napari_pffnet._qt.layers.planes import Plane, PlaneError, Stack, level_factors, pixel_size
from napari_pffnet._qt.segment.large_layers import LargeLayers
from napari_pffnet._qt.segment.protocol import Options, View
from napari_pffnet._qt.segment.summary import short

if TYPE_CHECKING:
    from napari_pffnet.segment.large import Shown

MINUTE, HOUR = 60, 3600


def is_large(plane: Plane | Stack) -> bool:
    """Whether a plane, or each of a stack, is segmented from disk to disk."""
    from napari_pffnet.io.lazy import LARGE

    return plane.part.height * plane.part.width > LARGE


class LargeRuns:
    """Asks where results are to be kept, runs, and shows what is there by now.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers are added.
    view : View
        Asks the user.
    """

    def __init__(self, viewer: ViewerModel, view: View) -> None:
        self.viewer, self.view = viewer, view
        self._folders: WeakKeyDictionary[Image, Path] = WeakKeyDictionary()
        self._layers: WeakKeyDictionary[Image, LargeLayers] = WeakKeyDictionary()
        self._latest: Shown | None = None
        self._begun: tuple[float, int] | None = None

    def request(self, image: Image, plane: Plane | Stack, options: Options) -> LargeRequest | None:
        """Return the run of a large plane; None if the user names no place for it, or wants to keep what is there.

        Raises
        ------
        PlaneError
            Only a part of it is wanted, or all planes of a stack.
        """
        much = f"{plane.part.height * plane.part.width / 1e6:.0f} Mpx"
        if isinstance(plane, Stack):
            raise PlaneError(f"a plane of '{image.name}' has {much}: segment one plane at a time")
        if plane.inside is not None:
            raise PlaneError(f"{much} are too much for a part: zoom in, choose a lower resolution, or the whole image")
        output = self._output(image)
        if output is None:
            return None
        factor, size = float(level_factors(image, plane.part.level)[-1]), pixel_size(image)
        width = size and size * factor
        return LargeRequest(plane, options.model, options.device, options.config, width, output)

    def begin(self, image: Image, request: LargeRequest, source: dict[str, Any]) -> None:
        """Make room for a run's layers."""
        if image in self._layers:
            self._layers[image].remove()
        self._layers[image] = LargeLayers(self.viewer, request.plane, source)
        self._latest = self._begun = None

    def work(
        self, engine: Engine, request: LargeRequest, report: Progress, cancelled: Callable[[], bool]
    ) -> LargeOutcome:
        """Run, in the background; see `Engine.run_large` for errors."""

        def shown(latest: Shown) -> None:
            self._latest = latest

        return engine.run_large(request, report, cancelled, shown)

    def progressed(self, image: Image, done: int, total: int, outlines: bool) -> str:
        """Show what is there by now; return what the status line says."""
        self._layers[image].show(self._latest, outlines)
        now = time.monotonic()
        self._begun = self._begun or (now, done)
        since, first = self._begun
        left = (total - done) * (now - since) / (done - first) if done > first else None
        return f"Segmenting: tile {min(done + 1, total)} of {total}{_about(left)}"

    def finish(self, image: Image, outcome: LargeOutcome, outlines: bool) -> str:
        """Show the result; return what the status line says."""
        self._layers[image].finish(outcome, outlines)
        seen = "" if outcome.zoom == 1 else f" · seen at {outcome.zoom:.2g}×"
        on = f"{short(outcome.request.model)} on {outcome.device}"
        return f"{outcome.count} nuclei · {on}{seen} · {_time(outcome.seconds)} · {outcome.labels}"

    def shows(self, image: Image) -> bool:
        """Whether an image has a result here."""
        return image in self._layers

    def draw_outlines(self, outlines: bool) -> None:
        """Switch between outlines and filled nuclei."""
        for layers in self._layers.values():
            layers.draw_outlines(outlines)

    def _output(self, image: Image) -> Path | None:
        """Where the results go, without suffix; the user is asked once for each image, and before anything is lost."""
        folder = self._folders.get(image)
        if folder is None:
            path = image.source.path
            start = str(Path(path).parent) if path else ""
            chosen = self.view.ask_folder(f"'{image.name}' is large: its results are written to a folder", start)
            if not chosen:
                return None
            folder = self._folders[image] = Path(chosen)
        output = folder / f"{_file_name(image.name)}-nuclei"
        result, work = (output.with_name(output.name + suffix) for suffix in (".zarr", ".partial"))
        if result.exists() and not work.exists() and not self.view.ask(f"{result} exists. Replace it?"):
            del self._folders[image]
            return None
        return output


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name).strip() or "image"


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f" · about {_time(seconds)} left"


def _time(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.1f} h"
