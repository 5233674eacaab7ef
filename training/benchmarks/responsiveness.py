"""How long napari stands still while a model trains: somebody paints all the time, the event loop is timed.

    xvfb-run -s "-screen 0 1366x768x24" python training/benchmarks/responsiveness.py [--seconds 60]

A project of four images is made of the package's samples and the real panel starts a real fine-tuning of the embedded
model, as its button does. While its steps come in, a brush of 10 pixels paints strokes in the labels with the mouse; a
timer of 5 ms notes the gaps between its beats. Without training, the same for comparison.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import napari
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest

from napari_pffnet._qt.panel import Panel
from napari_pffnet.curate.intake import NewImage
from napari_pffnet.curate.project import Project
from napari_pffnet.io.regions import Regions
from napari_pffnet.io.results import write_labels
from napari_pffnet.samples import rpe1, u2os

LEFT, NOTHING = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
BEAT_MS = 5
STROKE = 12


def make_project(folder: Path) -> Path:
    """Four images, all done."""
    project = Project.create(folder)
    for name, sample in (("rpe1", rpe1), ("u2os", u2os)):
        (image, _, _), (labels, _, _) = sample()
        for part, rows in (("top", slice(0, 256)), ("bottom", slice(256, 512))):
            added = NewImage(f"{name}_{part}", partial(image.__getitem__, rows))
            project.take(project.gather_pixels([added]))
            write_labels(folder / "labels" / f"{name}_{part}.tif", labels[rows])
            project.write_regions(f"{name}_{part}", Regions(whole=True))
            project.set_state(f"{name}_{part}", "done")
    project.close()
    return folder


def wait(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window work until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the panel did not get there")
        QTest.qWait(20)


def paint(viewer: napari.Viewer, seconds: float) -> np.ndarray:
    """Paint strokes; return the gaps between beats in milliseconds."""
    layer = viewer.layers["nuclei"]
    assert isinstance(layer, Labels)
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", 10, 1
    canvas = viewer.window._qt_viewer.canvas.native
    gaps, last = [], [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        gaps.append(1000 * (now - last[0]))
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(BEAT_MS)
    end = time.perf_counter() + seconds
    places = np.random.default_rng(0)
    while time.perf_counter() < end:
        x, y = (int(places.integers(60, length - 60)) for length in (canvas.width(), canvas.height()))
        QTest.mousePress(canvas, LEFT, NOTHING, QPoint(x, y))
        for step in range(STROKE):
            QTest.mouseMove(canvas, QPoint(x + 3 * step, y + step))
            QTest.qWait(10)
        QTest.mouseRelease(canvas, LEFT, NOTHING, QPoint(x + 3 * STROKE, y + STROKE))
        QTest.qWait(50)
    timer.stop()
    return np.array(gaps)


def tell(what: str, gaps: np.ndarray) -> None:
    """Print how the gaps are distributed."""
    parts = ", ".join(f"{share} % under {np.percentile(gaps, share):.0f} ms" for share in (50, 99, 99.9))
    print(f"{what}: {parts}; longest {gaps.max():.0f} ms; {len(gaps)} beats", flush=True)


def main() -> None:
    """Measure without and with training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        viewer = napari.Viewer()
        viewer.window.resize(1366, 768)
        panel = Panel(viewer)
        viewer.window.add_dock_widget(panel, name="PFFNet")
        panel.keeper.open(str(make_project(Path(folder) / "project")))
        panel.unfold(panel.train_step)
        wait(lambda: panel.train.images.topLevelItemCount() == 4 and panel.train.start_button.isEnabled())
        wait(lambda: panel.train.base.count() > 0)
        paint(viewer, 5)
        tell("without training", paint(viewer, options.seconds))
        QTest.mouseClick(panel.train.start_button, LEFT)
        wait(lambda: panel.trainer.progress.step > 0)
        tell("while training", paint(viewer, options.seconds))
        print(f"steps meanwhile: {panel.trainer.progress.step}")
        run = panel.trainer.run
        if run is not None:
            run.kill()
        panel.keeper.close()
        sys.stdout.flush()
        os._exit(0)  # nobody is there to answer what napari asks at the end


if __name__ == "__main__":
    main()
