"""The step Project without a screen."""

import shutil
from copy import deepcopy
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.transforms import Affine
from panel_fakes import at_once
from project_fakes import crashed, make, on_disk, opened, status

from napari_pffnet._qt.layers.label_rows import ACCEPTED
from napari_pffnet._qt.project.texts import ALL_DONE, LAST_ONE, NO_NUCLEI, NO_PROJECT, NOT_TAKEN
from napari_pffnet.curate.calibration import project_pairs
from napari_pffnet.curate.operations import delete
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.work import Annotation
from napari_pffnet.io.regions import Area, Regions
from napari_pffnet.readers import get_reader
from projects import SHAPE, images, paint, painted, project


def nuclei(*edits):
    return Annotation(painted(*edits), None, {row["index"]: row for edit in edits for row in edit.rows})


TWO_NUCLEI = nuclei(paint(2, 2, 1), paint(20, 20, 2))


def warning(controller):
    return controller.view.warn.call_args.args[0]


def names(controller):
    return {layer.name for layer in controller.viewer.layers}


def test_without_a_project_nothing_gets_in_the_way():
    viewer = ViewerModel()
    layer = viewer.add_labels(np.ones((4, 4), np.int32))
    controller = make(viewer)
    layer.fill((0, 0), 2)
    for action in (controller.next, controller.toggle_done, controller.keeper.mark_area, controller.keeper.save):
        action()
    controller.close()
    assert viewer.layers[:] == [layer]
    assert status(controller) == NO_PROJECT
    assert not controller.view.warn.called


def test_new_project_takes_images_and_opens_the_first(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    (images(tmp_path / "raw") / "bad.tif").write_bytes(b"")
    controller.add([str(tmp_path / "raw")])
    assert controller.image.name == "a"
    assert controller.view.set_images.call_args.args == ([("a", "new"), ("b", "new"), ("c", "new")], "a")
    assert "bad.tif" in warning(controller)
    assert status(controller) == "Added 3 images, 1 left out."
    assert names(controller) == {"a", "complete here"}


def test_opening_shows_all_that_was_annotated(tmp_path):
    semantic = np.full(SHAPE, 255, np.uint8)
    controller = opened(tmp_path, Annotation(TWO_NUCLEI.labels, semantic, TWO_NUCLEI.rows))
    layers = controller.viewer.layers
    np.testing.assert_array_equal(layers["nuclei"].data, TWO_NUCLEI.labels)
    np.testing.assert_array_equal(layers["semantic"].data, semantic)
    assert layers["nuclei"].features["origin"].tolist() == ["painted", "painted"]
    assert controller.active.layer is layers["nuclei"]


def test_layers_lie_on_the_image(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    controller.viewer.add_image(np.zeros(SHAPE), scale=(0.5, 0.5), units=("µm", "µm"), name="mine")
    controller.viewer.add_labels(TWO_NUCLEI.labels, scale=(0.5, 0.5), units=("µm", "µm"))
    controller.adder.open_image()
    assert controller.image.name == "mine"
    for layer in controller.image.layers.values():
        np.testing.assert_allclose(layer.scale, (0.5, 0.5))
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    np.testing.assert_array_equal(controller.image.layers["labels"].data, TWO_NUCLEI.labels)
    np.testing.assert_array_equal(crashed(controller).now.labels, TWO_NUCLEI.labels)


def add_result(viewer, labels, image, **facts):
    """A Labels layer as a run on an image leaves it."""
    facts = {"image_id": str(image.unique_id), "image": image.name, **facts}
    return viewer.add_labels(labels, metadata={"napari-pffnet": facts})


@pytest.mark.parametrize("select", ["image", "labels"])
def test_each_image_that_is_open_is_added_with_the_nuclei_made_of_it(tmp_path, select):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    pairs = []
    for value in (1, 2, 3):
        image = viewer.add_image(np.full(SHAPE, value), name=f"image {value}")
        pairs.append((image, add_result(viewer, painted(paint(2, 2, value)), image)))
    for image, labels in pairs:
        viewer.layers.selection.active = image if select == "image" else labels
        controller.adder.open_image()
    assert [entry.name for entry in controller.project.manifest.images] == ["image 1", "image 2", "image 3"]
    for value in (1, 2, 3):
        assert set(np.unique(on_disk(controller, f"image {value}"))) == {0, value}
        assert (controller.project.read(f"image {value}")[0] == value).all()


def test_nuclei_of_unknown_origin_go_with_an_image_only_if_there_is_no_doubt(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    images = [viewer.add_image(np.full(SHAPE, i), name=name) for i, name in enumerate(("zero", "one", "two"))]
    zero, one, two = images
    viewer.add_image(np.zeros((9, 9)), name="small")
    drawn = viewer.add_labels(TWO_NUCLEI.labels)
    viewer.layers.selection = {one}
    controller.adder.open_image()
    assert "labels" not in controller.image.layers
    viewer.layers.selection = {drawn}
    controller.adder.open_image()
    assert controller.image.name == "two", "the topmost visible one of that size"
    np.testing.assert_array_equal(on_disk(controller, "two"), TWO_NUCLEI.labels)
    two.visible = one.visible = True
    viewer.layers.selection = {zero, drawn}
    controller.adder.open_image()
    assert controller.image.name == "zero"
    np.testing.assert_array_equal(on_disk(controller, "zero"), TWO_NUCLEI.labels)
    viewer.layers.selection = {one, drawn}
    controller.adder.open_image()
    assert "is in the project already, as 'one'" in status(controller)


def test_nuclei_of_unknown_origin_go_with_the_only_image_in_view(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    image = viewer.add_image(np.zeros(SHAPE), name="mine")
    viewer.add_image(np.zeros(SHAPE), name="hidden", visible=False)
    viewer.add_labels(TWO_NUCLEI.labels)
    viewer.layers.selection = {image}
    controller.adder.open_image()
    np.testing.assert_array_equal(on_disk(controller, "mine"), TWO_NUCLEI.labels)


def test_an_image_that_was_opened_again_is_known_by_its_name(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    closed = viewer.add_image(np.zeros(SHAPE), name="mine")
    labels = add_result(viewer, TWO_NUCLEI.labels, closed)
    viewer.layers.remove(closed)
    viewer.add_image(np.zeros(SHAPE), name="mine")
    viewer.add_image(np.zeros(SHAPE), name="another")
    viewer.layers.selection = {labels}
    controller.adder.open_image()
    assert controller.image.name == "mine"
    np.testing.assert_array_equal(on_disk(controller, "mine"), TWO_NUCLEI.labels)


def test_of_channels_and_stacks_the_plane_with_the_nuclei_is_added(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    values = np.arange(6).reshape(2, 3, 1, 1)
    image = viewer.add_image(np.broadcast_to(values, (2, 3, *SHAPE)).copy(), axis_labels=("c", "z", "y", "x"))
    labels = np.stack([painted(paint(2, 2, z + 1)) for z in range(3)])
    add_result(viewer, labels, image, position={"c": 1})
    viewer.dims.set_current_step(0, 0)
    viewer.dims.set_current_step(1, 2)
    controller.adder.open_image()
    name = controller.image.name
    assert status(controller).startswith(f"The slice c: 1, z: 2 of '{image.name}' is in the project; its other slices")
    assert (controller.project.read(name)[0] == values[1, 2, 0, 0]).all()
    assert set(np.unique(on_disk(controller, name))) == {0, 3}
    assert controller.image.annotation().rows[3]["area"] == (labels[2] == 3).sum()


@pytest.mark.parametrize("stacked", [False, True])
def test_an_open_image_stays_where_it_lies(tmp_path, stacked):
    controller = make()
    controller.new(str(tmp_path / "project"))
    turned = Affine(rotate=30).linear_matrix
    how = {
        "scale": (0.5, 0.25), "translate": (10, -20), "rotate": turned, "shear": [0.1],
        "units": ("nm", "nm"), "axis_labels": ("row", "col"),
    }  # fmt: skip
    if stacked:
        flat = how | {"shear": [0, 0, 0.1], "rotate": np.eye(3)}
        flat["rotate"][1:, 1:] = turned
        more = {"scale": 2, "translate": 5, "units": "nm", "axis_labels": "z"}
        how = flat | {name: (value, *how[name]) for name, value in more.items()}
    image = controller.viewer.add_image(np.zeros(((3,) if stacked else ()) + SHAPE), name="im", **how)
    corners = np.array([[0, 0], [0, 7], [9, 0]], float)
    place = image.data_to_world
    wanted = [np.asarray(place((0,) * stacked + tuple(corner)))[-2:] for corner in corners]
    controller.adder.open_image()
    controller.keeper.mark_area()
    shown = controller.image.layers
    assert {"image", "regions"} <= set(shown)
    controller.leave_project()
    controller.open(str(tmp_path / "project"))
    for layer in (*shown.values(), *controller.image.layers.values()):
        np.testing.assert_allclose([layer.data_to_world(corner) for corner in corners], wanted, atol=1e-9)
        assert layer.axis_labels == ("row", "col")
        assert [f"{unit:~}" for unit in layer.units] == ["nm", "nm"]
    name = "im z1" if stacked else "im"
    assert controller.project.read(name)[1] == pytest.approx({"X": 0.00025, "Y": 0.0005}, rel=1e-3)


def test_results_of_another_plane_are_not_taken(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    image = viewer.add_image(np.zeros((8, *SHAPE)), name="stack")
    layers = [add_result(viewer, painted(paint(2, 2, z))[None], image, position={"axis -3": z}) for z in (3, 5)]
    for layer, z in zip(layers, (3, 5), strict=True):
        layer.translate = (z, 0, 0)
    viewer.layers.selection = {image}
    viewer.dims.set_current_step(0, 3)
    controller.adder.open_image()
    assert set(np.unique(on_disk(controller, "stack slice3"))) == {0, 3}
    controller.keeper.leave()
    viewer.layers.selection = {layers[1]}
    viewer.dims.set_current_step(0, 6)
    controller.adder.open_image()
    assert "does not lie on the plane of 'stack' that is in view" in status(controller)


PLACED = {"scale": (0.5, 0.5), "translate": (10, 20)}


@pytest.mark.parametrize(
    ("image_at", "labels_at", "taken"),
    [
        (PLACED, PLACED, True),
        (PLACED, {}, True),
        ({}, {"scale": (0.5, 0.5)}, True),
        ({}, {"translate": (0, 9)}, False),
        ({}, {"scale": (0.5, 0.5), "translate": (0.25, 0.25)}, True),
        ({**PLACED, "units": "um"}, {"scale": (500, 500), "translate": (10_000, 20_000), "units": "nm"}, True),
        ({**PLACED, "units": "um"}, {**PLACED, "units": "nm"}, False),
        ({"scale": (0.65, 0.65)}, {"scale": (0.65002, 0.65002)}, True),
        (PLACED, {"scale": (0.5, 0.5), "translate": (10.1, 20.1)}, True),
        (PLACED, {"scale": (0.5, 0.5), "translate": (10, 23)}, False),
        (PLACED, {**PLACED, "rotate": 90}, False),
        (PLACED, {**PLACED, "scale": (0.25, 0.25)}, False),
    ],
)
def test_labels_that_lie_elsewhere_than_the_image_are_no_annotation_of_it(tmp_path, image_at, labels_at, taken):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    image = viewer.add_image(np.zeros(SHAPE), name="image", **image_at)
    layer = viewer.add_labels(TWO_NUCLEI.labels.copy(), name="theirs", **labels_at)
    viewer.layers.selection = {image, layer}
    controller.adder.open_image()
    assert [entry.name for entry in controller.project.manifest.images] == ["image"] * taken
    if taken:
        assert set(np.unique(on_disk(controller, "image"))) == set(np.unique(TWO_NUCLEI.labels))
    else:
        assert "'theirs' is not taken: 'image' has the size of these labels, but another" in status(controller)


def test_of_labels_that_cannot_be_edited_a_copy_is_asked_for(tmp_path):
    controller = opened(tmp_path)
    layer = controller.viewer.add_labels([TWO_NUCLEI.labels, TWO_NUCLEI.labels[::2, ::2]], name="pyramid")
    controller.viewer.layers.selection = {layer}
    controller.offers.use_layer()
    assert status(controller).startswith("'pyramid' has several resolutions: press 'Edit a copy'")


def test_labels_elsewhere_do_not_become_the_annotation_of_a_projects_image(tmp_path):
    controller = opened(tmp_path)
    layer = controller.viewer.add_labels(TWO_NUCLEI.labels.copy(), name="theirs", translate=(0, 30))
    assert "labels" not in controller.image.layers
    controller.viewer.layers.selection = {layer}
    controller.offers.use_layer()
    assert "'theirs' is not taken: 'a' has the size of these labels, but another" in status(controller)
    assert "labels" not in controller.image.layers
    layer.translate = (0, 0)
    controller.offers.use_layer()
    assert controller.image.layers["labels"] is layer


def test_all_slices_of_a_stack_are_added_each_with_its_nuclei(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    values = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1)
    how = {"axis_labels": ("t", "z", "y", "x"), "scale": (1, 2, 0.5, 0.5), "units": ("s", "um", "um", "um")}
    image = viewer.add_image(np.broadcast_to(values, (2, 3, *SHAPE)).copy(), name="im", **how)
    labels = np.stack([[painted(paint(2, 2, 3 * t + z + 1)) for z in range(3)] for t in range(2)])
    labels[1, 2] = -1
    layer = add_result(viewer, labels, image)
    layer.scale = how["scale"]
    viewer.dims.set_current_step(1, 1)
    controller.adder.open_stack()
    question = controller.view.ask.call_args.args[0]
    assert question.startswith("Add the 6 slices of 'im' to the project, 5 of them with nuclei?")
    entries = controller.project.manifest.images
    assert [entry.name for entry in entries] == [f"im t{t} z{z}" for t in range(2) for z in range(3)]
    assert {entry.state for entry in entries} == {"in work"}
    for i, entry in enumerate(entries):
        pixels, sizes = controller.project.read(entry.name)
        assert (pixels == i).all()
        assert sizes == pytest.approx({"Y": 0.5, "X": 0.5})
        assert set(np.unique(on_disk(controller, entry.name))) == ({0, i + 1} if i < 5 else {0})
    assert controller.image.name == "im t0 z0"
    assert controller.image.annotation().rows[1]["area"] == (labels[0, 0] == 1).sum()
    assert status(controller).startswith("6 slices of 'im' are images of the project; the stack")
    assert not image.visible
    assert not layer.visible
    assert viewer.dims.current_step[1] == 1, "what is in view has not moved"


def test_slices_without_nuclei_are_added_without(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    image = viewer.add_image(np.random.default_rng(0).random((3, *SHAPE)), name="im", axis_labels=("z", "y", "x"))
    layer = add_result(viewer, painted(paint(2, 2, 4))[None], image, position={"z": 1})
    layer.translate = (1, 0, 0)
    viewer.layers.selection = {layer}
    viewer.dims.set_current_step(0, 1)
    controller.adder.open_stack()
    assert "1 of them with nuclei" in controller.view.ask.call_args.args[0]
    assert {entry.name: entry.state for entry in controller.project.manifest.images} == {
        "im z0": "new",
        "im z1": "in work",
        "im z2": "new",
    }
    assert set(np.unique(on_disk(controller, "im z1"))) == {0, 4}


def test_of_results_made_slice_by_slice_each_goes_with_its_own(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    pixels = np.random.default_rng(0).random((2, 4, *SHAPE))
    image = viewer.add_image(pixels, name="im", axis_labels=("c", "z", "y", "x"))
    for z in (0, 2):
        layer = add_result(viewer, painted(paint(2, 2, z + 1))[None], image, position={"c": 0, "z": z})
        layer.translate = (z, 0, 0)
    flat = viewer.add_labels(painted(paint(20, 20, 9)), name="flat")
    viewer.layers.selection = {layer}
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 2)
    controller.adder.open_stack()
    names = [f"im z{z} c0" for z in range(4)]
    assert [entry.name for entry in controller.project.manifest.images] == names, "of the channel of the nuclei"
    assert [set(np.unique(on_disk(controller, name))) for name in names] == [{0, 1}, {0}, {0, 3}, {0}]
    assert flat.visible


def test_slices_that_are_there_already_are_named_and_the_others_added(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    viewer = controller.viewer
    viewer.add_image(np.random.default_rng(0).random((3, *SHAPE)), name="im", axis_labels=("z", "y", "x"))
    viewer.dims.set_current_step(0, 1)
    controller.adder.open_image()
    viewer.layers["im"].visible = True
    viewer.layers.selection = {viewer.layers["im"]}
    controller.adder.open_stack()
    assert [entry.name for entry in controller.project.manifest.images] == ["im z1", "im z0", "im z2"]
    assert "'im z1' is in the project already, as 'im z1'" in warning(controller)
    assert status(controller) == "Added 2 images, 1 left out."


def test_a_stack_is_added_only_if_it_is_one_and_wanted(tmp_path):
    controller = make()
    controller.new(str(tmp_path / "project"))
    controller.adder.open_stack()
    assert status(controller) == "Open an image in napari first; or add files."
    flat = controller.viewer.add_image(np.zeros(SHAPE), name="flat")
    controller.adder.open_stack()
    assert status(controller) == "'flat' has one slice only; add it as an image."
    controller.viewer.layers.remove(flat)
    controller.viewer.add_image(np.zeros((5, *SHAPE)), name="im")
    controller.view.ask.return_value = False
    controller.adder.open_stack()
    assert controller.project.manifest.images == ()


def test_results_of_another_image_are_not_taken_and_only_offered_with_a_question(tmp_path):
    controller = opened(tmp_path)
    other = controller.viewer.add_image(np.zeros(SHAPE), name="other")
    result = add_result(controller.viewer, TWO_NUCLEI.labels, other)
    assert "labels" not in controller.image.layers
    controller.viewer.layers.selection.active = result
    controller.view.ask.return_value = False
    controller.offers.use_layer()
    assert "made of another image than 'a'" in controller.view.ask.call_args.args[0]
    assert "labels" not in controller.image.layers
    controller.view.ask.return_value = True
    controller.offers.use_layer()
    np.testing.assert_array_equal(on_disk(controller, "a"), TWO_NUCLEI.labels)


def test_every_edit_undo_and_redo_is_on_the_disk_at_once(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    layer, rows = controller.image.layers["labels"], controller.active.rows

    def edit():
        change = delete(layer.data, [1])
        layer.data_setitem(change.indices, change.values)

    def brush():
        with layer.block_history():
            layer.paint((40, 40), 7)
            layer.paint((40, 44), 7)

    for step in (edit, brush, rows.undo, rows.undo, rows.redo, lambda: rows.set_state([2], ACCEPTED)):
        step()
        now = crashed(controller).now
        np.testing.assert_array_equal(now.labels, layer.data)
        assert list(now.rows) == layer.features["index"].tolist()
        assert [row["state"] for row in now.rows.values()] == layer.features["state"].tolist()
    assert controller.project.entry("a").state == "in work"


def test_edits_of_a_layer_that_is_not_selected_are_kept(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    controller.viewer.layers.selection.clear()
    layer = controller.image.layers["labels"]
    layer.fill((3, 3), 9)
    np.testing.assert_array_equal(crashed(controller).now.labels, layer.data)


def test_edits_of_the_semantic_map_are_kept_too(tmp_path):
    controller = opened(tmp_path, Annotation(TWO_NUCLEI.labels, np.zeros(SHAPE, np.uint8)))
    semantic = controller.image.layers["semantic"]
    controller.viewer.layers.selection.active = semantic
    semantic.visible = True  # older napari fills no layer that it does not show
    semantic.fill((0, 0), 255)
    assert (crashed(controller).now.semantic == 255).all()
    np.testing.assert_array_equal(crashed(controller).now.labels, TWO_NUCLEI.labels)


def test_switching_saves_and_comes_back(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    controller.image.layers["labels"].fill((3, 3), 9)
    after = controller.image.layers["labels"].data.copy()
    controller.next()
    assert (controller.image.name, names(controller)) == ("b", {"b", "complete here"})
    assert status(controller) == NO_NUCLEI
    np.testing.assert_array_equal(tifffile.imread(controller.project.folder / "labels" / "a.tif"), after)
    table = (controller.project.folder / "provenance" / "a.csv").read_text()
    assert table.splitlines()[-1].startswith("9,painted,new,1,")
    controller.open_image("a")
    np.testing.assert_array_equal(controller.image.layers["labels"].data, after)
    assert not controller.view.ask.called


@pytest.mark.parametrize("wanted", [True, False])
def test_work_of_a_crash_is_offered(tmp_path, wanted):
    made = project(tmp_path)
    work = made.work("a", SHAPE)
    work.record(paint(2, 2, 1))
    work.close()
    made.close()
    controller = make()
    controller.view.ask.return_value = wanted
    controller.open(str(made.folder))
    assert "Restore 1 edit made since" in controller.view.ask.call_args.args[0]
    if wanted:
        np.testing.assert_array_equal(controller.image.layers["labels"].data, painted(paint(2, 2, 1)))
    else:
        assert "labels" not in controller.image.layers
        [kept] = (made.folder / "labels").glob("a.recovered-*.tif")
        np.testing.assert_array_equal(tifffile.imread(kept), painted(paint(2, 2, 1)))
    controller.leave_project()
    controller.open(str(made.folder))
    assert controller.view.ask.call_count == 1


def test_first_result_becomes_the_annotation_and_a_later_one_is_offered(tmp_path):
    controller = opened(tmp_path)
    first = controller.viewer.add_labels(TWO_NUCLEI.labels.copy(), name="nuclei")
    first.fill((3, 3), 5)
    np.testing.assert_array_equal(crashed(controller).now.labels, first.data)
    shown = {"metadata": {"napari-pffnet": {"content": "candidates"}}}
    controller.viewer.add_labels(TWO_NUCLEI.labels.copy(), **shown)
    assert status(controller) == ""
    second = controller.viewer.add_labels(TWO_NUCLEI.labels.copy(), name="nuclei [1]")
    assert status(controller) == NOT_TAKEN
    assert controller.image.layers["labels"] is first
    controller.offers.use_layer()
    assert first not in controller.viewer.layers
    np.testing.assert_array_equal(crashed(controller).now.labels, second.data)
    controller.viewer.add_labels(np.ones((3, 3), int))
    controller.offers.use_layer()
    assert status(controller) == "Select a Labels layer of the image's size first."


def test_new_thresholds_are_kept(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    layer = controller.image.layers["labels"]
    layer.data = painted(paint(30, 30, 3))
    layer.fill((31, 31), 4)
    np.testing.assert_array_equal(crashed(controller).now.labels, painted(paint(30, 30, 4)))
    assert list(crashed(controller).now.rows) == [4]
    layer.data = painted(paint(10, 30, 3))
    controller.next()
    controller.open_image("a")
    np.testing.assert_array_equal(controller.image.layers["labels"].data, layer.data)


def test_areas_are_drawn_and_come_back(tmp_path):
    controller = opened(tmp_path)
    controller.keeper.mark_area()
    layer = controller.viewer.layers["complete here"]
    assert layer.mode == "add_rectangle"
    layer.add_rectangles(np.array([[0, 0], [0, 9], [9, 9], [9, 0]]))
    layer.add_polygons(np.array([[20, 20], [20, 29], [29, 29]]))
    layer.add_lines(np.array([[0, 0], [9, 9]]))
    assert status(controller).startswith("Marked as complete.")
    areas = controller.project.regions("a").areas
    assert [area.kind for area in areas] == ["rectangle", "polygon"]
    assert areas[1].corners == ((20, 20), (20, 29), (29, 29))
    controller.open_image("b")
    controller.open_image("a")
    assert controller.viewer.layers["complete here"].shape_type == ["rectangle", "polygon"]
    controller.viewer.layers.remove("complete here")
    controller.keeper.mark_area()
    layer = controller.viewer.layers["complete here"]
    layer.selected_data = {0}
    layer.remove_selected()
    assert [area.kind for area in controller.project.regions("a").areas] == ["polygon"]


def test_an_area_that_is_drawn_counts_instead_of_the_whole_image(tmp_path):
    controller = opened(tmp_path)
    controller.toggle_done()
    controller.toggle_done()
    assert controller.project.regions("a") == Regions(whole=True)
    controller.keeper.mark_area()
    layer = controller.viewer.layers["complete here"]
    layer.add_rectangles(np.array([[0, 0], [0, 9], [9, 9], [9, 0]]))
    assert status(controller).startswith("Only what is drawn counts as complete")
    assert not controller.project.regions("a").whole
    assert controller.view.set_image.call_args.args == (False, False)
    layer.selected_data = {0}
    layer.remove_selected()
    assert controller.project.regions("a") == Regions(whole=True)
    assert status(controller).startswith("Nothing is drawn any more: the whole image counts")
    controller.keeper.set_whole(False)
    layer.add_rectangles(np.array([[0, 0], [0, 9], [9, 9], [9, 0]]))
    layer.selected_data = {0}
    layer.remove_selected()
    assert controller.project.regions("a") == Regions(), "what was not whole before is not after"


def test_whole_image_and_done(tmp_path):
    controller = opened(tmp_path, names=("a", "b"))
    controller.keeper.set_whole(True)
    assert controller.project.regions("a").whole
    controller.keeper.set_whole(False)
    controller.toggle_done()
    assert controller.project.regions("a") == Regions(whole=True)
    assert controller.view.set_image.call_args.args == (True, True)
    controller.toggle_done()
    assert controller.project.entry("a").state == "in work"
    controller.toggle_done()
    controller.next()
    controller.project.write_regions("b", Regions(areas=(Area(corners=((0, 0), (0, 5), (5, 5))),)))
    controller.open_image("a")
    controller.open_image("b")
    controller.toggle_done()
    assert not controller.project.regions("b").whole
    controller.next()
    assert status(controller) == ALL_DONE


def test_save_as_goes_on_in_the_copy(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    old = controller.project.folder
    controller.save_as(str(tmp_path / "copy"))
    layer = controller.image.layers["labels"]
    layer.fill((3, 3), 8)
    assert controller.project.folder == tmp_path / "copy"
    np.testing.assert_array_equal(crashed(controller).now.labels, layer.data)
    np.testing.assert_array_equal(tifffile.imread(old / "labels" / "a.tif"), TWO_NUCLEI.labels)
    Project.open(old).close()


def test_opened_twice_asks_and_the_first_one_stops_saving(tmp_path):
    first = opened(tmp_path, TWO_NUCLEI)
    second = make()
    second.view.ask.return_value = False
    second.open(str(first.project.folder))
    assert second.project is None
    assert "is open already" in second.view.ask.call_args.args[0]
    second.view.ask.return_value = True
    second.open(str(first.project.folder))
    first.image.layers["labels"].fill((3, 3), 8)
    assert "taken over by another program" in warning(first)
    second.image.layers["labels"].fill((21, 21), 9)
    assert crashed(second).now.labels.max() == 9


def test_what_cannot_be_saved_is_told_once_and_stays_open(tmp_path, monkeypatch):
    controller = opened(tmp_path, TWO_NUCLEI)
    layer = controller.image.layers["labels"]

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        layer.fill((3, 3), 8)
        layer.fill((3, 3), 9)
        controller.view.ask.return_value = False
        controller.next()
        assert "'a' could not be saved" in controller.view.ask.call_args.args[0]
        for removed in ("image", "labels"):
            controller.viewer.layers.remove(controller.image.layers[removed])
            assert status(controller).startswith("Not saved"), "it is neither saved nor closed"
    assert controller.view.warn.call_count == 1
    assert "make room" in warning(controller)
    assert controller.image.name == "a"
    controller.view.ask.return_value = True
    controller.open_image("a")
    layers = controller.image.layers
    assert layers["labels"].data.max() == 9, "what was removed comes back as it was"
    assert next(iter(controller.viewer.layers)) is layers["image"], "under the nuclei"
    controller.viewer.layers.selection.active = layers["image"]
    controller.open_image("a")
    assert controller.viewer.layers.selection.active is layers["image"], "nothing happens if nothing is missing"
    controller.next()
    assert controller.image.name == "b"
    assert tifffile.imread(controller.project.folder / "labels" / "a.tif").max() == 9


def test_missing_image_is_told_and_the_next_one_opens(tmp_path):
    made = project(tmp_path)
    made.close()
    (made.folder / "images" / "a.tif").unlink()
    controller = make()
    controller.open(str(made.folder))
    assert "image 'a' is not at" in warning(controller)
    assert controller.image is None
    controller.open_image("b")
    assert names(controller) == {"b", "complete here"}
    for refused in (controller.open, controller.new):
        refused(str(tmp_path))
        assert controller.project is not None, "the project stays open until there is another one"
        assert names(controller) == {"b", "complete here"}
    assert "is not empty" in warning(controller)
    controller.open(str(tmp_path / "nowhere"))
    assert "no project here" in warning(controller)


def test_next_goes_past_an_image_that_cannot_be_opened(tmp_path):
    made = project(tmp_path)
    made.close()
    (made.folder / "images" / "b.tif").unlink()
    controller = make()
    controller.open(str(made.folder))
    controller.next()
    assert controller.image is None
    controller.next()
    assert controller.image.name == "c"
    controller.toggle_done()
    controller.open_image("a")
    controller.toggle_done()
    controller.project.set_state("b", "done")
    controller.toggle_done()
    controller.next()
    assert status(controller) == LAST_ONE
    controller.toggle_done()
    controller.next()
    assert status(controller) == ALL_DONE


def test_saved_nuclei_whose_layer_was_removed_are_not_replaced_unasked(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    viewer = controller.viewer
    viewer.layers.remove(controller.image.layers["labels"])
    controller.view.ask.return_value = False
    result = add_result(viewer, painted(paint(30, 30, 7)), controller.image.layers["image"])
    assert "the project keeps them" in controller.view.ask.call_args.args[0]
    assert controller.image.layers["labels"] is not result
    np.testing.assert_array_equal(controller.image.layers["labels"].data, TWO_NUCLEI.labels)
    viewer.layers.selection.active = viewer.add_labels(painted(paint(30, 30, 7)), name="plain")
    viewer.layers.remove(controller.image.layers["labels"])
    controller.offers.use_layer()
    assert controller.image.layers.get("labels") is None, "the kept nuclei are not replaced unasked"
    controller.view.ask.return_value = True
    other = add_result(viewer, painted(paint(30, 30, 7)), controller.image.layers["image"])
    assert controller.image.layers["labels"] is other


def test_save_as_of_a_project_that_is_gone_saves_what_is_in_view(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    shutil.rmtree(controller.project.folder)
    controller.image.layers["labels"].fill((3, 3), 9)
    assert status(controller).startswith("Not saved")
    controller.image.regions = Regions(whole=True)
    controller.save_as(str(tmp_path / "copy"))
    assert controller.project.folder == tmp_path / "copy"
    assert "is gone or damaged" in warning(controller)
    assert "but replace none" in warning(controller)
    assert controller.project.regions("a") == Regions(whole=True)
    assert [entry.name for entry in controller.project.manifest.images] == ["a", "b", "c"]
    assert on_disk(controller, "a").max() == 9


def test_files_changed_outside_are_told_at_the_next_edit(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    file = controller.project.folder / "labels" / "a.tif"
    tifffile.imwrite(file, painted(paint(30, 30, 7)).astype(np.uint16))
    layer = controller.image.layers["labels"]
    layer.fill((3, 3), 8)
    layer.fill((3, 3), 9)
    assert controller.view.warn.call_count == 1
    assert f"{file} was changed outside of napari" in warning(controller)
    controller.next()
    [kept] = file.parent.glob("a.outside-*.tif")
    assert tifffile.imread(kept).max() == 7
    assert tifffile.imread(file).max() == 9


def test_removed_layers_are_saved(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    layer = controller.image.layers["labels"]
    layer.fill((3, 3), 8)
    controller.viewer.layers.remove(layer)
    assert tifffile.imread(controller.project.folder / "labels" / "a.tif").max() == 8
    controller.next()
    controller.open_image("a")
    assert controller.image.layers["labels"].data.max() == 8
    controller.viewer.layers.remove("a")
    assert controller.image is None
    assert status(controller) == "'a' is saved and closed."


def test_folder_dragged_into_napari_opens_the_project(tmp_path):
    opened(tmp_path, TWO_NUCLEI).close()
    folder = str(tmp_path / "project")
    assert get_reader(str(tmp_path)) is None
    assert get_reader([folder]) is None
    controller = make()
    for data, arguments, kind in get_reader(folder)(folder):
        getattr(controller.viewer, f"add_{kind}")(data, **arguments)
    assert controller.project.name == "project"
    assert len(controller.viewer.layers) == 3
    layer = controller.viewer.layers["nuclei"]
    layer.fill((3, 3), 8)
    np.testing.assert_array_equal(crashed(controller).now.labels, layer.data)
    for data, arguments, kind in get_reader(folder)(folder):
        getattr(controller.viewer, f"add_{kind}")(data, **arguments)
    assert "is open already; the layers just opened are copies" in warning(controller)
    for copied in controller.viewer.layers[3:]:
        controller.viewer.layers.remove(copied)
    controller.close()
    layer.fill((21, 21), 9)
    late = make(controller.viewer)
    assert late.project.name == "project"
    assert late.image.layers["labels"] is layer
    late.keeper.save()
    np.testing.assert_array_equal(crashed(late).now.labels, layer.data)


def test_a_project_dropped_onto_the_list_is_opened(tmp_path):
    project(tmp_path / "one").close()
    controller = opened(tmp_path / "two", names=("a", "b"))
    controller.add([str(tmp_path / "one" / "project")])
    assert len(controller.project.manifest.images) == 3
    controller.add([str(tmp_path / "two" / "project" / "project.json")])
    assert len(controller.project.manifest.images) == 2


def test_what_the_model_found_is_kept_and_measured_once_the_image_is_done(tmp_path):
    controller = opened(tmp_path)
    labels = np.kron(np.arange(1, 41).reshape(4, 10), np.pad(np.ones((2, 2), int), 1))
    found = np.zeros(SHAPE, np.int32)
    found[: labels.shape[0], : labels.shape[1]] = labels[: SHAPE[0], : SHAPE[1]]
    ids = np.unique(found[found > 0])
    rows = {"index": ids, "mask_score": np.full(len(ids), 0.8), "state": ""}
    layer = controller.keeper.viewer.add_labels(found, features=rows)
    controller.keeper.viewer.layers.selection.active = layer
    layer.data_setitem(np.nonzero(found == 1), 0)
    controller.toggle_done()
    pairs = project_pairs(controller.project.folder)
    assert len(pairs.predicted) >= len(ids) - 1  # the nucleus of the very first edit may be missing
    assert set(pairs.predicted) == {0.8}
    assert controller.calibration().apply([0.8])[0] > 0.8
    controller.close()


def test_an_image_that_is_done_without_a_nucleus_is_said(tmp_path):
    controller = opened(tmp_path)
    controller.toggle_done()
    assert status(controller) == "Done, without a nucleus. It counts as complete as a whole."


def beside(controller, labels=TWO_NUCLEI.labels):
    """A result of the image in view that the project does not take, since it has nuclei already."""
    return add_result(controller.viewer, labels.copy(), controller.image.layers["image"])


def test_results_beside_the_annotation_are_not_forgotten(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI, names=("a", "b"))
    result = beside(controller)
    assert f"'{result.name}' is not saved" in warning(controller)
    controller.view.ask.return_value = False
    controller.toggle_done()
    assert f"'{result.name}' lies on 'a', but is not in the project" in controller.view.ask.call_args.args[0]
    assert controller.project.entry("a").state != "done"
    controller.next()
    assert controller.image.name == "a"
    controller.view.ask.return_value = True
    controller.next()
    assert controller.image.name == "b"
    assert not result.visible


def test_done_is_what_is_seen(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    mine = controller.image.layers["labels"]
    result, mine.visible = beside(controller), False
    controller.toggle_done()
    assert (mine.visible, result.visible) == (True, False)


def test_corrections_give_way_only_after_a_question(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    mine = controller.image.layers["labels"]
    mine.fill((3, 3), 8)
    beside(controller, painted(paint(30, 30, 3)))
    controller.view.ask.return_value = False
    controller.offers.use_layer()
    assert "takes the place of 'nuclei' and of all that you have" in controller.view.ask.call_args.args[0]
    assert controller.image.layers["labels"] is mine
    controller.view.ask.return_value = True
    controller.offers.use_layer()
    assert set(np.unique(on_disk(controller, "a"))) == {0, 3}


def test_a_panel_opened_again_goes_on_with_the_image_in_view(tmp_path):
    controller = opened(tmp_path, names=("a", "b"))
    controller.open_image("b")
    viewer = controller.viewer
    add_result(viewer, TWO_NUCLEI.labels.copy(), controller.image.layers["image"])
    before = list(viewer.layers)
    controller.close()
    controller.active.close()
    again = make(viewer)
    assert again.image.name == "b"
    assert set(viewer.layers) == set(before)
    again.viewer.layers.selection.active = again.image.layers["labels"]
    again.image.layers["labels"].fill((3, 3), 8)
    assert crashed(again).now.labels.max() == 8


def test_a_copy_of_the_annotation_is_no_annotation(tmp_path):
    controller = opened(tmp_path, names=("a", "b"))
    viewer = controller.viewer
    mine = add_result(viewer, TWO_NUCLEI.labels.copy(), controller.image.layers["image"])
    copy = viewer.add_layer(Labels(mine.data.copy(), metadata=deepcopy(mine.metadata), name="copy"))
    assert "'copy' is not saved" in warning(controller)
    viewer.layers.selection.active = mine
    mine.fill((3, 3), 8)
    controller.open_image("b")
    controller.open_image("a")
    assert controller.image.layers["labels"] is not copy
    assert 8 in on_disk(controller, "a")
    assert 8 in controller.image.layers["labels"].data


def test_who_stays_sees_where_he_is(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI, names=("a", "b"))
    beside(controller)
    controller.view.ask.return_value = False
    controller.view.set_images.reset_mock()
    controller.open_image("b")
    assert controller.view.set_images.call_args.args[1] == "a"
    controller.open(str(tmp_path / "elsewhere"))
    assert controller.image.name == "a"


def test_new_images_are_segmented_when_they_open_if_that_is_wanted(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    wanting = []
    controller.wanting_nuclei.connect(wanting.append)
    controller.view.segments_new.return_value = False
    controller.open_image("b")
    controller.view.segments_new.return_value = True
    controller.open_image("a")
    assert not wanting, "it has nuclei"
    controller.open_image("c")
    assert [layer.name for layer in wanting] == ["c"]
    controller.toggle_done()
    controller.open_image("a")
    controller.open_image("c")
    assert len(wanting) == 1, "it is done, without a nucleus"
    controller.open_image("b")
    assert [layer.name for layer in wanting] == ["c", "b"]
    controller.view.segmenting_chosen.connect.assert_called_once()
    controller.view.segmenting_chosen.connect.call_args.args[0]()
    controller.open_image("b")
    assert [layer.name for layer in wanting] == ["c", "b", "b", "b"], "also of the image that is open already"


def test_done_and_next_in_one(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    controller.done_and_next()
    assert controller.image.name == "b"
    assert controller.project.entry("a").state == "done"
    controller.open_image("a")
    controller.done_and_next()
    assert controller.project.entry("a").state == "done"
    assert controller.image.name == "b"


def test_areas_that_could_not_be_written_are_written_later(tmp_path, monkeypatch):
    controller = opened(tmp_path, TWO_NUCLEI)
    full = Mock(side_effect=OSError(28, "No space left on device"))
    with monkeypatch.context() as disk:
        disk.setattr(Project, "write_regions", full)
        controller.keeper.mark_area()
        controller.image.layers["regions"].add_rectangles([[1, 1], [1, 30], [30, 30], [30, 1]])
        assert "No space left" in status(controller)
    controller.toggle_done()
    regions = controller.project.regions("a")
    assert not regions.whole, "what is drawn counts, not the whole image"
    assert len(regions.areas) == 1
    assert controller.project.entry("a").state == "done"


def test_another_project_dragged_into_napari_opens(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    other = project(tmp_path / "other", ("x", "y"))
    other.close()
    for data, arguments, kind in get_reader(str(other.folder))(str(other.folder)):
        controller.viewer._add_layer_from_data(data, arguments, kind)
    assert controller.project.folder == other.folder
    assert controller.image.name == "x"
    assert [type(layer).__name__ for layer in controller.viewer.layers] == ["Image", "Shapes"]


def test_of_a_project_that_cannot_be_written_nothing_painted_is_lost_unasked(tmp_path, monkeypatch):
    controller = opened(tmp_path)
    monkeypatch.setattr(Project, "readonly", True)
    controller.next()
    assert controller.image.name == "b", "nothing was painted"
    controller.view.ask.side_effect = [False, True]
    controller.viewer.add_labels(np.zeros(SHAPE, int), name="nuclei").fill((3, 3), 5)
    controller.next()
    assert controller.image.name == "b"
    assert "could not be saved" in controller.view.ask.call_args.args[0]
    controller.next()
    assert controller.image.name == "c"
    controller.next()
    assert controller.view.ask.call_count == 2


def test_a_project_folder_that_is_gone_is_called_so(tmp_path):
    controller = opened(tmp_path, TWO_NUCLEI)
    moved = controller.project.folder.rename(tmp_path / "moved")
    mine = controller.image.layers["labels"]
    mine.fill((3, 3), 8)
    assert "is gone; put the folder back" in status(controller)
    moved.rename(controller.project.folder)
    mine.fill((3, 3), 9)
    assert status(controller) == "All is saved again."
    np.testing.assert_array_equal(crashed(controller).now.labels, mine.data)


def test_an_image_without_a_nucleus_is_not_done_by_a_key_alone(tmp_path):
    controller = opened(tmp_path)
    controller.view.ask.return_value = False
    controller.done_and_next()
    assert "No nucleus is annotated in 'a'" in controller.view.ask.call_args.args[0]
    assert (controller.image.name, controller.project.entry("a").state) == ("a", "new")
    controller.view.ask.return_value = True
    controller.done_and_next()
    assert (controller.image.name, controller.project.entry("a").state) == ("b", "done")


def test_keys_wait_while_a_project_is_copied(tmp_path):
    jobs = []
    controller = opened(tmp_path, TWO_NUCLEI)
    controller.background = lambda *args, **kwargs: jobs.append((args, kwargs))
    controller.save_as(str(tmp_path / "copy"))
    for key in (controller.next, controller.done_and_next):
        key()
        assert controller.image.name == "a"
    args, kwargs = jobs.pop()
    at_once(*args, **kwargs)
    controller.next()
    assert controller.image.name == "b"
