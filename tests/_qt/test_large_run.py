"""Images too large for the memory, without a screen, with the real engine and a network that sees squares."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import zarr
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from panel_fakes import FakeEngine, FakeView, at_once, options

from fakes import fake_model, squares_image
from napari_pffnet._qt.engine import Engine
from napari_pffnet._qt.segment.controller import ON_DISK, SegmentController
from napari_pffnet._qt.segment.large_layers import LargeLayers, Lifted
from napari_pffnet.io import lazy, ome_zarr
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.readers import get_reader

IMAGE, COUNT = squares_image((300, 420))
SETTINGS = {"tile": 100, "tile_overlap": 32, "scale": 1.0}


class SquaresEngine(Engine):
    """The real engine; its model finds bright squares."""

    choices = FakeEngine.choices

    def _load(self, name, device):
        return fake_model()


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(lazy, "LARGE", 100_000)
    monkeypatch.setattr(ome_zarr, "BLOCK", 128)
    monkeypatch.setattr("napari_pffnet._qt.segment.large_layers.SECONDS_BETWEEN", 0)


@pytest.fixture
def viewer(tmp_path):
    model = ViewerModel()
    on_disk = zarr.create_array(tmp_path / "image.zarr", shape=IMAGE.shape, chunks=(128, 128), dtype=IMAGE.dtype)
    on_disk[:] = IMAGE
    model.add_image(on_disk, name="slide 1/2", scale=(0.5, 0.5), units=("um", "um"))
    return model


def make(viewer, folder, answer=True, background=at_once, **config):
    view = FakeView()
    view.ask_folder.return_value, view.ask.return_value = str(folder), answer
    view.now = options(**SETTINGS, **config)
    return SegmentController(viewer, view, SquaresEngine(), background)


def test_result_is_on_disk_and_on_the_image(viewer, tmp_path):
    controller = make(viewer, tmp_path)
    controller.run()
    nuclei, semantic = viewer.layers["nuclei"], viewer.layers["semantic"]
    assert nuclei.multiscale
    assert len(np.unique(nuclei.data[0][:])) == COUNT + 1
    assert len(nuclei.features) == COUNT
    np.testing.assert_allclose(nuclei.scale, (0.5, 0.5))
    assert not semantic.visible
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "image.zarr",
        "slide 1_2-nuclei.csv",
        "slide 1_2-nuclei.zarr",
    ]
    assert len(pd.read_csv(tmp_path / "slide 1_2-nuclei.csv")) == COUNT
    assert f"{COUNT} nuclei" in controller.view.last("set_status").args[0]
    controller.recompose()
    assert controller.view.last("set_status").args == (ON_DISK,)


def test_blocks_are_shown_while_the_rest_is_computed(viewer, tmp_path, monkeypatch):
    controller, seen = make(viewer, tmp_path), []

    def look(layers, shown, outlines, show=LargeLayers.show):
        show(layers, shown, outlines)
        if "nuclei" in viewer.layers:
            seen.append(len(np.unique(viewer.layers["nuclei"].data[0][:])))

    monkeypatch.setattr(LargeLayers, "show", look)
    controller.run()
    assert 1 < seen[0] < seen[-1] <= COUNT + 1
    assert len(viewer.layers) == 3


def test_stopped_it_goes_on_where_it_was(viewer, tmp_path):
    stops = []
    controller = make(viewer, tmp_path)

    def stop_in_the_middle(title, job, *, progressed, **callbacks):
        def told(done, total):
            progressed(done, total)
            stops.append(done)
            if len(stops) == 6:
                controller.cancel()

        at_once(title, job, progressed=told, **callbacks)

    controller.background = stop_in_the_middle
    controller.run()
    assert "goes on from here" in controller.view.last("set_status").args[0]
    assert (tmp_path / "slide 1_2-nuclei.partial").is_dir()
    computed = stops[-1]
    assert computed > 0
    controller.run()
    assert stops[6:].index(computed) == 0, "what is done is not computed again"
    assert len(viewer.layers["nuclei"].features) == COUNT
    assert controller.view.ask_folder.call_count == 1
    controller.view.ask.assert_not_called()


def test_a_run_whose_image_is_closed_is_stopped_and_its_work_kept(viewer, tmp_path):
    controller = make(viewer, tmp_path)

    def close_in_the_middle(title, job, *, progressed, **callbacks):
        def told(done, total):
            progressed(done, total)
            if done == 3 and "slide 1/2" in viewer.layers:
                viewer.layers.remove("slide 1/2")

        at_once(title, job, progressed=told, **callbacks)

    controller.background = close_in_the_middle
    controller.run()
    status = controller.view.last("set_status").args[0]
    assert status.startswith("Stopped: 'slide 1/2' was closed. Segment goes on from here")
    assert (tmp_path / "slide 1_2-nuclei.partial").is_dir()


def test_other_settings_begin_anew_only_if_the_user_says_so(viewer, tmp_path):
    controller = make(viewer, tmp_path, answer=False)

    def cancelled_once_begun(title, job, **rest):
        at_once(title, lambda report: job(lambda *tiles: (controller.cancel(), report(*tiles))), **rest)

    controller.background = cancelled_once_begun
    controller.run()
    controller.background = at_once
    controller.view.now = options(**{**SETTINGS, "tile_overlap": SETTINGS["tile_overlap"] + 8})
    controller.run()
    assert "another tile overlap" in controller.view.last("set_status").args[0]
    assert "nuclei" not in viewer.layers
    controller.view.ask.return_value = True
    controller.run()
    assert len(viewer.layers["nuclei"].features) == COUNT


def test_a_result_is_replaced_only_if_the_user_says_so(viewer, tmp_path):
    make(viewer, tmp_path).run()
    before = (tmp_path / "slide 1_2-nuclei.csv").stat().st_mtime_ns
    second = make(viewer, tmp_path, answer=False)
    second.run()
    assert "will be replaced" in second.view.last("ask").args[0]
    assert (tmp_path / "slide 1_2-nuclei.csv").stat().st_mtime_ns == before
    assert not second._running
    second.view.ask.return_value = True
    second.run()
    assert (tmp_path / "slide 1_2-nuclei.csv").stat().st_mtime_ns > before


def test_a_table_alone_is_not_replaced_without_a_question_either(viewer, tmp_path):
    table = tmp_path / "slide 1_2-nuclei.csv"
    table.write_text("mine")
    controller = make(viewer, tmp_path, answer=False)
    controller.run()
    assert table.read_text() == "mine"
    assert "nuclei" not in viewer.layers


def test_layers_of_an_earlier_run_stay_until_there_are_new_ones(viewer, tmp_path):
    controller = make(viewer, tmp_path)
    controller.run()
    first = viewer.layers["nuclei"]
    controller.background = lambda title, job, **rest: (controller.cancel(), at_once(title, job, **rest))
    controller.run()
    assert first in viewer.layers
    assert len(np.unique(first.data[0][:])) == COUNT + 1
    controller.background = at_once
    controller.run()
    assert first not in viewer.layers
    assert len(viewer.layers) == 3
    viewer.layers["nuclei"].name = "mine"
    controller.run()
    assert "mine" not in viewer.layers, "its files are replaced"


def test_a_folder_that_cannot_be_written_is_asked_for_again(viewer, tmp_path):
    (tmp_path / "file").touch()
    controller = make(viewer, tmp_path / "file")
    controller.run()
    assert "file (File exists); choose another folder" in controller.view.last("set_status").args[0]
    controller.view.ask_folder.return_value = str(tmp_path)
    controller.run()
    assert len(viewer.layers["nuclei"].features) == COUNT


def test_the_folder_stays_where_work_was_begun(viewer, tmp_path, monkeypatch):
    controller = make(viewer, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(LazyPlane, "read", Mock(side_effect=OSError("the disk is gone")))
        controller.run()
    controller.run()
    (tmp_path / "slide 1_2-nuclei.partial").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(LazyPlane, "read", Mock(side_effect=OSError("the disk is gone")))
        controller.run()
    controller.run()
    assert controller.view.ask_folder.call_count == 2


def test_a_zarr_of_somebody_else_is_left_alone_without_a_question(viewer, tmp_path):
    zarr.save_array(tmp_path / "slide 1_2-nuclei.zarr", IMAGE)
    controller = make(viewer, tmp_path)
    controller.run()
    assert "no result of a segmentation; choose another folder" in controller.view.last("set_status").args[0]
    controller.view.ask.assert_not_called()


def test_a_result_opens_again_by_its_folder(viewer, tmp_path):
    make(viewer, tmp_path).run()
    path = str(tmp_path / "slide 1_2-nuclei.zarr")
    (_, semantic, _), (levels, nuclei, kind) = get_reader(path)(path)
    assert kind == "labels"
    np.testing.assert_array_equal(levels[0][:], viewer.layers["nuclei"].data[0][:])
    assert nuclei["scale"] == (0.5, 0.5)
    assert len(nuclei["features"]) == COUNT
    assert not semantic["visible"]
    (tmp_path / "slide 1_2-nuclei.csv").write_bytes(b"\xff\xfe")
    assert "features" not in get_reader(path)(path)[1][1]
    assert get_reader(str(tmp_path / "image.zarr")) is None


def test_without_a_folder_nothing_happens(viewer, tmp_path):
    controller = make(viewer, "")
    controller.run()
    assert len(viewer.layers) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["image.zarr"]


def test_what_cannot_be_done_with_large_planes_is_said(viewer, tmp_path):
    controller = make(viewer, tmp_path)
    viewer.add_shapes([[(0, 0), (0, 210), (150, 210), (150, 0)]], shape_type="rectangle")
    controller.view.now = replace(options(**SETTINGS), where="drawn")
    notification_manager.records.clear()
    controller.run()
    viewer.add_image(np.zeros((3, *IMAGE.shape), np.uint8), name="stack", axis_labels=("z", "y", "x"))
    controller.view.now = replace(options(**SETTINGS), all_planes=True)
    controller.run()
    texts = [record.message for record in notification_manager.records]
    assert "closer together" in texts[0]
    assert "one plane at a time" in texts[1]


def test_plane_of_a_stack_lies_on_its_slice(tmp_path):
    viewer = ViewerModel()
    viewer.add_image(np.stack([IMAGE * 0, IMAGE, IMAGE * 0]), name="stack", axis_labels=("z", "y", "x"))
    viewer.dims.set_point(0, 1)
    make(viewer, tmp_path).run()
    nuclei = viewer.layers["nuclei"]
    assert nuclei.data[0].shape == (1, *IMAGE.shape)
    np.testing.assert_allclose(nuclei.translate, (1, 0, 0))
    assert len(nuclei.features) == COUNT
    assert (tmp_path / "stack-z2-nuclei.csv").is_file()


def test_names_of_axes_make_no_folders(tmp_path):
    viewer = ViewerModel()
    viewer.add_image(np.stack([IMAGE, IMAGE]), name="b", axis_labels=("t/s", "y", "x"))
    make(viewer, tmp_path).run()
    assert (tmp_path / "b-t_s1-nuclei.csv").is_file()


def test_results_of_two_channels_or_levels_stand_beside_each_other(tmp_path):
    viewer = ViewerModel()
    stack = np.stack([IMAGE, IMAGE[:, ::-1]])
    levels = [stack, stack[:, ::2, ::2]]
    viewer.add_image(levels, multiscale=True, name="a", axis_labels=("c", "y", "x"))
    controller = make(viewer, tmp_path)
    for channel in (0, 1):
        controller.view.now = replace(options(**SETTINGS), channel=channel, level=0)
        controller.run()
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["a-c1-level0-nuclei.csv", "a-c2-level0-nuclei.csv"]
    assert sum(layer.name.startswith("nuclei") for layer in viewer.layers) == 2


@pytest.mark.parametrize(
    "index",
    [(0,), (0, slice(2, 4)), (slice(None), 3, slice(1, 3)), (slice(None),), (0, 2, 3), 0, (), (0, slice(0, 5, 2), 1)],
)
def test_lifted_plane_is_indexed_like_an_array(index):
    array = np.arange(20).reshape(4, 5)
    np.testing.assert_array_equal(Lifted(array, (1, 4, 5))[index], array[None][index])
    np.testing.assert_array_equal(np.asarray(Lifted(array, (1, 4, 5))), array[None])
    middle = Lifted(array, (4, 1, 5))
    np.testing.assert_array_equal(middle[1:3, :, 2], array[1:3, 2:3])
