"""The panel in a viewer."""

import threading

import numpy as np
import pytest
from panel_fakes import FakeEngine, dock

from napari_pffnet._qt.panel import Panel
from napari_pffnet._qt.segment.view import THRESHOLDS, TIPS
from napari_pffnet.config import SegmentConfig


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((16, 16), np.uint16), name="cells")
    return viewer


def open_panel(viewer, qtbot, engine):
    panel = dock(viewer, engine)
    qtbot.waitUntil(panel.segment.run_button.isEnabled)
    return panel


def waiting_engine():
    """An engine whose runs wait for an event."""
    engine, go_on = FakeEngine(), threading.Event()
    run = engine.run

    def slow(*arguments):
        assert go_on.wait(20)
        return run(*arguments)

    engine.run = slow
    return engine, go_on


def test_button_segments_in_the_background_and_slider_recomposes(viewer, qtbot):
    engine = FakeEngine()
    view = open_panel(viewer, qtbot, engine).segment
    view.run_button.click()
    qtbot.waitUntil(lambda: "nuclei" in viewer.layers)
    assert viewer.layers["nuclei"].data.max() == 1
    view.controls["score_threshold"].setValue(0.2)
    qtbot.waitUntil(lambda: viewer.layers["nuclei"].data.max() == 2)
    assert len(engine.requests) == 1
    assert view.status.text().startswith("2 nuclei · default on CPU")


def test_every_control_reaches_the_core(viewer, qtbot):
    engine = FakeEngine()
    view = open_panel(viewer, qtbot, engine).segment
    view.model.setCurrentText("other")
    view.device.setCurrentText("CPU")
    chosen = {
        "diameter": 17.5,
        "score_threshold": 0.25,
        "mask_threshold": 0.6,
        "overlap_threshold": 0.4,
        "min_area": 12,
    }
    assert set(chosen) == set(view.controls), "each control is tested"
    for name, value in chosen.items():
        view.controls[name].setValue(value)
    view.run_button.click()
    qtbot.waitUntil(lambda: "nuclei" in viewer.layers)
    request = engine.requests[0]
    assert (request.model, request.device) == ("other", "cpu")
    assert request.config.model_dump(include=set(chosen)) == pytest.approx(chosen)


def test_untouched_controls_are_the_defaults_of_the_core(viewer, qtbot):
    view = open_panel(viewer, qtbot, FakeEngine()).segment
    assert view.options().config == SegmentConfig()
    assert [box.currentText() for box in (view.image, view.model, view.device)] == [
        "cells",
        "default",
        "automatic (CPU)",
    ]
    assert set(THRESHOLDS) <= set(SegmentConfig.model_fields)


def test_every_control_explains_itself(viewer, qtbot):
    view = open_panel(viewer, qtbot, FakeEngine()).segment
    for control in (
        view.image,
        view.channel,
        view.planes,
        view.linked,
        view.model,
        view.device,
        view.run_button,
        view.cancel_button,
        view.outlines,
    ):
        assert control.toolTip().partition("\nKey")[0] in TIPS.values()
    for name, control in view.controls.items():
        assert control.toolTip() == TIPS[name]


def test_fits_a_small_laptop(viewer, qtbot):
    view = open_panel(viewer, qtbot, FakeEngine()).segment
    assert view.sizeHint().height() < 600
    assert view.minimumSizeHint().width() < 350


def test_folded_steps_stand_together_at_the_top(viewer, qtbot):
    panel = open_panel(viewer, qtbot, FakeEngine())
    folds = [panel.project_step, panel.segment_step, panel.train_step]
    for opened in (None, *folds):
        panel.unfold(opened)
        panel.layout().activate()
        assert all(fold.height() == fold.sizeHint().height() for fold in folds if fold is not opened)


def test_stack_is_segmented_as_a_whole_on_a_small_laptop(viewer, qtbot):
    viewer.layers.clear()
    viewer.add_image(np.zeros((5, 16, 16), np.uint16), name="stack", axis_labels=("z", "y", "x"))
    panel = open_panel(viewer, qtbot, FakeEngine())
    view = panel.segment
    view.planes.setCurrentText("all 5")
    view.run_button.click()
    qtbot.waitUntil(lambda: "nuclei" in viewer.layers)
    assert viewer.layers["nuclei"].data.shape == (5, 16, 16)
    view.controls["score_threshold"].setValue(0.2)
    qtbot.waitUntil(lambda: viewer.layers["nuclei"].data.max() == 2)
    assert view.status.text().startswith("5 planes · 2 nuclei · default on CPU")
    assert view.minimumSizeHint().width() < 350
    assert panel.minimumSizeHint().height() < 700


def test_both_themes(viewer, qtbot):
    panel = open_panel(viewer, qtbot, FakeEngine())
    dark = panel.styleSheet()
    viewer.theme = "light"
    assert panel.styleSheet() != dark


def test_closed_panel_leaves_the_viewer_working(viewer, qtbot):
    panel = open_panel(viewer, qtbot, engine := FakeEngine())
    with qtbot.waitSignal(panel.destroyed):
        viewer.window.remove_dock_widget(panel)
        panel.deleteLater()
    assert engine.closed
    viewer.add_image(np.zeros((8, 8)))
    viewer.theme = "light"


def test_a_panel_whose_frame_is_closed_lets_a_run_end_first(viewer, qtbot):
    engine, go_on = waiting_engine()
    panel = open_panel(viewer, qtbot, engine)
    panel.segment.run_button.click()
    panel.parent().destroyOnClose()
    qtbot.wait(400)
    with qtbot.waitSignal(panel.destroyed):
        go_on.set()
    assert "nuclei" in viewer.layers


def test_a_panel_that_is_destroyed_during_a_run_is_not_called_back(viewer, qtbot):
    engine, go_on = waiting_engine()
    panel = open_panel(viewer, qtbot, engine)
    panel.segment.run_button.click()
    threads = panel._threads
    with qtbot.waitSignal(panel.destroyed):
        viewer.window.remove_dock_widget(panel)
        panel.deleteLater()
    go_on.set()
    qtbot.waitUntil(lambda: threads.running == 0)
    assert "nuclei" not in viewer.layers


def test_a_panel_opened_while_the_old_one_waits_keeps_its_keys(viewer, qtbot):
    engine, go_on = waiting_engine()
    first = open_panel(viewer, qtbot, engine)
    first.segment.run_button.click()
    first.parent().destroyOnClose()
    qtbot.wait(50)
    second = dock(viewer, FakeEngine())
    layer = viewer.add_labels(np.ones((8, 8), int), name="mine")
    with qtbot.waitSignal(first.destroyed):
        go_on.set()
    assert second.active.layer is layer
    assert {"D", "N"} <= {str(key) for key in layer.keymap}


def test_of_what_is_folded_away_one_part_is_open_at_a_time(viewer, qtbot):
    viewer.add_labels(np.ones((8, 8), int))
    panel = open_panel(viewer, qtbot, FakeEngine())
    panel.segment.more.button.click()
    panel.correct.more.button.click()
    assert panel.correct.more.is_open()
    assert not panel.segment.more.is_open()
    panel.segment.more.button.click()
    assert not panel.correct.more.is_open()


def test_napari_opens_the_panel_by_its_name(make_napari_viewer, monkeypatch):
    monkeypatch.setattr("napari_pffnet._qt.panel.Engine", FakeEngine)
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-pffnet", "PFFNet")
    assert isinstance(widget, Panel)


def test_the_channel_that_was_chosen_stays_when_layers_are_clicked(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((2, 16, 16), np.uint16), name="cells", axis_labels=("c", "y", "x"))
    view = open_panel(viewer, qtbot, FakeEngine()).segment
    view.channel.setCurrentIndex(2)
    chosen = view.channel.currentText()
    view.run_button.click()
    qtbot.waitUntil(lambda: "nuclei" in viewer.layers)
    for name in ("nuclei", "cells"):
        viewer.layers.selection.active = viewer.layers[name]
    assert view.channel.currentText() == chosen
    assert viewer.layers["nuclei"].metadata["napari-pffnet"]["position"] == {"c": view.channel.currentData()}
