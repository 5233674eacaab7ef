"""The whole loop on real pixels with the embedded model, from an image to a model that is used on it."""

import os

import numpy as np
import pytest
import tifffile
from panel_fakes import dock
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from users import LEFT, User, click, drop

from napari_pffnet import library
from napari_pffnet.samples import rpe1
from napari_pffnet.train.gate import read_gate

SETTINGS = """
schedule.steps=2
validate_every=1
batch_size=1
data.augment.crop=128
precision=float32
finetune.blend=1
"""


@pytest.fixture
def window(make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_PFFNET_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    panel = dock(viewer)
    panel.unfold(panel.project_step)
    QTest.qWait(50)
    yield viewer, panel
    run = panel.trainer.run
    panel.trainer.close()
    panel.train.set_page("setup")  # nobody is there to answer
    if run:
        run.kill()
    panel.keeper.close()


def test_the_loop_closes(window, qtbot, tmp_path, monkeypatch):
    viewer, panel = window

    def see(condition, seconds=30):
        qtbot.waitUntil(condition, timeout=seconds * 1000)

    # a project with an image
    (image, _, _), (truth, _, _) = rpe1()
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "cells.tif", image[:256, :320])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    click(panel.project.new_button)
    drop(panel.project.images, tmp_path / "raw" / "cells.tif")
    see(lambda: "cells" in viewer.layers)

    # segment
    viewer.layers.selection.active = viewer.layers["cells"]
    click(panel.segment_step.button)
    see(panel.segment.run_button.isEnabled, 60)
    click(panel.segment.run_button)
    see(lambda: "nuclei" in viewer.layers and viewer.layers["nuclei"].data.any(), 60)
    layer = viewer.layers["nuclei"]
    found = len(np.unique(layer.data)) - 1
    assert 0.6 < found / (len(np.unique(truth[:256, :320])) - 1) < 1.5

    # correct: delete one with the mouse over it
    viewer.layers.selection.active = layer
    user = User(viewer, layer)
    victim = layer.data.max()
    inside = np.argwhere(layer.data == victim)
    user.move(*inside[len(inside) // 2])
    user.press(Qt.Key.Key_D)
    see(lambda: victim not in layer.data)

    # mark complete and done
    click(panel.project_step.button)
    QTest.mouseClick(panel.project.whole_box, LEFT)
    click(panel.project.done_button)

    # fine-tune; meanwhile the viewer works
    click(panel.train_step.button)
    view = panel.train
    see(lambda: view.images.topLevelItemCount() == 1 and view.base.count() > 0)
    assert view.summary.text().startswith(f"Learns from 1 image ({found - 1} nuclei), checked on a part of it")
    view.settings.setPlainText(SETTINGS)
    click(view.start_button)
    see(lambda: panel.trainer.progress.step == 2 or view.cause.isVisible(), 240)
    see(lambda: view.accept_button.isVisible() or view.cause.isVisible(), 120)
    assert view.accept_button.isVisible(), view.log.toPlainText()
    assert len(panel.trainer.progress.losses()) == 10, "nine losses and their sum"

    # the gate, and the new model
    gate = read_gate(panel.trainer.run.output)
    assert view.gate.topLevelItem(0).text(0) == "all"
    assert 0 < gate.pooled.new["ap50"] <= 1
    view.name.setText("my cells")
    click(view.accept_button)
    see(lambda: panel.segment.model.currentText() == "my cells")
    card = library.load_model("my cells").card
    assert card["parent"]["name"] == "default"
    assert card["gate"]["new"] == gate.pooled.new

    # segment again with it
    viewer.layers.selection.active = viewer.layers["cells"]
    click(panel.segment_step.button)
    click(panel.segment.run_button)
    see(lambda: panel.segment.status.text().count("my cells on"), 60)
