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
from napari_pffnet._qt.layers.axes import axis_names, level_count, level_shape
from napari_pffnet._qt.layers.planes import Plane, PlaneError, Stack
from napari_pffnet._qt.segment.large_layers import LargeLayers
from napari_pffnet._qt.segment.protocol import SegmentOptions, View
from napari_pffnet._qt.segment.results import about_image
from napari_pffnet._qt.segment.summary import found, short
from napari_pffnet.wording import duration

if TYPE_CHECKING:
    from napari_pffnet.segment.large import Shown


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
        self._shown: WeakKeyDictionary[Image, dict[Path, LargeLayers]] = WeakKeyDictionary()
        self._running: LargeLayers | None = None
        self._latest: Shown | None = None
        self._begun: tuple[float, int] | None = None

    def request(self, image: Image, plane: Plane | Stack, options: SegmentOptions) -> LargeRequest | None:
        """Return the run of a large plane; None if the user names no place for it, or wants to keep what is there.

        Raises
        ------
        PlaneError
            All planes of a stack are wanted, or there is a Zarr of that name that is no result.
        """
        if isinstance(plane, Stack):
            much = f"{plane.part.height * plane.part.width / 1e6:.0f} Mpx"
            raise PlaneError(f"a plane of '{image.name}' has {much}: segment one plane at a time")
        output = self._output(image, _file_name(image, plane))
        if output is None:
            return None
        return LargeRequest(plane, options.model, options.device, options.config, output)

    def begin(self, image: Image, request: LargeRequest, source: dict[str, Any]) -> None:
        """Prepare a run's layers; those of an earlier run stay until there is something to show in their place."""
        before = self._shown.get(image, {}).get(request.output)
        self._running = LargeLayers(self.viewer, request.plane, source, before, about_image(self.viewer, image))
        self._latest = self._begun = None

    def work(
        self, engine: Engine, request: LargeRequest, report: Progress, cancelled: Callable[[], bool]
    ) -> LargeOutcome:
        """Run, in the background; see `Engine.run_large` for errors."""

        def shown(latest: Shown) -> None:
            self._latest = latest

        return engine.run_large(request, report, cancelled, shown)

    def progressed(self, image: Image, request: LargeRequest, done: int, total: int, outlines: bool) -> str:
        """Show what is there by now; return what the status line says."""
        if self._running is not None and self._latest is not None:
            self._running.show(self._latest, outlines)
            self._shown.setdefault(image, {})[request.output] = self._running
        if done == total:
            return "Segmenting: drawing the last nuclei"
        now = time.monotonic()
        self._begun = self._begun or (now, done)
        since, first = self._begun
        left = (total - done) * (now - since) / (done - first) if done > first else None
        return f"Segmenting: tile {done + 1} of {total}{_about(left)}"

    def finish(self, image: Image, outcome: LargeOutcome, outlines: bool) -> str:
        """Show the result; return what the status line says."""
        if self._running is not None:
            self._running.finish(outcome, outlines)
            self._shown.setdefault(image, {})[outcome.request.output] = self._running
        seen = "" if outcome.zoom == 1 else f" · seen at {outcome.zoom:.2g}×"
        on = f"{short(outcome.request.model)} on {outcome.device}"
        nuclei = found(outcome.count, outcome.request.config)
        return f"{nuclei} · {on}{seen} · {duration(outcome.seconds)} · {outcome.labels}"

    def failed(self, image: Image, request: LargeRequest, error: Exception) -> None:
        """Ask for another folder the next time, if nothing could be written there."""
        if isinstance(error, OSError) and not request.output.with_name(f"{request.output.name}.partial").exists():
            self._folders.pop(image, None)

    def shows(self, image: Image) -> bool:
        """Whether an image has a result here."""
        return bool(self._shown.get(image))

    def draw_outlines(self, outlines: bool) -> None:
        """Switch between outlines and filled nuclei."""
        for outputs in self._shown.values():
            for layers in outputs.values():
                layers.draw_outlines(outlines)

    def _output(self, image: Image, name: str) -> Path | None:
        """Where the results go, without suffix; the user is asked once for each image, and before anything is lost."""
        from napari_pffnet.io.ome_zarr import is_result

        folder = self._folders.get(image)
        if folder is None:
            path = image.source.path
            start = str(Path(path).parent) if path else ""
            chosen = self.view.ask_folder(f"'{image.name}' is large: its results are written to a folder", start)
            if not chosen:
                return None
            folder = self._folders[image] = Path(chosen)
        results = [folder / f"{name}{suffix}" for suffix in (".zarr", ".csv")]
        if results[0].exists() and not is_result(results[0]):
            del self._folders[image]
            raise PlaneError(f"{results[0]} is there and no result of a segmentation; choose another folder")
        there = " and ".join(str(result) for result in results if result.exists())
        if there and not self.view.ask(f"{there} will be replaced when the run ends. Go on?"):
            del self._folders[image]
            return None
        return folder / name


def _file_name(image: Image, plane: Plane) -> str:
    """Name that says which plane of which level it is, where there are several: slices from 1, levels from 0."""
    sizes = dict(zip(axis_names(image), level_shape(image), strict=False))
    places = [f"{axis}{index + 1}" for axis, index in plane.position.items() if sizes[axis] > 1]
    level = [f"level{plane.part.level}"] if level_count(image) > 1 else []
    name = "-".join([image.name.strip() or "image", *(place.replace(" ", "") for place in places), *level, "nuclei"])
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name)


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f" · about {duration(seconds)} left"
