"""Make the pictures of the guide from the running plugin: ``make screenshots`` (a virtual screen is enough)."""

import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

HERE = Path(__file__).parent
PATIENCE_S = 300


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window work until the condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the panel did not get there")
        QApplication.processEvents()
        time.sleep(0.02)


def segment(sample: str, name: str, theme: str) -> None:
    """Open a sample, press the button, save the window as ``images/NAME.png``."""
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(1366, 768)
    viewer.open_sample("napari-pffnet", sample)
    viewer.layers.selection.active = viewer.layers[0]
    _, panel = viewer.window.add_plugin_dock_widget("napari-pffnet", "PFFNet")
    view = panel.segment
    wait_until(view.run_button.isEnabled)
    view.outlines.setChecked(True)
    view.run_button.click()
    wait_until(lambda: "nuclei" in viewer.layers)
    viewer.reset_view()
    pause = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > pause)
    (HERE / "images").mkdir(exist_ok=True)
    viewer.screenshot(str(HERE / "images" / f"{name}.png"), canvas_only=False)
    viewer.close()


if __name__ == "__main__":
    segment("u2os", "panel", "dark")
    segment("histology", "panel_histology", "light")
