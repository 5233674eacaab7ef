"""The step Segment without a screen."""

import sys
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from panel_fakes import FakeEngine, FakeView, at_once, options
from skimage.color import hed2rgb

from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.segment.controller import ELSEWHERE, NO_IMAGE, NOT_KEPT, SegmentController
from napari_pffnet.library import LibraryError


@pytest.fixture
def viewer():
    model = ViewerModel()
    model.add_image(np.zeros((16, 16), np.uint16), name="cells", scale=(0.5, 0.5), units=("um", "um"))
    return model


def make(viewer, engine=None, background=at_once):
    return SegmentController(viewer, FakeView(), engine or FakeEngine(), background)


def test_run_adds_nuclei_and_semantic(viewer):
    make(viewer).run()
    nuclei, semantic = viewer.layers["nuclei"], viewer.layers["semantic"]
    assert nuclei.data.max() == 1
    assert list(nuclei.features.columns) == ["index", "score", "quality", "mask_score", "overlap", "area"]
    assert nuclei.features["area"].tolist() == [25]
    assert not semantic.visible
    for layer in (nuclei, semantic):
        np.testing.assert_allclose(layer.scale, (0.5, 0.5))
        assert layer.units == viewer.layers["cells"].units
    assert viewer.layers[-1] is nuclei
    assert nuclei.metadata["napari-pffnet"]["model"] == "default"
    assert semantic.metadata["napari-pffnet"]["content"] == "semantic"


def test_what_is_brown_is_told_until_hematoxylin_is_taken_alone(viewer):
    brown = hed2rgb(np.full((40, 50, 3), (0, 0, 0.1)))
    viewer.add_image((brown * 255).astype(np.uint8), name="brown", rgb=True)
    controller = make(viewer)
    controller.run()
    assert "much is brown: if that hides nuclei" in controller.view.last("set_status").args[0]
    assert viewer.layers["nuclei of brown"].metadata["napari-pffnet"]["channel"] == "view"
    controller.view.now = replace(options(), channel="hematoxylin")
    controller.run()
    assert controller.engine.requests[-1].plane.read().min() > 200, "the brown is gone"
    assert "brown" not in controller.view.last("set_status").args[0]
    assert viewer.layers["nuclei of brown"].metadata["napari-pffnet"]["channel"] == "hematoxylin"


def test_what_covers_the_image_is_hidden_and_what_one_sees_through_is_not(viewer):
    covering = viewer.add_image(np.ones((16, 16)), name="next", scale=(0.5, 0.5), units=("um", "um"))
    channel = viewer.add_image(np.ones((16, 16)), name="channel", scale=(0.5, 0.5), blending="additive")
    beside = viewer.add_image(np.ones((16, 16)), name="beside", scale=(0.5, 0.5), translate=(20, 0))
    controller = make(viewer)
    controller.choice.choose(viewer.layers["cells"])
    controller.run()
    assert (covering.visible, channel.visible, beside.visible) == (False, True, True)
    assert controller.view.last("set_status").args[0].endswith("MB kept · hid next, which lay over it")
    controller.recompose()
    assert controller.view.last("set_status").args[0].endswith("MB kept")


@pytest.mark.parametrize("why", ["grid", "another plane"])
def test_what_does_not_lie_over_the_image_stays(why):
    viewer = ViewerModel()
    cells = viewer.add_image(np.zeros((3, 16, 16), np.uint16), name="cells", axis_labels=("z", "y", "x"))
    other = viewer.add_image(np.ones((3, 16, 16)), name="other", axis_labels=("z", "y", "x"))
    getattr(viewer, "canvas", viewer).grid.enabled = why == "grid"
    other.translate = (50 * (why != "grid"), 0, 0)
    controller = make(viewer)
    controller.choice.choose(cells)
    controller.run()
    assert other.visible


def test_a_run_is_announced_before_its_layers_come(viewer):
    controller = make(viewer)
    heard = []
    controller.starting.connect(lambda: heard.append(len(viewer.layers)))
    controller.run()
    assert heard == [1]
    viewer.layers.clear()
    controller.run()
    assert heard == [1], "without an image nothing starts"


def test_where_several_images_are_open_results_say_which_one_they_are_of(viewer):
    viewer.add_image(np.ones((16, 16), np.uint16), name="others")
    controller = make(viewer)
    controller.run()
    assert {"nuclei of others", "semantic of others"} <= {layer.name for layer in viewer.layers}


def test_threshold_recomposes_without_the_network(viewer):
    controller = make(viewer, engine := FakeEngine())
    controller.run()
    controller.view.now = options(score_threshold=0.3)
    controller.recompose()
    assert viewer.layers["nuclei"].data.max() == 2
    assert len(viewer.layers["nuclei"].features) == 2
    assert len(engine.requests) == 1
    assert len(viewer.layers) == 3
    assert "2 nuclei" in controller.view.last("set_status").args[0]


def test_who_hears_of_new_labels_reads_their_table(viewer):
    read = []

    def note(layer):
        ids = set(np.unique(layer.data).tolist()) - {0}
        read.append((ids, set(layer.features.get("index", ()))))

    viewer.layers.events.inserted.connect(lambda event: note(event.value) if event.value.name == "nuclei" else None)
    controller = make(viewer)
    controller.run()
    viewer.layers["nuclei"].events.data.connect(lambda event: note(event.source))
    controller.view.now = options(score_threshold=0.3)
    controller.recompose()
    assert read == [({1}, {1}), ({1, 2}, {1, 2})]


@pytest.mark.parametrize("change", ["paint", "accept"])
def test_corrections_stay_and_only_another_run_makes_another_layer(viewer, change):
    controller = make(viewer)
    controller.run()
    mine = viewer.layers["nuclei"]
    if change == "paint":
        mine.data[0, 0] = 7
    else:
        mine.features = mine.features.assign(state="accepted")
    before = mine.data.copy()
    controller.view.now = options(score_threshold=0.3)
    controller.recompose()
    assert controller.view.last("set_status").args[0].startswith("'nuclei' holds your corrections")
    assert len(viewer.layers) == 3
    assert mine.visible
    assert viewer.layers.selection.active is mine
    controller.run()
    np.testing.assert_array_equal(mine.data, before)
    assert viewer.layers["nuclei [1]"].data.max() == 2
    assert len(viewer.layers) == 4
    assert not mine.visible, "two of them would blend"
    assert "your edited layer is kept below" in controller.view.last("set_status").args[0]


def test_a_layer_that_was_renamed_is_kept_beside_another_threshold(viewer):
    controller = make(viewer)
    controller.run()
    mine, before = viewer.layers["nuclei"], viewer.layers["nuclei"].data.copy()
    mine.name = "mine"
    controller.view.now = options(score_threshold=0.3)
    controller.recompose()
    controller.recompose()
    np.testing.assert_array_equal(mine.data, before)
    assert len(viewer.layers) == 4, "one new layer, not one per change"
    assert not mine.visible, "two of them would blend"


def test_a_corrected_semantic_map_stays_at_another_threshold(viewer):
    controller = make(viewer)
    controller.run()
    mine = viewer.layers["semantic"]
    mine.data[0, 0], mine.visible = 1, True
    controller.view.now = options(score_threshold=0.3)
    for _ in range(2):
        controller.recompose()
    assert viewer.layers["nuclei"].data.max() == 2
    assert [layer.name for layer in viewer.layers] == ["cells", "semantic", "nuclei"]
    assert mine.visible
    assert mine.data[0, 0] == 1


def test_another_semantic_map_comes_beside_a_corrected_one(viewer):
    engine = FakeEngine()
    controller = make(viewer, engine)
    controller.run()
    mine, run = viewer.layers["semantic"], engine.run
    mine.data[0, 0] = 1

    def run_anew(*arguments):
        outcome = run(*arguments)
        outcome.prediction.semantic[5, 5] = 1
        return outcome

    engine.run = run_anew
    controller.run()
    assert (mine.data[0, 0], mine.data[5, 5]) == (1, 0)
    assert viewer.layers["semantic [1]"].data[5, 5] == 1


def test_only_what_is_drawn_is_segmented_and_stands_beside_the_rest(viewer):
    controller = make(viewer, engine := FakeEngine())
    controller.run()
    shapes = viewer.add_shapes([[(0, 0), (0, 6), (6, 6), (6, 0)]], shape_type="rectangle", scale=(0.5, 0.5))
    controller.view.now = replace(options(score_threshold=0.3), where="drawn")
    for _ in range(2):
        controller.run()
        assert [layer.name for layer in viewer.layers if layer.name.startswith("nuclei")] == ["nuclei", "nuclei [1]"]
        assert len(viewer.layers["nuclei [1]"].features) == 1, "of two nuclei one is inside"
    assert engine.requests[-1].plane.inside.sum() == 36
    assert viewer.layers["nuclei"].visible, "most of it lies around the new one"
    viewer.layers.remove(shapes)
    notification_manager.records.clear()
    controller.run()
    assert "nothing is drawn" in notification_manager.records[0].message
    assert len(engine.requests) == 3


def test_results_note_where_they_lie_in_their_image(viewer):
    controller = make(viewer)
    controller.run()
    full = viewer.layers["nuclei"].metadata["napari-pffnet"]["place"]
    shape = list(viewer.layers[0].data.shape)
    assert (full["start"], full["step"], full["whole"], full["shape"]) == ([0, 0], [1, 1], shape, shape)
    pyramid = ViewerModel()
    levels = [np.zeros((3, 640, 640)), np.zeros((3, 320, 320))]
    pyramid.add_image(levels, multiscale=True, axis_labels="zyx")
    pyramid.dims.set_point(0, 2)
    pyramid.add_shapes([[(400, 300), (400, 340), (440, 340), (440, 300)]], shape_type="rectangle")
    controller = make(pyramid)
    controller.view.now = replace(options(), where="drawn", level=1)
    controller.run()
    for name in ("nuclei", "semantic"):
        place = pyramid.layers[name].metadata["napari-pffnet"]["place"]
        assert (place["step"], place["whole"]) == ([1, 2, 2], [3, 640, 640])
        assert place["start"] == [2, *np.round(pyramid.layers[name].translate[1:] / 2 - 0.25).tolist()]
        assert place["shape"] == list(pyramid.layers[name].data.shape)


def test_level_of_a_pyramid_is_that_of_the_result():
    viewer = ViewerModel()
    viewer.add_image([np.zeros((32, 32)), np.zeros((16, 16))], multiscale=True)
    controller = make(viewer, engine := FakeEngine())
    assert controller.view.last("set_levels").args == (["32 × 32", "16 × 16"],)
    controller.view.now = replace(options(diameter=20), level=1)
    controller.run()
    assert viewer.layers["nuclei"].data.shape == (16, 16)
    np.testing.assert_allclose(viewer.layers["nuclei"].scale, (2, 2))
    assert engine.requests[0].config.diameter == 10, "given for the full resolution"
    controller.view.now = replace(options(), level=0)
    controller.run()
    assert viewer.layers["nuclei"].data.shape == (32, 32)


def test_level_of_a_pyramid_is_chosen_by_the_engine_from_the_full_resolution():
    viewer = ViewerModel()
    viewer.add_image(
        [np.zeros((40, 40)), np.zeros((20, 20)), np.zeros((10, 10))], multiscale=True, scale=(2, 2), units=("um", "um")
    )
    controller = make(viewer, engine := FakeEngine())
    controller.run()
    assert engine.looked_at == ((40, 40), [((40, 40), 2), ((20, 20), 4), ((10, 10), 8)])
    assert engine.requests[0].plane.part.level == 2
    assert "1 nucleus" in controller.view.last("set_status").args[0]


def test_deleted_result_comes_back(viewer):
    controller = make(viewer)
    controller.run()
    viewer.layers.remove("nuclei")
    controller.recompose()
    assert "nuclei" in viewer.layers


def test_second_run_replaces_untouched_results_and_follows_the_image(viewer):
    controller = make(viewer)
    controller.run()
    viewer.layers["cells"].scale = (3, 3)
    controller.run()
    assert len(viewer.layers) == 3
    np.testing.assert_allclose(viewer.layers["nuclei"].scale, (3, 3))


def test_each_plane_of_a_stack_has_its_own_result():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 16, 16)), axis_labels=("z", "y", "x"))
    controller = make(viewer)
    for z in (0, 3):
        viewer.dims.set_point(0, z)
        controller.run()
    assert [layer.translate[0] for layer in viewer.layers if layer.name.startswith("nuclei")] == [0, 3]


def test_own_mistakes_are_told_in_one_line(viewer):
    notification_manager.records.clear()
    controller = make(viewer, FakeEngine(LibraryError("no model 'x'; give the path of a model file")))
    controller.run()
    assert [record.message for record in notification_manager.records] == [
        "no model 'x'; give the path of a model file"
    ]
    assert len(viewer.layers) == 1
    assert "give the path of a model file" in controller.view.last("set_status").args[0]
    assert controller.view.last("set_state").kwargs == {"ready": True, "running": False}


def test_where_pytorch_cannot_be_imported_it_is_said(viewer, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari_pffnet.segment", None)
    monkeypatch.setattr(notification_manager, "dispatch", Mock())
    engine = FakeEngine()
    engine.choices = Mock(side_effect=ImportError("DLL load failed"))
    assert make(viewer, engine).view.last("set_status").args[0] == "Not done: DLL load failed"


def test_cancel_leaves_the_layers_as_they_are(viewer):
    waiting = []
    controller = make(viewer, background=lambda *args, **kwargs: waiting.append((args, kwargs)))
    (args, kwargs) = waiting.pop()
    at_once(*args, **kwargs)
    controller.run()
    controller.cancel()
    (args, kwargs) = waiting.pop()
    at_once(*args, **kwargs)
    assert controller.view.last("set_status").args == ("Stopped.",)
    assert len(viewer.layers) == 1


def test_the_size_of_pixels_is_that_of_the_axes_on_the_screen():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((8, 16, 16)), scale=(5, 0.5, 0.5), units=("um", "um", "um"))
    controller = make(viewer)
    assert controller.view.last("set_facts").args[1] == 0.5
    viewer.dims.order = (1, 0, 2)
    assert controller.view.last("set_facts").args[1] == 5


def test_image_selected_in_the_list_is_chosen(viewer):
    viewer.add_image(np.zeros((8, 8)), name="second")
    controller = make(viewer)
    viewer.layers.selection.active = viewer.layers["cells"]
    assert controller.view.last("set_images").args == (["cells", "second"], 0)


def test_models_are_offered_anew_without_disturbing_a_run(viewer):
    controller = make(viewer, engine := FakeEngine())
    engine.choices = lambda: Choices([("new", "new")], [])
    controller.view.set_state.reset_mock()
    controller.refresh_models()
    assert controller.view.last("set_choices").args == (Choices([("new", "new")], []), None)
    controller.view.set_state.assert_not_called()
    controller.refresh_models("default", "renamed")
    assert controller.view.last("set_choices").args[1] == "renamed"
    controller.refresh_models("another", "renamed")
    assert controller.view.last("set_choices").args[1] is None


def test_without_an_image_it_says_where_to_get_one():
    controller = make(ViewerModel())
    assert controller.view.last("set_status").args == (NO_IMAGE,)
    assert controller.view.last("set_state").kwargs == {"ready": False, "running": False}
    controller.run()


def test_closed_controller_hears_nothing(viewer):
    controller = make(viewer)
    controller.close()
    controller.view.set_images.reset_mock()
    viewer.add_image(np.zeros((8, 8)))
    controller.view.set_images.assert_not_called()


def waiting(viewer):
    """A controller whose runs wait until they are finished by `finish`."""
    jobs = []
    controller = make(viewer, background=lambda *args, **kwargs: jobs.append((args, kwargs)))

    def finish():
        args, kwargs = jobs.pop()
        at_once(*args, **kwargs)

    finish()
    return controller, finish


@pytest.mark.parametrize("when", ["running", "finishing"])
def test_a_run_whose_image_was_closed_shows_nothing(viewer, when):
    controller, finish = waiting(viewer)
    controller.run()
    if when == "running":
        viewer.layers.remove("cells")
    else:
        controller._in_work = None
        viewer.layers.remove("cells")
    finish()
    assert len(viewer.layers) == 0
    assert controller.view.last("set_status").args == ("Stopped: 'cells' was closed.",)


def test_a_run_that_ends_leaves_the_selection_to_whoever_corrects_meanwhile(viewer):
    mine = viewer.add_labels(np.zeros((16, 16), np.int32), name="mine")
    viewer.layers.selection.active = viewer.layers["cells"]
    controller, finish = waiting(viewer)
    controller.run()
    viewer.layers.selection.active = mine
    finish()
    assert viewer.layers.selection.active is mine
    assert viewer.layers["nuclei"].data.any()
    viewer.layers.remove("nuclei")
    viewer.layers.selection.active = viewer.layers["cells"]
    controller.run()
    finish()
    assert viewer.layers.selection.active is viewer.layers["nuclei"]


def test_thresholds_of_what_is_not_kept_are_refused_in_words(viewer):
    make(viewer).run()
    again = make(viewer)
    again.recompose()
    assert again.view.last("set_status").args == (NOT_KEPT,)
    again.run()
    viewer.layers["cells"].data = np.ones((16, 16))
    again.view.now = options(score_threshold=0.3)
    again.recompose()
    assert again.view.last("set_status").args == (NOT_KEPT,)
    assert viewer.layers["nuclei"].data.max() == 1


def test_thresholds_are_those_of_the_selected_nuclei(viewer):
    other = viewer.add_image(np.ones((16, 16), np.uint16), name="others")
    controller = make(viewer)
    controller.run()
    viewer.layers.selection.active = viewer.layers["cells"]
    controller.run()
    assert controller.choice.image is not other
    viewer.layers.selection.active = viewer.layers["nuclei of others"]
    controller.view.now = options(score_threshold=0.3)
    controller.recompose()
    assert viewer.layers["nuclei of others"].data.max() == 2
    assert viewer.layers["nuclei of cells"].data.max() == 1


def test_thresholds_do_not_change_the_result_of_another_slice_out_of_sight():
    viewer = ViewerModel()
    viewer.add_image(np.ones((6, 16, 16), np.uint16), name="stack", axis_labels=("z", "y", "x"))
    controller = make(viewer)
    viewer.dims.set_current_step(0, 4)
    controller.run()
    viewer.dims.set_current_step(0, 1)
    controller.view.now = options(score_threshold=0.3)
    controller.recompose()
    assert viewer.layers["nuclei"].data.max() == 1
    assert controller.view.last("set_status").args == (ELSEWHERE,)
    viewer.dims.set_current_step(0, 4)
    controller.recompose()
    assert viewer.layers["nuclei"].data.max() == 2


def test_thresholds_say_nothing_of_images_without_a_result(viewer):
    viewer.add_labels(np.zeros((16, 16), np.int32))
    viewer.layers.selection.active = viewer.layers["cells"]
    controller = make(viewer)
    controller.recompose()
    assert controller.view.last("set_status").args == ("Ready.",)


def test_an_image_waits_for_the_run_before_it(viewer):
    jobs = []
    engine = FakeEngine()
    controller = make(viewer, engine, background=lambda *args, **kwargs: jobs.append((args, kwargs)))
    at_once(*jobs[0][0], **jobs[0][1])
    controller.run()
    first = viewer.layers["cells"]
    others = [viewer.add_image(np.full((16, 16), i, np.uint16), name=f"{i}") for i in (1, 2)]
    for image in others:
        controller.run_soon(image)
    viewer.layers.remove(first)
    assert len(jobs) == 2
    at_once(*jobs[1][0], **jobs[1][1])
    assert len(jobs) == 3, "the last of those that wait runs as soon as the first has stopped"
    at_once(*jobs[2][0], **jobs[2][1])
    assert engine.requests[-1].plane.read().max() == 2
    assert [layer.name for layer in viewer.layers if "nuclei" in layer.name] == ["nuclei of 2"]
    controller.run_soon(others[0])
    viewer.layers.remove(others[0])
    assert len(jobs) == 4, "nothing runs: it runs at once"


def test_an_image_that_was_removed_waits_no_longer(viewer):
    jobs = []
    controller = make(viewer, background=lambda *args, **kwargs: jobs.append((args, kwargs)))
    image = viewer.layers["cells"]
    controller.run_soon(image)
    viewer.layers.remove(image)
    at_once(*jobs[0][0], **jobs[0][1])
    assert len(jobs) == 1


def test_pixels_that_were_replaced_during_a_run_get_no_result_of_the_old_ones(viewer):
    controller, finish = waiting(viewer)
    controller.run()
    viewer.layers["cells"].data = np.ones((16, 16), np.uint16)
    finish()
    assert "was given other pixels meanwhile" in controller.view.last("set_status").args[0]
    assert len(viewer.layers) == 1
    controller.run()
    finish()
    assert "nuclei" in viewer.layers


def test_an_image_that_waited_is_segmented_as_a_whole(viewer):
    controller = make(viewer, engine := FakeEngine())
    controller.view.now = replace(options(), where="drawn")
    controller.run_soon(viewer.layers["cells"])
    assert engine.requests[-1].plane.inside is None
    assert "nuclei" in viewer.layers


def test_an_image_that_has_nuclei_by_then_is_not_segmented_again(viewer):
    controller = make(viewer, engine := FakeEngine())
    for _ in range(2):
        controller.run_soon(viewer.layers["cells"])
    assert len(engine.requests) == 1
