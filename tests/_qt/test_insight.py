"""Which run's results belong to a plane of labels."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from panel_fakes import FakeEngine, options

from label_planes import TURNED
from napari_pffnet._qt.engine import Request
from napari_pffnet._qt.insight import KEPT_PLANES, Insight, Insights
from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet._qt.layers.planes import Part, take_plane
from napari_pffnet.config import SegmentConfig


def run(viewer, image):
    plane = take_plane(image, viewer.dims.point, viewer.dims.order)
    return FakeEngine().run(Request(plane, "default", "cpu", options().config), lambda *_: None, lambda: False)


def insight(insights, labels):
    return insights.of(labels, label_plane(labels, insights.viewer.dims))


@pytest.mark.parametrize("placing", [{}, TURNED])
def test_labels_made_elsewhere_get_what_is_known_of_the_image_under_them(placing):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((16, 20)), **placing)
    viewer.add_image(np.zeros((16, 20)), name="on top, never segmented", **placing)
    labels = viewer.add_labels(np.zeros((16, 20), np.uint8), **placing)
    insights = Insights(viewer)
    assert insight(insights, labels) is None
    outcome = run(viewer, image)
    insights.remember(image, outcome)
    found = insight(insights, labels)
    assert found.outcome is outcome
    assert found.semantic.shape == (16, 20)
    assert [round(c.score, 1) for c in found.candidates(labels.data)] == [0.9, 0.4]
    assert insights.image_under(label_plane(labels, viewer.dims))[0] is image


@pytest.mark.parametrize(("threshold", "count"), [(0.5, 2), (0.7, 0)])
def test_candidates_have_the_run_s_mask_threshold(threshold, count):
    viewer = ViewerModel()
    outcome = run(viewer, viewer.add_image(np.zeros((16, 20))))
    found, config = outcome.prediction, SegmentConfig(mask_threshold=threshold)
    found = replace(found, masks=0.6 * found.masks, config=config)
    insight = Insight(replace(outcome, prediction=found), {})
    assert len(insight.candidates(np.zeros((16, 20), int))) == count


@pytest.mark.parametrize(
    ("shape", "placing"), [((16, 21), {}), ((16, 20), {"translate": (0, 1)}), ((16, 20), {"scale": (1, 1.1)})]
)
def test_not_of_labels_with_other_pixels(shape, placing):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((16, 20)))
    labels = viewer.add_labels(np.zeros(shape, np.uint8), **placing)
    insights = Insights(viewer)
    insights.remember(image, run(viewer, image))
    assert insight(insights, labels) is None


def test_each_plane_of_a_stack_has_its_own_and_old_ones_are_forgotten():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((KEPT_PLANES + 1, 16, 20)))
    labels = viewer.add_labels(np.zeros(image.data.shape, np.uint16))
    insights, outcomes = Insights(viewer), []
    for z in range(KEPT_PLANES + 1):
        viewer.dims.set_point(0, z)
        assert insight(insights, labels) is None
        outcomes.append(run(viewer, image))
        insights.remember(image, outcomes[-1])
    assert insight(insights, labels).outcome is outcomes[-1]
    viewer.dims.set_point(0, 1)
    assert insight(insights, labels).outcome is outcomes[1]
    viewer.dims.set_point(0, 0)
    assert insight(insights, labels) is None


def test_channels_share_a_plane():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((2, 16, 20)), axis_labels=("c", "y", "x"))
    labels = viewer.add_labels(np.zeros((16, 20), np.uint16))
    insights = Insights(viewer)
    insights.remember(image, run(viewer, image))
    viewer.dims.set_point(0, 1)
    assert insight(insights, labels)


def test_overlaps_are_those_of_the_table():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((16, 20)))
    labels = viewer.add_labels(np.zeros((16, 20), int), features={"index": [1, 4, 5], "overlap": [0, 0.25, np.nan]})
    insights = Insights(viewer)
    insights.remember(image, run(viewer, image))
    assert insight(insights, labels).overlaps == {1: 0, 4: 0.25}


def test_nothing_is_known_of_pixels_that_came_later():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((16, 20)))
    labels = viewer.add_labels(np.zeros((16, 20), np.uint16))
    insights = Insights(viewer)
    insights.remember(image, run(viewer, image))
    image.data = np.ones((16, 20))
    assert insight(insights, labels) is None
    insights.remember(image, run(viewer, image))
    assert insight(insights, labels) is not None


def test_nothing_is_missed_outside_of_what_was_wanted():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((16, 20)))
    labels = viewer.add_labels(np.zeros((16, 20), np.uint16))
    inside = np.zeros((16, 20), bool)
    inside[:, :7] = True
    outcome = run(viewer, image)
    outcome.prediction.semantic[:] = 1
    request = replace(outcome.request, plane=replace(outcome.request.plane, inside=inside))
    insights = Insights(viewer)
    insights.remember(image, replace(outcome, request=request))
    found = insight(insights, labels)
    assert 0.9 in [round(each.score, 1) for each in found.candidates(labels.data)]
    assert all(inside[each.indices].mean() >= 0.5 for each in found.candidates(labels.data))
    np.testing.assert_array_equal(found.semantic > 0, inside)
    assert found.semantic is found.semantic, "cut out once"


def test_what_is_known_of_parts_is_known_of_the_plane():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 80)))
    labels = viewer.add_labels(np.zeros((60, 80), np.uint8))
    insights = Insights(viewer)
    for part in (Part(0, 0, 0, 20, 20), Part(0, 10, 30, 20, 20), Part(0, 11, 31, 20, 20), Part(1, 0, 0, 20, 20)):
        plane = take_plane(image, viewer.dims.point, viewer.dims.order, part=part._replace(level=0))
        plane = replace(plane, part=part)
        request = Request(plane, "default", "cpu", options().config)
        insights.remember(image, FakeEngine().run(request, lambda *_: None, lambda: False))
    found = insight(insights, labels)
    assert found.semantic is None
    corners = [(int(each.indices[0].min()), int(each.indices[1].min())) for each in found.candidates(labels.data)]
    assert sorted(corners) == [(1, 1), (8, 8), (12, 32), (19, 39)], "of two that overlap, those of the later one"
    labels.data[:20, :20] = 1
    assert len(insight(insights, labels).candidates(labels.data)) == 2
