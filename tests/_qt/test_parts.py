"""Nuclei that were found in a part of an image, and projects."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from panel_fakes import FakeEngine, FakeView, at_once, options
from project_fakes import crashed, on_disk, opened, status

from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.project.controller import ProjectController
from napari_pffnet._qt.segment.controller import SegmentController
from napari_pffnet.curate.project import Project
from napari_pffnet.io.regions import Regions

CORNERS = np.array([[0, 0], [0, 40], [20, 40], [20, 0]])


def drawn(level=None, **config):
    """Options of a run of what is drawn."""
    return replace(options(**config), where="drawn", level=level)


def segmenting(controller, level=None):
    """Segment what is drawn."""
    segment = SegmentController(controller.viewer, FakeView(), FakeEngine(), at_once)
    segment.shown.found.connect(controller.offers.found)
    segment.view.now = drawn(level)
    return segment


def draw(viewer, corners=CORNERS):
    return viewer.add_shapes([corners], shape_type="polygon")


def segmented(tmp_path, threshold, **arguments):
    """An image of a project whose nuclei were found."""
    controller = opened(tmp_path, **arguments)
    segment = segmenting(controller)
    segment.choice.choose(controller.image.layers["image"])
    segment.view.now = options(score_threshold=threshold)
    segment.run()
    return controller, segment


@pytest.fixture
def project_image(tmp_path):
    controller = opened(tmp_path)
    segment = segmenting(controller)
    draw(controller.viewer)
    segment.choice.choose(controller.image.layers["image"])
    return controller, segment


def test_nuclei_of_a_part_become_part_of_the_annotation(project_image):
    controller, segment = project_image
    segment.run()
    own = controller.image.layers["labels"]
    assert own.data.shape == controller.image.shape
    assert controller.viewer.layers.selection.active is own
    assert own.name == "nuclei"
    assert [layer for layer in controller.viewer.layers if layer.name.startswith("semantic")] == []
    assert "1 nucleus put into the project; what you have edited" in status(controller)
    y, x = np.argwhere(own.data == 1).min(0)
    assert (own.data == 1).sum() == 25
    assert (y, x) == (1, 1)
    table = own.features.set_index("index")
    assert table.at[1, "score"] == pytest.approx(0.9)
    assert table.at[1, "state"] == ""
    assert controller.project.entry("a").state == "in work"
    assert (controller.project.folder / "journal" / "a" / "predicted.csv").is_file()
    np.testing.assert_array_equal(crashed(controller).now.labels, own.data)
    assert crashed(controller).now.rows[1]["score"] == pytest.approx(0.9)


def test_another_run_replaces_what_was_predicted_and_not_what_was_corrected(project_image):
    controller, segment = project_image
    segment.run()
    own = controller.image.layers["labels"]
    segment.view.now = drawn(score_threshold=0.3)
    segment.recompose()
    assert "press Segment to apply" in segment.view.last("set_status").args[0]
    segment.run()
    assert controller.image.layers["labels"] is own
    assert len(np.unique(own.data)) == 3
    controller.active.rows.set_state([int(own.data.max())], "accepted")
    before = own.data.copy()
    segment.view.now = drawn(score_threshold=0.95)
    segment.run()
    np.testing.assert_array_equal(own.data, np.where(before == before.max(), before, 0))
    controller.active.rows.undo()
    np.testing.assert_array_equal(own.data, before)
    controller.next()
    assert controller.image.name == "b"
    assert on_disk(controller, "a").any()


def test_nothing_is_put_into_an_image_that_is_done_unasked(project_image):
    controller, segment = project_image
    segment.run()
    controller.toggle_done()
    before = controller.image.layers["labels"].data.copy()
    controller.view.ask.return_value = False
    segment.view.now = drawn(score_threshold=0.3)
    segment.run()
    assert "'a' is done" in controller.view.ask.call_args.args[0]
    np.testing.assert_array_equal(controller.image.layers["labels"].data, before)
    part = controller.viewer.layers["nuclei [1]"]
    assert len(np.unique(part.data)) == 3
    controller.next()
    assert controller.image.name == "a", "asked whether it may be left, and the user stays"
    controller.viewer.layers.selection.active = part
    controller.offers.use_layer()
    assert len(np.unique(controller.image.layers["labels"].data)) == 3


def test_a_new_result_of_the_whole_image_takes_the_place_of_what_was_not_corrected(tmp_path):
    controller, segment = segmented(tmp_path, 0.7)
    own, semantic = controller.image.layers["labels"], controller.image.layers["semantic"]
    [_, corrected] = np.unique(own.data).tolist()
    place = [int(i) for i in np.argwhere(own.data == corrected)[0]]
    own.data_setitem(tuple(np.array([i]) for i in place), 0)
    segment.view.now = options(score_threshold=0.3)
    segment.run()
    result = controller.viewer.layers.selection.active
    assert result is not own
    controller.view.ask.return_value = False
    controller.offers.use_layer()
    asked = controller.view.ask.call_args.args[0]
    assert "of what was predicted in 'nuclei'" in asked
    assert controller.image.layers["labels"] is own
    assert len(np.unique(own.data)) == 2
    controller.view.ask.return_value = True
    controller.offers.use_layer()
    assert controller.image.layers["labels"] is own
    assert own.visible
    assert result not in controller.viewer.layers
    assert controller.image.layers["semantic"] is semantic
    assert semantic in controller.viewer.layers
    assert own.data[tuple(place)] == 0, "the corrected nucleus is as it was"
    assert len(np.unique(own.data)) == 3, "the other one is new"
    np.testing.assert_array_equal(on_disk(controller, "a"), own.data)


def test_what_was_deleted_does_not_come_back_with_a_new_result(tmp_path):
    controller, segment = segmented(tmp_path, 0.3, names=("a", "b"))
    own = controller.image.layers["labels"]
    before = own.data.copy()
    wrong, other = np.unique(before)[1:3].tolist()
    own.data_setitem(np.nonzero(before == wrong), 0)
    controller.keeper.save()
    segment.run()
    controller.offers.use_layer()
    assert controller.image.layers["labels"] is own
    np.testing.assert_array_equal(own.data > 0, before == other)
    assert "1 nucleus left out where you had deleted some" in status(controller)
    controller.active.rows.undo()
    segment.run()
    controller.offers.use_layer()
    np.testing.assert_array_equal(own.data > 0, before == other)
    draw(controller.viewer, np.array([[0, 0], [0, 64], [48, 64], [48, 0]]))
    segment.view.now = drawn(score_threshold=0.3)
    segment.run()
    np.testing.assert_array_equal(own.data > 0, before == other)
    controller.open_image("b")
    controller.open_image("a")
    own = controller.image.layers["labels"]
    segment.choice.choose(controller.image.layers["image"])
    segment.view.now = options(score_threshold=0.3)
    segment.run()
    controller.offers.use_layer()
    np.testing.assert_array_equal(controller.image.layers["labels"].data > 0, before == other)


def test_a_deletion_that_is_undone_is_none(tmp_path):
    controller, _ = segmented(tmp_path, 0.3)
    own = controller.image.layers["labels"]
    before = own.data.copy()
    own.data_setitem(np.nonzero(before == before.max()), 0)
    assert controller.image.deletions.mask.sum() == 25
    controller.active.rows.undo()
    assert not controller.image.deletions.mask.any()


def test_a_result_changes_an_image_that_is_done_or_read_only_as_is_said(tmp_path, monkeypatch):
    controller, segment = segmented(tmp_path, 0.7)
    own = controller.image.layers["labels"]
    own.data_setitem((np.array([1]), np.array([1])), 0)
    controller.toggle_done()
    segment.view.now = options(score_threshold=0.3)
    segment.run()
    with monkeypatch.context() as patch:
        patch.setattr(Project, "readonly", True)
        controller.offers.use_layer()
    assert "reading only" in status(controller)
    assert len(np.unique(own.data)) == 2
    controller.offers.use_layer()
    assert "'a' is done; it will be in work again" in controller.view.ask.call_args.args[0]
    assert controller.project.entry("a").state == "in work"
    assert len(np.unique(own.data)) == 3


def test_nobody_is_disturbed_in_the_middle_of_work(project_image):
    controller, segment = project_image
    segment.run()
    own = controller.image.layers["labels"]
    before = own.data.copy()
    segment.view.now = drawn(score_threshold=0.3)
    with own.block_history():
        segment.run()
    assert "is being painted" in status(controller)
    np.testing.assert_array_equal(own.data, before)
    part = controller.viewer.layers["nuclei [1]"]
    controller.viewer.layers.selection.active = part
    controller.offers.use_layer()
    assert len(np.unique(own.data)) == 3
    theirs = controller.viewer.add_labels(np.ones(controller.image.shape, int), name="theirs")
    theirs.metadata["napari-pffnet"] = {"image_id": "of another"}
    controller.viewer.layers.selection.active = theirs
    segment.view.now = drawn(score_threshold=0.95)
    segment.run()
    assert controller.viewer.layers.selection.active is theirs
    assert len(np.unique(own.data)) == 3
    assert "score" not in theirs.features
    assert [layer.name for layer in controller.viewer.layers if layer.name.startswith("nuclei")][1:]


def test_a_part_of_a_slide_becomes_an_image_of_a_project(tmp_path):
    viewer = ViewerModel()
    full = np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8)
    levels = [full, full[::2, ::2]]
    image = viewer.add_image(levels, multiscale=True, name="slide", scale=(0.5, 0.5), units=("um", "um"))
    view = Mock()
    view.ask.return_value = True
    controller = ProjectController(ActiveLabels(viewer), view, at_once)
    segment = segmenting(controller, level=1)
    segment.choice.choose(image)
    for corners in ([[0, 0], [0, 40], [30, 40], [30, 0]], [[0, 0], [0, 44], [34, 0]]):
        draw(viewer, np.array(corners))
        segment.run()
    whole, triangle = (viewer.layers[name] for name in ("nuclei", "nuclei [1]"))
    controller.new(str(tmp_path / "project"))
    viewer.layers.selection.active = whole
    controller.adder.open_image()
    name = controller.image.name
    assert name == "slide y0 x0"
    pixels, sizes = controller.project.read(name)
    assert sizes == pytest.approx({"Y": 1.0, "X": 1.0})
    assert pixels.shape == (30, 40)
    np.testing.assert_array_equal(pixels, full[::2, ::2][:30, :40])
    saved = tifffile.imread(tmp_path / "project" / "labels" / f"{name}.tif")
    np.testing.assert_array_equal(saved, whole.data[:30, :40])
    shown = controller.image.layers["image"]
    np.testing.assert_allclose(shown.data_to_world((3, 4)), whole.data_to_world((3, 4)))
    assert controller.project.regions(name) == Regions()
    viewer.layers.selection.active = triangle
    controller.adder.open_image()
    name = controller.image.name
    assert name == "slide y0 x0_2"
    (area,) = controller.project.regions(name).areas
    assert Regions(areas=(area,)).mask(controller.image.shape).mean() == pytest.approx(0.5, abs=0.05)
    assert "Complete is what you had drawn" in status(controller)
