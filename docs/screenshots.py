"""Make the pictures of the guide from the running plugin: ``make screenshots`` (a virtual screen is enough)."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import napari
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_pffnet._qt.panel import Panel
from napari_pffnet.curate.intake import NewImage
from napari_pffnet.curate.project import Project
from napari_pffnet.io.regions import Regions
from napari_pffnet.io.results import write_labels
from napari_pffnet.samples import rpe1, u2os

IMAGES = Path(__file__).parent / "images"
PATIENCE_S = 300
KEYS = {name: getattr(Qt.Key, f"Key_{name}") for name in "NQ"}
LEFT, NOTHING = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
#: Corners of an area drawn on the sample.
AREA = [(180, 150), (200, 330), (330, 380), (390, 250), (300, 130)]
#: Corners of a box around a nucleus of the sample that the run takes for two.
HALVED = (322, 393), (363, 434)


class Window:
    """napari with the panel, and a hand on its mouse and keys."""

    def __init__(self, theme: str, sample: str | None = None) -> None:
        self.viewer = napari.Viewer()
        self.viewer.theme = theme
        self.viewer.window.resize(1366, 768)
        if sample is not None:
            self.viewer.open_sample("napari-pffnet", sample)
            self.viewer.layers.selection.active = self.viewer.layers[0]
        _, panel = self.viewer.window.add_plugin_dock_widget("napari-pffnet", "PFFNet")
        self.panel: Panel = panel
        self.canvas = self.viewer.window._qt_viewer.canvas.native
        self.wait(lambda: panel.segment.model.count() > 0)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let the window work until the condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("the panel did not get there")
            QApplication.processEvents()
            time.sleep(0.02)

    def rest(self, seconds: float = 0.7) -> None:
        """Let the window draw."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def segment(self) -> Labels:
        """Press the button and wait for the nuclei."""
        self.panel.segment.run_button.click()
        self.wait(lambda: "nuclei" in self.viewer.layers)
        self.viewer.reset_view()
        self.rest()
        return self.viewer.layers["nuclei"]

    def look_at(self, y: float, x: float, zoom: float) -> None:
        """Move the camera."""
        self.viewer.camera.center, self.viewer.camera.zoom = (y, x), zoom
        self.rest(0.3)

    def point(self, y: float, x: float) -> QPoint:
        """Move the mouse over a place of the image; return it on the canvas."""
        size = np.array([self.canvas.height(), self.canvas.width()])
        centre = np.asarray(self.viewer.camera.center[-2:])
        row, column = size / 2 + (np.array([y, x]) - centre) * self.viewer.camera.zoom
        place = QPoint(round(column), round(row))
        QTest.mouseMove(self.canvas, place + QPoint(3, 3))
        QTest.mouseMove(self.canvas, place)
        self.rest(0.2)
        return place

    def press(self, key: str) -> None:
        """Press a key over the canvas."""
        QTest.keyClick(self.canvas, KEYS[key])
        self.rest()

    def drag(self, *places: tuple[float, float], release: bool = True) -> None:
        """Drag the mouse over places of the image."""
        QTest.mousePress(self.canvas, LEFT, NOTHING, self.point(*places[0]))
        for place in places[1:]:
            last = self.point(*place)
        if release:
            QTest.mouseRelease(self.canvas, LEFT, NOTHING, last)
        self.rest(0.3)

    def save(self, name: str) -> None:
        """Save the window as ``images/NAME.png``."""
        IMAGES.mkdir(exist_ok=True)
        self.rest()  # texts of several lines are laid out in several rounds
        self.viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False)


def segment(sample: str, theme: str, name: str, channel: int = 0) -> None:
    """The panel after a run; `channel`: which of those that are offered."""
    window = Window(theme, sample)
    window.panel.segment.outlines.setChecked(True)
    window.panel.segment.channel.setCurrentIndex(channel)
    window.segment()
    window.save(name)
    window.viewer.close()


def large() -> None:
    """A mosaic of 72 megapixels, a part of it done; before that, the nuclei in a drawn area."""
    window = Window("dark")
    (image, _, _), _ = u2os()
    mosaic = np.tile(image, (19, 19))
    pyramid = [mosaic[:: 2**level, :: 2**level] for level in range(4)]
    window.viewer.add_image(pyramid, multiscale=True, name="mosaic", scale=(0.2, 0.2), units=("um", "um"))
    view = window.panel.segment
    shapes = window.viewer.add_shapes(
        [AREA],
        shape_type="polygon",
        scale=(0.2, 0.2),
        units=("um", "um"),
        face_color="transparent",
        edge_color="yellow",
    )
    shapes.edge_width = 3
    window.look_at(52, 52, 7)
    view.where.setCurrentIndex(2)
    view.run_button.click()
    window.wait(lambda: "nuclei" in window.viewer.layers)
    window.rest()
    window.save("drawn")
    for name in ("nuclei", "semantic", "Shapes"):
        window.viewer.layers.remove(name)
    with tempfile.TemporaryDirectory() as folder:
        view.ask_folder = lambda _title, _start: folder  # type: ignore[method-assign]
        view.where.setCurrentIndex(0)
        view.level.setCurrentIndex(1)
        window.viewer.reset_view()
        view.run_button.click()
        window.wait(lambda: view.progress.maximum() > 1 and view.progress.value() > 0.3 * view.progress.maximum())
        window.save("large")
        view.cancel_button.click()
        window.wait(view.run_button.isVisible)
        window.viewer.close()


def correct() -> None:
    """A box dragged around a nucleus that was taken for two, and what came of it."""
    window = Window("dark", "u2os")
    window.segment()
    (top, left), (bottom, right) = HALVED
    window.look_at((top + bottom) / 2, (left + right) / 2, 8)
    window.panel.correct.replace.setChecked(True)
    window.press("Q")
    window.drag(HALVED[0], (top + 10, left + 10), HALVED[1], release=False)
    window.save("box_drag")
    QTest.mouseRelease(window.canvas, LEFT, NOTHING, window.point(*HALVED[1]))
    window.rest()
    window.save("box_done")
    window.viewer.close()


def review() -> None:
    """The list with the camera on an entry; the disagreement and the statistics."""
    window = Window("dark", "u2os")
    window.segment()
    window.panel.unfold(window.panel.review)
    window.rest()
    window.point(200, 200)
    for _ in range(5):
        window.press("N")
    window.save("review")
    window.panel.reviewer.overview()
    window.panel.review.statistics.button.click()
    window.panel.review.disagreement.click()
    window.rest()
    window.save("statistics")
    window.viewer.close()


def project() -> None:
    """A project with two images, one area of the first complete."""
    window = Window("light")
    panel = window.panel
    with tempfile.TemporaryDirectory() as folder, as_file(files("napari_pffnet") / "sample_data") as data:
        panel.unfold(panel.project_step)
        panel.project.new_requested.emit(str(Path(folder) / "my nuclei"))
        panel.project.add_requested.emit([str(data / "images")])
        window.wait(lambda: panel.keeper.image is not None)
        panel.project.area_requested.emit()
        shapes = window.viewer.layers["complete here"]
        shapes.add_rectangles(np.array([[60, 60], [60, 300], [330, 300], [330, 60]]))
        window.viewer.layers.selection.active = window.viewer.layers["nuclei"]
        window.rest()
        window.save("project")
        panel.keeper.close()
    window.viewer.close()


def train() -> None:
    """The step Train before, during and after a short fine-tuning on halves of the samples."""
    window = Window("dark")
    panel, view = window.panel, window.panel.train
    with tempfile.TemporaryDirectory() as folder:
        panel.keeper.open(str(annotated_project(Path(folder) / "my nuclei")))
        panel.unfold(panel.train_step)
        window.wait(lambda: view.images.topLevelItemCount() == 4 and view.base.count() > 0)
        window.save("train_setup")
        view.settings.setPlainText("schedule.steps=30\nvalidate_every=6\ndata.augment.crop=128\nfinetune.blend=1")
        view.start_button.click()
        window.wait(lambda: panel.trainer.progress.step >= 20)
        view.all_box.setChecked(True)
        window.rest()
        window.save("train_running")
        window.wait(view.accept_button.isVisible)
        view.side_button.click()
        window.wait(lambda: len(window.viewer.layers) > 4)
        window.rest()
        window.save("train_gate")
        view.side_button.click()
        panel.trainer.keep_old()
        panel.keeper.close()
    window.viewer.close()


def annotated_project(folder: Path) -> Path:
    """A project of the samples' halves, corrected and done."""
    project = Project.create(folder)
    for title, sample in (("RPE1", rpe1), ("U2OS", u2os)):
        (image, _, _), (labels, _, _) = sample()
        for part, rows in ((1, slice(0, 256)), (2, slice(256, 512))):
            added = NewImage(f"{title} {part}", partial(image.__getitem__, rows))
            (name,) = project.take(project.gather_pixels([added])).names
            write_labels(folder / "labels" / f"{name}.tif", labels[rows])
            project.write_regions(name, Regions(whole=True))
            project.set_state(name, "done")
    project.close()
    return folder


if __name__ == "__main__":
    segment("u2os", "dark", "panel")
    segment("histology", "light", "panel_histology", channel=1)
    large()
    correct()
    review()
    project()
    train()
