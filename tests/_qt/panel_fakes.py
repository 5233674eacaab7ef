"""The panel as napari opens it; an engine without a network, work without a thread, a view without Qt."""

from unittest.mock import Mock, patch

import numpy as np

from napari_pffnet._qt.engine import Choices, Engine, Outcome
from napari_pffnet._qt.segment.protocol import SegmentOptions
from napari_pffnet.config import SegmentConfig
from napari_pffnet.segment import Cancelled, Prediction

#: Mask scores of the two nuclei that the fake engine finds.
SCORES = (0.9, 0.4)


def prediction(shape):
    """Two square nuclei of 5 × 5 pixels."""
    return Prediction(
        boxes=np.array([[1, 1, 6, 6], [8, 8, 13, 13]], np.float32),
        scores=np.array(SCORES, np.float32),
        quality=np.ones(2, np.float32),
        masks=np.ones((2, 28, 28), np.float16),
        semantic=np.zeros(shape, np.float16),
    )


class FakeEngine:
    """Finds two nuclei in any image; notes what it was asked."""

    def __init__(self, error=None):
        self.requests = []
        self.added = []
        self.error = error

    def close(self):
        self.closed = True

    def choices(self):
        return Choices([("default", "default"), ("other", "other")], [("automatic (CPU)", "auto"), ("CPU", "cpu")])

    def add_model(self, file, name, note):
        self.added.append((file.name, name))
        return name

    def memory(self):
        return 44_000_000

    def zoom(self, request, cancelled):
        if cancelled():
            raise Cancelled
        return request.config.scale or 1.0

    def level(self, request, levels):
        self.looked_at = request.plane.pixels.shape, [(level.pixels.shape, level.pixel_size) for level in levels]
        return len(levels) - 1

    def run(self, request, progress, cancelled):
        self.requests.append(request)
        progress(0, 2)
        if self.error:
            raise self.error
        if cancelled():
            raise Cancelled
        pixels = request.plane.read()
        return Outcome(request, prediction(pixels.shape[:2]), Mock(image=pixels), "CPU", 0.1)


def at_once(title, job, *, done, failed, progressed=lambda *_: None, cancel=None):
    """Do the work now."""
    try:
        result = job(progressed)
    except Exception as error:
        failed(error)
    else:
        done(result)


class FakeView(Mock):
    """Remembers the last call of each setter."""

    def options(self):
        return self.now if isinstance(self.now, SegmentOptions) else options()

    def last(self, setter):
        return getattr(self, setter).call_args


def options(**config):
    return SegmentOptions("default", "auto", "view", SegmentConfig(**config), False)


def dock(viewer, engine=None):
    """Open the panel as napari does from its menu: it is given a wrapper of the viewer, not the viewer."""
    with patch("napari_pffnet._qt.panel.Engine", (lambda: engine) if engine else Engine):
        return viewer.window.add_plugin_dock_widget("napari-pffnet", "PFFNet")[1]
