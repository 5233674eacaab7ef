"""All planes of a stack in one run, without a screen."""

import gc
import weakref

import dask
import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from panel_fakes import FakeEngine, FakeView, at_once, options

from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet._qt.layers.planes import plane_count, take_stack
from napari_pffnet._qt.segment import stack_run
from napari_pffnet._qt.segment.controller import SegmentController
from napari_pffnet._qt.segment.shown import TOO_LARGE
from napari_pffnet.segment import Cancelled


class StackEngine(FakeEngine):
    """Stops at the plane whose pixels are `last`."""

    def __init__(self, last=None, error=None):
        super().__init__()
        self.last, self.stop = last, error or Cancelled()

    def run(self, request, progress, cancelled):
        if request.plane.read().max() == self.last:
            raise self.stop
        return super().run(request, progress, cancelled)


def choose(controller, linked=True, **config):
    chosen = options(**config)
    controller.view.now = type(chosen)(**{**vars(chosen), "all_planes": True, "linked": linked})


def make(engine=None, shape=(3, 16, 16), background=at_once, **how):
    viewer = ViewerModel()
    data = np.broadcast_to(np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)), shape).astype(np.uint16)
    viewer.add_image(data, name="cells", **{"axis_labels": ("z", "y", "x"), "scale": (5, 2, 2), **how})
    controller = SegmentController(viewer, FakeView(), engine or StackEngine(), background)
    choose(controller)
    return viewer, controller


def ids(layer):
    return [np.unique(plane).tolist() for plane in layer.data.reshape(-1, *layer.data.shape[-2:])]


def status(controller):
    return controller.view.last("set_status").args[0]


def test_linked_planes_are_one_layer_with_one_row_per_nucleus():
    viewer, controller = make()
    controller.run()
    nuclei = viewer.layers["nuclei"]
    assert ids(nuclei) == [[0, 1]] * 3
    assert nuclei.features["index"].tolist() == [1]
    assert nuclei.features["area"].tolist() == [75], "on all planes"
    assert nuclei.features["score"].tolist() == pytest.approx([0.9])
    assert list(nuclei.features.columns) == ["index", "score", "quality", "mask_score", "overlap", "area"]
    assert viewer.layers["semantic"].data.shape == (3, 16, 16)
    np.testing.assert_allclose(nuclei.scale, (5, 2, 2))
    assert status(controller).startswith("3 planes · 1 nucleus · default on CPU")


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 5, 16, 16), (40, 16, 16)])
def test_all_planes_are_seen_at_the_zoom_of_the_one_that_shows_most(shape):
    class Estimating(StackEngine):
        def zoom(self, request, cancelled):
            return 1 + float(request.plane.read().max())

    names = "tzyx"[-len(shape) :]
    viewer, controller = make(engine := Estimating(), shape, axis_labels=tuple(names), scale=(1,) * len(shape))
    data = viewer.layers["cells"].data = np.zeros(shape, np.uint16)
    data.reshape(-1, 16, 16)[0, :4] = 1
    data.reshape(-1, 16, 16)[-1, :8] = 3
    controller.run()
    assert {request.config.scale for request in engine.requests} == {4.0}


def test_a_result_of_layers_that_were_cleared_does_not_come_back():
    jobs = []
    viewer, controller = make(background=lambda *args, **kwargs: jobs.append((args, kwargs)))
    for _ in range(2):
        args, kwargs = jobs.pop()
        at_once(*args, **kwargs)
        controller.run()
    choose(controller, score_threshold=0.3)
    controller.recompose()
    viewer.layers.clear()
    args, kwargs = jobs.pop()
    at_once(*args, **kwargs)
    assert len(viewer.layers) == 0


def test_without_links_ids_are_unique_through_the_stack():
    viewer, controller = make()
    choose(controller, linked=False, score_threshold=0.3)
    controller.run()
    assert ids(viewer.layers["nuclei"]) == [[0, 1, 2], [0, 3, 4], [0, 5, 6]]
    assert viewer.layers["nuclei"].features["index"].tolist() == [1, 2, 3, 4, 5, 6]


def test_thresholds_and_links_are_applied_without_the_network():
    viewer, controller = make(engine := StackEngine())
    controller.run()
    choose(controller, score_threshold=0.3)
    controller.recompose()
    assert ids(viewer.layers["nuclei"]) == [[0, 1, 2]] * 3
    choose(controller, linked=False)
    controller.recompose()
    assert ids(viewer.layers["nuclei"]) == [[0, 1], [0, 2], [0, 3]]
    assert len(engine.requests) == 3
    assert len(viewer.layers) == 3


def segmented_later():
    """Viewer and controller after a run; jobs that wait from now on, and what does the next of them."""
    waiting = []
    viewer, controller = make(background=lambda *args, **kwargs: waiting.append((args, kwargs)))

    def work():
        args, kwargs = waiting.pop(0)
        at_once(*args, **kwargs)

    work()
    controller.run()
    work()
    return viewer, controller, waiting, work


def test_thresholds_moved_while_the_planes_are_composed_are_applied_at_last():
    viewer, controller, waiting, work = segmented_later()
    for score in (0.3, 0.95, 0.3):
        choose(controller, score_threshold=score)
        controller.recompose()
    assert len(waiting) == 1, "one at a time"
    work()
    work()
    assert not waiting
    assert ids(viewer.layers["nuclei"]) == [[0, 1, 2]] * 3


def test_what_is_painted_while_the_planes_are_composed_stays():
    viewer, controller, _, work = segmented_later()
    choose(controller, score_threshold=0.3)
    controller.recompose()
    mine = viewer.layers["nuclei"]
    mine.data_setitem((np.array([0]), np.array([0]), np.array([0])), 7)
    work()
    assert mine.visible
    assert mine.data[0, 0, 0] == 7
    assert [layer.name for layer in viewer.layers if layer.name.startswith("nuclei")] == ["nuclei"]
    assert "holds your corrections" in controller.view.last("set_status").args[0]


def test_a_stack_too_large_to_keep_says_so(monkeypatch):
    monkeypatch.setattr(stack_run.run_stack, "__defaults__", (100,))
    viewer, controller = make()
    controller.run()
    assert ids(viewer.layers["nuclei"]) == [[0, 1]] * 3
    choose(controller, score_threshold=0.3)
    controller.recompose()
    assert status(controller) == TOO_LARGE
    assert ids(viewer.layers["nuclei"]) == [[0, 1]] * 3


def test_thresholds_moved_during_a_run_are_applied_when_it_ends():
    viewer, controller = make(engine := StackEngine())
    found = engine.run

    def run(*arguments):
        choose(controller, score_threshold=0.3)
        return found(*arguments)

    engine.run = run
    controller.run()
    assert ids(viewer.layers["nuclei"]) == [[0, 1, 2]] * 3


def test_cancel_keeps_the_finished_planes_and_the_result_before():
    viewer, controller = make(engine := StackEngine())
    controller.run()
    whole = viewer.layers["nuclei"].data.copy()
    engine.last = 2
    controller.run()
    first, second = (layer for layer in viewer.layers if layer.name.startswith("nuclei"))
    np.testing.assert_array_equal(first.data, whole)
    assert ids(second) == [[0, 1], [0, 1], [0]]
    assert status(controller).startswith("Stopped · 2 of 3 planes · 1 nucleus")
    assert controller.view.last("set_state").kwargs == {"ready": True, "running": False}


def test_cancel_in_the_first_plane_adds_nothing():
    viewer, controller = make(StackEngine(last=0))
    controller.run()
    assert status(controller) == "Stopped."
    assert len(viewer.layers) == 1


def test_an_error_costs_one_plane_only():
    viewer, controller = make(StackEngine(last=1, error=OSError("plane 2 is damaged")))
    controller.run()
    assert status(controller).startswith("Not done: plane 2 is damaged · 1 of 3 planes · 1 nucleus")
    assert ids(viewer.layers["nuclei"]) == [[0, 1], [0], [0]]


def test_the_plane_in_view_stays_a_choice_and_another_layer():
    viewer, controller = make()
    controller.run()
    controller.view.now = options()
    controller.run()
    assert [layer.data.shape for layer in viewer.layers if layer.name.startswith("nuclei")] == [
        (3, 16, 16),
        (1, 16, 16),
    ]
    assert all(layer.visible for layer in viewer.layers if layer.name.startswith("nuclei"))


def test_a_plane_under_the_whole_stack_is_hidden():
    viewer, controller = make()
    both, controller.view.now = controller.view.now, options()
    controller.run()
    controller.view.now = both
    controller.run()
    seen = [(layer.data.shape[0], layer.visible) for layer in viewer.layers if layer.name.startswith("nuclei")]
    assert seen == [(1, False), (3, True)]


@pytest.mark.parametrize("what", ["cut short", "edited"])
def test_a_plane_is_not_hidden_by_less_and_never_the_users(what):
    viewer, controller = make(StackEngine(last=2, error=OSError("gone")) if what == "cut short" else None)
    both, controller.view.now = controller.view.now, options()
    controller.run()
    if what == "edited":
        viewer.layers["nuclei"].data[0, 0, 0] = 7
    controller.view.now = both
    controller.run()
    assert [layer.visible for layer in viewer.layers if layer.name.startswith("nuclei")] == [True, True]


def test_progress_counts_planes():
    _, controller = make()
    controller.run()
    told = [call.args[0] for call in controller.view.set_status.call_args_list]
    assert [text for text in told if "plane" in text][:3] == [f"Segmenting: plane {i} of 3" for i in (1, 2, 3)]
    assert [call.args for call in controller.view.set_progress.call_args_list] == [(0, 6), (2, 6), (4, 6)]


def test_the_choice_appears_with_a_stack_only():
    viewer, controller = make()
    assert controller.view.last("set_planes").args == (3,)
    viewer.layers.selection.active = viewer.add_image(np.zeros((3, 8, 8)), name="channels", channel_axis=None)
    assert controller.view.last("set_planes").args == (1,), "three channels are no stack"


def test_of_a_series_of_stacks_frames_are_not_linked_with_each_other():
    viewer, controller = make(shape=(2, 3, 16, 16), axis_labels=("t", "z", "y", "x"), scale=(1, 1, 1, 1))
    controller.run()
    assert ids(viewer.layers["nuclei"]) == [[0, 1]] * 3 + [[0, 2]] * 3


def test_channels_are_no_planes():
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    layer = Image(data, axis_labels=("z", "c", "y", "x"))
    assert plane_count(layer, (0, 1, 2, 3)) == 2
    stack = take_stack(layer, (0, 0, 0, 0), (0, 1, 2, 3), 2)
    assert stack.shape == (2, 1, 4, 5)
    assert stack.position == {"c": 2}
    for z, place in enumerate(stack.places):
        np.testing.assert_array_equal(stack.plane(place).read(), data[z, 2])
        assert np.zeros(stack.shape)[place].shape == (4, 5)


def test_channels_that_lead_have_no_axis_in_the_result():
    data = np.arange(3 * 2 * 4 * 5).reshape(3, 2, 4, 5)
    layer = Image(data, axis_labels=("c", "z", "y", "x"), scale=(1, 7, 2, 2))
    stack = take_stack(layer, (0, 0, 0, 0), (0, 1, 2, 3), "colour")
    assert stack.shape == (2, 4, 5)
    np.testing.assert_array_equal(stack.plane(stack.places[1]).read(), np.moveaxis(data[:, 1], 0, -1))
    np.testing.assert_allclose(stack.placement["scale"], (7, 2, 2))


@pytest.mark.parametrize("where", ["slider", "image"])
def test_planes_can_be_chosen_once_the_axes_are_named(where):
    viewer, controller = make(axis_labels=("-3", "-2", "-1"))
    assert controller.view.last("set_planes").args == (1,), "three unnamed planes count as channels"
    named = viewer.dims if where == "slider" else viewer.layers["cells"]
    named.axis_labels = ("z", "y", "x")
    assert viewer.layers["cells"].axis_labels == ("z", "y", "x")
    assert controller.view.last("set_planes").args == (3,)
    assert controller.view.last("set_channels").args == ([],)


def test_a_stack_that_is_removed_is_freed():
    viewer, controller = make()
    controller.run()
    image = weakref.ref(viewer.layers["cells"])
    viewer.layers.clear()
    controller.view.reset_mock()
    gc.collect()
    assert image() is None


def test_stop_reaches_the_look_that_tells_the_zoom():
    jobs = []
    viewer, controller = make(engine := StackEngine(), background=lambda *args, **kwargs: jobs.append((args, kwargs)))
    args, kwargs = jobs.pop()
    at_once(*args, **kwargs)
    controller.run()
    controller.cancel()
    args, kwargs = jobs.pop()
    at_once(*args, **kwargs)
    assert engine.requests == []
    assert status(controller) == "Stopped."
    assert len(viewer.layers) == 1


@pytest.mark.parametrize(("channel", "step"), [(1, 1), ("view", 0)])
def test_the_slider_goes_to_the_channel_in_which_nuclei_were_looked_for(channel, step):
    viewer, controller = make()
    viewer.layers.clear()
    viewer.add_image(np.ones((3, 2, 16, 16)), name="cells", axis_labels=("t", "c", "y", "x"), translate=(0, 5, 0, 0))
    viewer.dims.set_current_step(1, 0)
    chosen = controller.view.now
    controller.view.now = type(chosen)(**{**vars(chosen), "channel": channel})
    controller.run()
    assert viewer.layers["nuclei"].data.shape == (3, 1, 16, 16)
    assert viewer.dims.current_step[1] == step
    assert label_plane(viewer.layers["nuclei"], viewer.dims).pixels.any()


@pytest.fixture
def damaged():
    """A stack of which planes cannot be read any more once they are named."""
    bad = set()

    def load(number):
        if number in bad:
            raise OSError(f"frame {number} is damaged")
        return np.full((16, 16), number, np.uint16)

    planes = [da.from_delayed(dask.delayed(load)(n), (16, 16), np.uint16) for n in range(6)]
    viewer, controller = make()
    viewer.layers.clear()
    viewer.add_image(da.stack(planes), name="cells", axis_labels=("t", "y", "x"), contrast_limits=(0, 9), cache=False)
    return viewer, controller, bad


@pytest.mark.parametrize("named", [{0}, {1}, {3, 4}])
def test_a_plane_that_cannot_be_read_is_left_out_and_the_rest_goes_on(damaged, named):
    viewer, controller, bad = damaged
    bad |= named
    controller.run()
    found = ids(viewer.layers["nuclei"])
    assert found == [[0] if number in bad else [0, 1] for number in range(6)], "linked over the gap"
    which = ", ".join(map(str, sorted(bad)))
    said = f"6 planes, of which {len(bad)} cannot be read and stay empty (from 0: {which}) · "
    assert status(controller).startswith(said)
    choose(controller, linked=False)
    controller.recompose()
    assert [plane == [0] for plane in ids(viewer.layers["nuclei"])] == [number in bad for number in range(6)]


def test_the_size_is_told_by_a_plane_that_can_be_read(damaged):
    viewer, controller, bad = damaged

    class Estimating(StackEngine):
        def zoom(self, request, cancelled):
            return 1 + float(request.plane.read().max())

    controller.engine = Estimating()
    bad |= {0, 1, 3}  # all others are uniform, too
    controller.run()
    assert ids(viewer.layers["nuclei"]) == [[0], [0], [0, 1], [0], [0, 1], [0, 1]]


def test_of_a_stack_that_cannot_be_read_at_all_that_is_said(damaged):
    viewer, controller, bad = damaged
    bad |= set(range(6))
    controller.run()
    assert status(controller).startswith("Not done: the pixels cannot be read (frame ")
    assert "nuclei" not in viewer.layers
