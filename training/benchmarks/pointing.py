"""How long it takes from releasing the mouse to painted pixels, in the running panel.

    xvfb-run -a python training/benchmarks/pointing.py IMAGE

Segments the image with the embedded model in napari with the panel, then asks for nuclei as the tools *Find* and *Box*
do: from the end of the gesture until the new label is written, the table has followed and the canvas is drawn. Each
edit is undone before the next. Prints the median and the 90th percentile of each, and the memory of the kept features.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from skimage.io import imread
from skimage.measure import regionprops

from napari_pffnet._qt.correct.tools import Gesture
from napari_pffnet._qt.panel import Panel

REPEATS = 40
PATIENCE_S = 600


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window work until the condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the panel did not get there")
        QApplication.processEvents()
        time.sleep(0.01)


def measure(panel: Panel, tool: str, gestures: list[Gesture]) -> np.ndarray:
    """Return the milliseconds of each gesture that painted something."""
    layer, taken = panel.active.layer, []
    for gesture in gestures:
        before = int(layer.data.max())
        start = time.perf_counter()
        panel.corrector.perform(tool, gesture)
        QApplication.processEvents()
        if layer.data.max() > before:
            taken.append(1000 * (time.perf_counter() - start))
            panel.corrector.undo()
    return np.array(taken)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("image", type=Path, help="an image of 1024 × 1024 pixels, say")
    path = parser.parse_args().image
    viewer = napari.Viewer(show=True)
    image = imread(path)
    viewer.add_image(image)
    _, panel = viewer.window.add_plugin_dock_widget("napari-pffnet", "PFFNet")
    wait_until(panel.segment.run_button.isEnabled)
    panel.segment.run_button.click()
    wait_until(lambda: "nuclei" in viewer.layers)
    panel.correct.replace.setChecked(True)
    random = np.random.default_rng(0)
    nuclei = regionprops(viewer.layers["nuclei"].data)
    chosen = [nuclei[i] for i in random.choice(len(nuclei), min(REPEATS, len(nuclei)), replace=False)]
    clicks = [Gesture("click", np.array([each.centroid])) for each in chosen]
    boxes = [Gesture("box", np.array(each.bbox, float).reshape(2, 2) - 0.5) for each in chosen]
    for tool, gestures in (("here", clicks), ("box", boxes)):
        measure(panel, tool, gestures[:3])
        taken = measure(panel, tool, gestures)
        middle, high = np.quantile(taken, (0.5, 0.9))
        print(f"{tool}: median {middle:.0f} ms, 90 % under {high:.0f} ms, {len(taken)} times")
    print(f"{image.shape}, {len(nuclei)} nuclei, features kept: {panel.controller.engine.memory() / 1e6:.0f} MB")
    viewer.close()


if __name__ == "__main__":
    main()
