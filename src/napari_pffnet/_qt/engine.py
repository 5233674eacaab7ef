"""What the panel asks of the core. PyTorch is imported at the first call, in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pffnet._qt.layers.planes import Plane
from napari_pffnet._qt.torch_import import import_torch
from napari_pffnet.config import SegmentConfig

if TYPE_CHECKING:
    import torch

    from napari_pffnet.io.lazy import LazyPlane
    from napari_pffnet.library import Model
    from napari_pffnet.segment import FeatureCache, Pointer, Prediction
    from napari_pffnet.segment.large import Shown
    from napari_pffnet.segment.prediction import Segmentation

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Choices:
    """Models and devices of this machine, each as (title, value); what is known of a model, by its value."""

    models: list[tuple[str, str]]
    devices: list[tuple[str, str]]
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One run: `model` is a name or path, `device` a name of `library.pick_device`; `of_stack`: blank is skipped."""

    plane: Plane
    model: str
    device: str
    config: SegmentConfig
    of_stack: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a request: the prediction, what finds single nuclei, device, seconds, and the network's zoom."""

    request: Request
    prediction: Prediction
    pointer: Pointer
    device: str
    seconds: float
    zoom: float = 1.0

    @cached_property
    def brown(self) -> bool:
        """Whether much of the image is brown, and all colours were looked at."""
        from napari_pffnet.io.stains import HEMATOXYLIN, is_brown

        return self.request.plane.channel != HEMATOXYLIN and is_brown(self.pointer.image)

    def compose(self, config: SegmentConfig) -> Segmentation:
        """Apply thresholds; the network is not run. Nuclei outside the part that was wanted are left out."""
        return self.prediction.compose(config).within(self.request.plane.inside)


@dataclass(frozen=True)
class LargeRequest:
    """One run of a plane that does not fit into memory.

    Results are ``OUTPUT.zarr`` and ``OUTPUT.csv``; `restart`: see `segment_large`. The rest as in `Request`.
    """

    plane: Plane
    model: str
    device: str
    config: SegmentConfig
    output: Path
    restart: bool = False


@dataclass(frozen=True)
class LargeOutcome:
    """What came of a large plane: where the results are; the rest as in `Outcome`."""

    request: LargeRequest
    labels: Path
    table: Path
    count: int
    device: str
    seconds: float
    zoom: float


class Engine:
    """Runs requests; keeps the model used last, and the features of the images seen last."""

    def __init__(self) -> None:
        self._cache: FeatureCache | None = None
        self._model: Model | None = None
        self._key: tuple[object, ...] = ()
        self._loading = threading.Lock()

    def close(self) -> None:
        """Let go of the model and of all features."""
        self._cache, self._model, self._key = None, None, ()

    def choices(self) -> Choices:
        """Find the models that can be used, and the devices; the first entry of each is the default."""
        import_torch()
        import torch

        from napari_pffnet.library import describe, entries, pick_device

        devices = [(f"automatic ({pick_device('auto').type.upper()})", "auto"), ("CPU", "cpu")]
        devices += [(torch.cuda.get_device_name(i), f"cuda:{i}") for i in range(torch.cuda.device_count())]
        devices += [("Apple GPU (MPS)", "mps")] * torch.backends.mps.is_available()
        models = [entry for entry in entries() if not entry.fault]
        facts = {entry.name: describe(entry) for entry in models}
        return Choices([(entry.name, entry.name) for entry in models], devices, facts)

    def add_model(self, file: Path, name: str, note: str) -> str:
        """Add a model file to the library; return its name there.

        Raises
        ------
        LibraryError
            It is no model, or the name is taken.
        """
        from napari_pffnet.library import add

        return add(file, name, note).name

    def run(self, request: Request, progress: Progress, cancelled: Callable[[], bool]) -> Outcome:
        """Segment the plane.

        Raises
        ------
        Cancelled
            `cancelled` returned True.
        LibraryError
            The model or the device cannot be used.
        """
        from napari_pffnet.memory import empty_cache
        from napari_pffnet.segment import Segmenter, sized
        from napari_pffnet.segment.stack import predict_plane

        predict = predict_plane if request.of_stack else Segmenter.predict
        pointer = self.pointer(request)
        start = time.perf_counter()
        try:
            pointer.segmenter = segmenter = sized(pointer.segmenter, pointer.image, request.plane.pixel_size, cancelled)
            wanted = request.plane.inside
            pointer.prediction = predict(segmenter, pointer.image, progress, cancelled, pointer.keep, wanted)
        finally:
            empty_cache(pointer.segmenter.device)
        device = segmenter.device.type.upper()
        return Outcome(request, pointer.prediction, pointer, device, time.perf_counter() - start, segmenter.scale)

    def run_large(
        self,
        request: LargeRequest,
        progress: Progress,
        cancelled: Callable[[], bool],
        shown: Callable[[Shown], None],
    ) -> LargeOutcome:
        """Segment a plane part by part, from disk to disk; `shown` is called as in `segment_large`.

        Raises
        ------
        Cancelled
            `cancelled` returned True; the next run goes on there.
        OtherWork
            The output was begun otherwise.
        LibraryError
            The model or the device cannot be used.
        """
        from napari_pffnet.memory import empty_cache
        from napari_pffnet.segment import Segmenter
        from napari_pffnet.segment.large import segment_large

        start, plane = time.perf_counter(), _lazy(request.plane)
        model = self._load(request.model, request.device)
        segmenter = Segmenter(model, request.config)
        try:
            done = segment_large(
                plane,
                segmenter,
                request.output,
                progress=progress,
                cancelled=cancelled,
                shown=shown,
                restart=request.restart,
            )
        finally:
            empty_cache(segmenter.device)
        device, seconds = segmenter.device.type.upper(), time.perf_counter() - start
        return LargeOutcome(request, done.labels, done.table, done.count, device, seconds, done.zoom)

    def level(self, request: Request, levels: Sequence[Plane]) -> int:
        """Level of a pyramid that shows nuclei well; see `choose_level`.

        `request` is for the largest of the levels.

        Raises
        ------
        LibraryError
            The model or the device cannot be used.
        """
        from napari_pffnet.segment import Segmenter
        from napari_pffnet.segment.levels import choose_level

        segmenter = Segmenter(self._load(request.model, request.device), request.config)
        planes = [_lazy(level) for level in levels]
        return choose_level(segmenter, planes, request.config.diameter).level

    def zoom(self, request: Request, cancelled: Callable[[], bool]) -> float:
        """Zoom at which `run` would look at the plane.

        Raises
        ------
        Cancelled
            `cancelled` returned True.
        LibraryError
            The model or the device cannot be used.
        """
        from napari_pffnet.segment import Segmenter, sized

        segmenter = Segmenter(self._load(request.model, request.device), request.config)
        return sized(segmenter, request.plane.read(), request.plane.pixel_size, cancelled).scale

    def pointer(self, request: Request) -> Pointer:
        """Return what finds single nuclei in the plane; nothing is computed yet.

        Raises
        ------
        LibraryError
            The model or the device cannot be used.
        """
        from napari_pffnet.segment import FeatureCache, Pointer, Segmenter

        model = self._load(request.model, request.device)
        self._cache = self._cache or FeatureCache()
        return Pointer(Segmenter(model, request.config), request.plane.read(), self._cache)

    def memory(self) -> int:
        """Memory that the kept features take, bytes."""
        return self._cache.nbytes if self._cache else 0

    def _forget(self) -> int:
        return self._cache.clear() if self._cache else 0

    def _load(self, name: str, device: str) -> Model:
        from napari_pffnet.library import find, load_model, pick_device

        file = find(name)
        wanted = pick_device(device)
        key = (file, file.stat().st_mtime_ns, device)  # a name can be given to another file
        with self._loading:  # runs, looks of the tools and at sizes are in several threads
            model = self._model if self._key == key else None
            if model is None:
                model = load_model(name, wanted)
            elif model.device.type != wanted.type:
                model = _back_on(wanted, model)
            model.allowed.forget = self._forget
            self._model, self._key = model, key
        return model


def _back_on(device: torch.device, model: Model) -> Model:
    """Return the model on the device that was wanted; where it is, the CPU, if there is still no memory there."""
    from napari_pffnet.memory import is_out_of_memory

    try:
        return model.copied_to(device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return model


def _lazy(plane: Plane) -> LazyPlane:
    from napari_pffnet.io.lazy import LazyPlane
    from napari_pffnet.io.ome_zarr import Placement

    width, placement = plane.pixel_size, None
    sides = [abs(float(s)) for s, n in zip(plane.placement["scale"], plane.shape, strict=True) if n > 1]
    if plane.pixel_size and len(sides) == 2:
        width = plane.pixel_size * sides[1] / sides[0]
        placement = Placement((plane.pixel_size, width), units=("micrometer", "micrometer"))
    return LazyPlane(plane.pixels, "YXS"[: len(plane.pixels.shape)], pixel_size=width, placement=placement)
