"""The tools for nuclei and classes, used as on the screen."""

from unittest.mock import Mock

import numpy as np
import pytest
from correct_fakes import make, mouse, point, press, status, waiting
from napari.layers import Image, Labels

from label_planes import INTEGERS, TURNED, ids, squares
from napari_pffnet._qt.correct.tools import Later, Tool, ToolEdit
from napari_pffnet._qt.layers.image_under import grey_under
from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet.curate.change import OperationError
from napari_pffnet.curate.operations import delete
from napari_pffnet.readers import FOREGROUND_COLOUR, IGNORE_COLOUR, semantic_look

SEMANTIC = {"metadata": {"napari-pffnet": {"content": "semantic"}}}
LEFT_AND_MIDDLE = [(0, 0), (0, 15), (9, 15), (9, 0)]
FREE_CORNER = [(11, 1), (11, 6), (17, 6), (17, 1)]


def lasso(controller, name, corners):
    if waiting(controller) != name:
        controller.choose(name)
    mouse(controller, *corners)


def check_undo(controller, before):
    """Undo and redo are exact."""
    layer = controller.active.layer
    after = layer.data.copy()
    assert np.any(after != before)
    assert after.dtype == before.dtype
    controller.undo()
    np.testing.assert_array_equal(layer.data, before)
    controller.redo()
    np.testing.assert_array_equal(layer.data, after)


@pytest.mark.parametrize("arguments", [{}, TURNED])
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    ("tool", "corners", "left"),
    [("delete", LEFT_AND_MIDDLE, {5}), ("merge", LEFT_AND_MIDDLE, {1, 5}), ("outline", FREE_CORNER, {1, 2, 5, 6})],
)
def test_outline_drawn_by_hand(arguments, dtype, tool, corners, left):
    layer = Labels(squares(dtype), **arguments)
    controller = make(layer)
    lasso(controller, tool, corners)
    assert ids(layer) == left
    check_undo(controller, squares(dtype))


def test_lasso_takes_nuclei_that_lie_mostly_inside():
    controller = make(Labels(squares()))
    lasso(controller, "delete", [(0, 0), (0, 10), (9, 10), (9, 0)])
    assert status(controller) == "1 nucleus deleted."
    lasso(controller, "delete", FREE_CORNER)
    assert status(controller).startswith("No nucleus lies mostly inside")
    lasso(controller, "merge", [(9, 9), (9, 17), (17, 17), (17, 9)])
    assert "merging needs two nuclei" in status(controller)


def test_lasso_does_not_go_on_with_nuclei_clicked_before():
    controller = make(Labels(squares()))
    press(controller, "merge", 13, 14)
    lasso(controller, "merge", LEFT_AND_MIDDLE)
    mouse(controller, (4, 4))
    assert "now click those" in status(controller)
    assert ids(controller.active.layer) == {1, 5}


def test_a_new_nucleus_is_what_the_brush_paints():
    layer = Labels(squares())
    controller = make(layer)
    lasso(controller, "outline", FREE_CORNER)
    assert layer.selected_label == 6
    press(controller, "grow", 4, 4)
    assert layer.selected_label == 6


def test_a_key_that_misses_changes_no_mode():
    controller = make(Labels(squares()))
    press(controller, "delete", 0, 0)
    assert status(controller) == "No nucleus there."
    assert waiting(controller) is None
    controller.choose("delete")
    press(controller, "delete", 0, 0)
    assert waiting(controller) == "delete", "one that waits goes on waiting"
    press(controller, "delete", 4, 4)
    mouse(controller, (4, 10))
    assert ids(controller.active.layer) == {5}


def test_with_shift_an_outline_takes_the_pixels_of_its_neighbours():
    controller = make(Labels(squares()))
    controller.choose("outline")
    mouse(controller, *LEFT_AND_MIDDLE)
    assert {1, 2} <= ids(controller.active.layer)
    controller.undo()
    mouse(controller, *LEFT_AND_MIDDLE, modifiers=("Shift",))
    assert ids(controller.active.layer) == {5, 6}


def test_merge_into_a_nucleus_that_is_gone_begins_anew():
    controller = make(Labels(squares()))
    press(controller, "merge", 4, 4)
    mouse(controller, (4, 10))
    controller.undo()
    press(controller, "delete", 4, 4)
    mouse(controller, (4, 10))
    assert status(controller).startswith("Nucleus 2: now click")


def test_merge_joins_a_nucleus_to_one_of_another_plane():
    stack = np.stack([squares(), squares()])
    stack[1][stack[1] == 1] = 9
    controller = make(Labels(stack))
    press(controller, "merge", 4, 4)
    controller.viewer.dims.set_current_step(0, 1)
    mouse(controller, (4, 4))
    assert status(controller) == "Nucleus 9 merged into 1 on all planes."
    np.testing.assert_array_equal(controller.active.layer.data, np.stack([squares(), squares()]))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_nucleus_of_another_plane_is_joined_with_all_its_planes(order):
    """The axis of the stack may be any."""
    stack = np.stack([squares()] * 5)
    stack[2:][stack[2:] == 1] = 9
    stack[4][stack[4] == 2] = 1  # both are there
    layer = Labels(np.moveaxis(stack, (0, 1, 2), order).copy())
    controller = make(layer)
    controller.viewer.dims.order = order

    def at(plane, row, column):
        place = [0, 0, 0]
        for axis, value in zip(order, (plane, row, column), strict=True):
            place[axis] = value
        return tuple(place)

    controller.viewer.dims.set_current_step(order[0], 0)
    press(controller, "merge", *at(0, 4, 4))
    controller.viewer.dims.set_current_step(order[0], 2)
    before = layer.data.copy()
    mouse(controller, at(2, 4, 4))
    assert status(controller) == "Nucleus 9 merged into 1 on all planes; where both are (1 plane), they stay two."
    expected = stack.copy()
    expected[2:4][expected[2:4] == 9] = 1
    np.testing.assert_array_equal(np.moveaxis(layer.data, order, (0, 1, 2)), expected)
    check_undo(controller, before)


@pytest.mark.parametrize("kind", ["click", "lasso"])
def test_with_shift_a_nucleus_is_deleted_on_all_planes(kind):
    stack = np.stack([squares()] * 3)
    controller = make(Labels(stack.copy()))
    places = [(4, 4)] if kind == "click" else LEFT_AND_MIDDLE
    gone = {1} if kind == "click" else {1, 2}
    controller.choose("delete")
    mouse(controller, *((1, *place) for place in places), modifiers=("Shift",))
    assert ids(controller.active.layer) == {1, 2, 5} - gone
    assert status(controller) == ("Nucleus 1" if kind == "click" else "2 nuclei") + " deleted on all planes."
    check_undo(controller, stack)


def test_where_planes_are_not_linked_shift_deletes_on_the_plane_in_view():
    stack = np.stack([squares(), squares() + 10 * (squares() > 0), np.roll(squares(), 10, 0)])
    stack[1][stack[1] == 11] = 1
    stack[0] = 0
    controller = make(Labels(stack.copy()))
    controller.choose("delete")
    mouse(controller, (1, 4, 4), modifiers=("Shift",))
    assert status(controller) == "Nucleus 1 deleted on this plane."
    assert (controller.active.layer.data[2] == 1).sum() == 36


def test_parts_of_a_nucleus_that_is_split_on_each_plane_go_on():
    fused = np.zeros((4, 20, 24), np.int32)
    fused[:, 4:14, 2:20] = 7
    fused[:, 16:19, 2:8] = 3
    controller = make(Labels(fused))
    dims = controller.viewer.dims
    controller.choose("split")
    for plane in (1, 2, 0, 3):
        dims.set_current_step(0, plane)
        mouse(controller, (plane, 2, 11), (plane, 8, 11), (plane, 15, 11))
    data = controller.active.layer.data
    for plane in range(4):
        assert np.unique(data[plane]).tolist() == [0, 3, 7, 8]
        np.testing.assert_array_equal(data[plane], data[1])


def test_a_line_through_several_nuclei_renames_only_those_that_go_on():
    planes = np.zeros((2, 20, 60), np.int32)
    planes[0, 4:14, 2:10], planes[0, 4:14, 10:20] = 7, 8
    planes[0, 16:19, 2:8] = planes[1, 16:19, 2:8] = 6
    planes[1, 4:14, 2:20], planes[1, 4:14, 22:40], planes[1, 4:14, 42:58] = 1, 2, 3
    controller = make(Labels(planes))
    controller.viewer.dims.set_current_step(0, 1)
    controller.choose("split")
    mouse(controller, (1, 9, 0), (1, 9, 30), (1, 9, 59))
    data = controller.active.layer.data[1]
    parts = [np.unique(data[4:14, columns]).tolist() for columns in (slice(2, 20), slice(22, 40), slice(42, 58))]
    assert 2 in parts[1]
    assert 3 in parts[2]
    assert len({*parts[0], *parts[1], *parts[2]}) == 6
    assert 1 not in parts[1] + parts[2]


def test_parts_do_not_get_the_id_of_another_nucleus_of_the_plane():
    planes = np.zeros((2, 20, 40), np.int32)
    planes[0, 4:14, 2:10], planes[0, 4:14, 10:20] = 7, 8
    planes[:, 16:19, 2:8] = 6
    planes[1, 4:14, 2:20], planes[1, 4:14, 30:38] = 1, 8
    controller = make(Labels(planes))
    controller.viewer.dims.set_current_step(0, 1)
    controller.choose("split")
    mouse(controller, (1, 2, 10), (1, 8, 10), (1, 15, 10))
    data = controller.active.layer.data[1]
    parts = np.unique(data[4:14, 2:20]).tolist()
    assert 7 in parts
    assert 8 not in parts
    assert (data == 8).sum() == 80


def test_merging_across_planes_that_are_not_linked_changes_the_plane_in_view():
    stack = np.stack([squares()] * 3)
    stack[1][stack[1] > 0] += 20
    stack[0][stack[0] > 0] += 40
    stack[2][stack[2] == 1] = 22  # another nucleus of that number
    stack[2][stack[2] == 2] = 0
    stack[2] = np.roll(stack[2], 10, 0)
    controller = make(Labels(stack.copy()))
    controller.viewer.dims.set_current_step(0, 0)
    press(controller, "merge", 0, 4, 4)
    controller.viewer.dims.set_current_step(0, 1)
    mouse(controller, (1, 4, 10))
    expected = stack.copy()
    expected[1][expected[1] == 22] = 41
    np.testing.assert_array_equal(controller.active.layer.data, expected)


def test_linking_that_a_type_cannot_hold_changes_nothing():
    rng, planes = np.random.default_rng(0), np.zeros((3, 200, 300), np.uint8)
    for number, plane in enumerate(planes):
        for label, place in enumerate(rng.permutation(300)[:120], start=1):
            row, column = 12 * (place // 25) + 5 * (number % 2), 12 * (place % 25)
            plane[row : row + 4, column : column + 4] = label
    controller = make(Labels(planes.copy()))
    controller.choose("link")
    assert status(controller).startswith("Not done")
    np.testing.assert_array_equal(controller.active.layer.data, planes)


def test_linking_leaves_negative_ids_alone():
    stack = np.stack([squares(), np.where(squares() == 1, 9, squares())])
    stack[:, 18:] = -1
    controller = make(Labels(stack.copy()))
    controller.choose("link")
    assert status(controller) == "Planes linked: 3 nuclei."
    np.testing.assert_array_equal(controller.active.layer.data, np.where(stack == 9, 1, stack))


def test_where_planes_are_not_linked_parts_have_ids_of_their_own():
    planes = np.zeros((2, 20, 24), np.int32)
    planes[0, 4:14, 2:10], planes[0, 4:14, 11:20], planes[1, 4:14, 2:20] = 1, 2, 3
    controller = make(Labels(planes))
    controller.viewer.dims.set_current_step(0, 1)
    controller.choose("split")
    mouse(controller, (1, 2, 11), (1, 8, 11), (1, 15, 11))
    assert np.unique(controller.active.layer.data[1]).tolist() == [0, 3, 4]


def test_planes_are_linked_and_rows_follow():
    stack = np.stack([squares()] * 3)
    stack[1:][stack[1:] == 1] = 9
    stack[2][stack[2] == 2] = 8
    layer = Labels(stack.copy(), features={"index": [1, 2, 5, 8, 9], "score": [0.1, 0.2, 0.5, 0.8, 0.9]})
    controller = make(layer)
    controller.choose("link")
    assert status(controller) == "Planes linked: 3 nuclei."
    np.testing.assert_array_equal(layer.data, np.stack([squares()] * 3))
    assert layer.features["index"].tolist() == [1, 2, 5]
    assert layer.features["score"].tolist() == [0.1, 0.2, 0.5]
    check_undo(controller, stack)
    assert layer.features["index"].tolist() == [1, 2, 5]
    controller.choose("link")
    assert status(controller).startswith("Nothing to link")


def test_a_single_plane_is_not_linked():
    controller = make(Labels(squares()))
    controller.choose("link")
    assert status(controller) == "There is one plane: nothing to link."


def test_bent_line_splits_along_the_hand():
    plane = np.zeros((24, 24), np.uint16)
    plane[2:22, 2:22] = 3
    controller = make(Labels(plane.copy(), **TURNED))
    controller.choose("split")
    mouse(controller, (0, 12), (6, 12), (12, 12), (12, 18), (12, 23))
    data = controller.active.layer.data
    assert data[3, 20] != data[3, 3] == data[20, 3] == data[20, 20]
    check_undo(controller, plane)
    mouse(controller, (0, 0), (0, 23))
    assert status(controller).startswith("Nothing split")


def bar_and_image(**arguments):
    """A bar of 10 × 40 pixels, and an image of it that is darkest near its left end."""
    plane = np.zeros((12, 42), np.int32)
    plane[1:11, 1:41] = 1
    image = np.where(plane, 200, 50)
    image[:, 9:12] = 100
    return Labels(plane, **arguments), image


@pytest.mark.parametrize("arguments", [{}, TURNED])
@pytest.mark.parametrize(("over", "border"), [(True, (9, 13)), (False, (17, 25))])
def test_seeds_split_by_the_image_under_them_or_else_by_shape(arguments, over, border):
    layer, image = bar_and_image(**arguments)
    before = layer.data.copy()
    controller = make(layer, *([Image(image, **arguments)] if over else []))
    controller.choose("seeds")
    mouse(controller, (5, 4))
    mouse(controller, (5, 36))
    controller.gestures._seeds_are_placed()
    assert status(controller) == "Split: 1 new nucleus."
    assert border[0] <= np.count_nonzero(layer.data[5] == 1) <= border[1]
    check_undo(controller, before)


def test_one_seed_is_not_enough():
    controller = make(Labels(squares()))
    controller.choose("seeds")
    mouse(controller, (4, 4))
    controller.gestures._seeds_are_placed()
    assert "click once in each part" in status(controller)


def test_image_under_labels_is_the_one_of_the_same_pixels():
    layer, image = bar_and_image(scale=(0.5, 0.5), metadata={"napari-pffnet": {"image": "mine"}})
    stack = np.stack([image, image + 1, image + 2])
    colour = np.zeros((12, 42, 3), np.uint8)
    others = [
        Image(image),
        Image(image[:-1], scale=(0.5, 0.5)),
        Image(image, scale=(0.5, 0.5), translate=(1, 0)),
        Image(colour, rgb=True, scale=(0.5, 0.5)),
    ]
    controller = make(layer, *others)
    viewer = controller.viewer
    plane = label_plane(layer, viewer.dims)
    assert grey_under(viewer, plane) is None
    viewer.add_image(stack, scale=(4, 0.5, 0.5), name="other")
    viewer.layers.selection.active = layer
    viewer.dims.set_current_step(0, 2)
    np.testing.assert_array_equal(grey_under(viewer, plane), image + 2)
    viewer.add_image(image * 3, scale=(0.5, 0.5), name="mine", visible=False)
    np.testing.assert_array_equal(grey_under(viewer, plane), image * 3)


def test_outline_keeps_off_neighbours_unless_they_are_to_be_replaced():
    layer = Labels(squares())
    controller = make(layer)
    lasso(controller, "outline", LEFT_AND_MIDDLE)
    np.testing.assert_array_equal(layer.data[2:8, 2:14], squares()[2:8, 2:14])
    controller.undo()
    controller.view.replace_neighbours.return_value = True
    lasso(controller, "outline", LEFT_AND_MIDDLE)
    assert ids(layer) == {5, 6}
    assert status(controller) == "Nucleus 6 added."
    mouse(controller, (18, 2))
    assert status(controller).startswith("Hold the button down")


def test_new_ids_are_new_to_the_stack_and_never_overflow():
    stack = np.stack([squares(np.uint8)] * 2)
    stack[1, 0, 0] = 254
    layer = Labels(stack.copy())
    controller = make(layer)
    controller.viewer.dims.set_current_step(0, 0)
    lasso(controller, "outline", [(0, *place) for place in FREE_CORNER])
    assert layer.data[0, 14, 3] == 255
    before = layer.data.copy()
    lasso(controller, "outline", [(0, 0, 16), (0, 0, 20), (0, 6, 20), (0, 6, 16)])
    assert "convert the layer to int32" in status(controller)
    np.testing.assert_array_equal(layer.data, before)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_relabel_numbers_the_whole_stack_and_rows_go_along(dtype):
    stack = np.stack([squares(dtype), np.zeros_like(squares(dtype))])
    stack[1, 3, 3] = 9
    layer = Labels(stack.copy(), features={"index": [1, 2, 5, 9], "score": [0.9, 0.8, 0.7, 0.6]})
    controller = make(layer)
    controller.choose("relabel")
    assert ids(layer) == {1, 2, 3, 4}
    assert layer.data[1, 3, 3] == 4
    assert status(controller) == "4 nuclei, numbered without gaps."
    scores = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6}
    assert layer.features.set_index("index")["score"].to_dict() == scores
    check_undo(controller, stack)
    assert layer.features.set_index("index")["score"].to_dict() == scores
    controller.undo()
    assert layer.features["index"].tolist() == [1, 2, 5, 9]
    assert layer.features["score"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert waiting(controller) is None
    controller.redo()
    controller.choose("relabel")
    assert status(controller) == "Nothing to change there."


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_classes_of_a_semantic_layer(arguments):
    layer = Labels((squares(np.uint8) > 0).astype(np.uint8), **arguments, **SEMANTIC)
    before = layer.data.copy()
    controller = make(layer)
    assert controller.view.set_layer.call_args.args == (layer.name, "semantic")
    for name, value in [("ignore", 255), ("foreground", 1), ("background", 0)]:
        lasso(controller, name, LEFT_AND_MIDDLE)
        assert np.all(layer.data[1:8, 1:14] == value)
        np.testing.assert_array_equal(layer.data[10:], before[10:])
        controller.undo()
        np.testing.assert_array_equal(layer.data, before)
        controller.redo()
        controller.undo()
    assert layer.data.dtype == np.uint8
    mouse(controller, (4, 4))
    assert status(controller).startswith("Hold the button down")


def test_tools_say_which_layer_they_are_for():
    controller = make(Labels(squares()))
    controller.choose("ignore")
    assert "select the semantic layer" in status(controller)
    semantic = Labels(squares(np.uint8), **SEMANTIC)
    controller.viewer.add_layer(semantic)
    for name in ("delete", "outline", "relabel"):
        press(controller, name, 4, 4)
        assert "select the layer of the nuclei" in status(controller)
    assert waiting(controller) is None


def seen_by(colour, eyes):
    """A colour (linear light) as eyes without one kind of cones see it (Machado, Oliveira & Fernandes 2009)."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        "all cones": np.eye(3),
    }
    return matrices[eyes] @ np.array(colour[:3]) ** 2.2


@pytest.mark.parametrize("eyes", ["all cones", "protan", "deutan", "tritan"])
def test_ignored_and_foreground_differ_in_all_eyes(eyes):
    colours = Labels(np.zeros((2, 2), int), **semantic_look()).colormap
    assert colours.map(255).tolist() == pytest.approx(IGNORE_COLOUR)
    assert colours.map(1).tolist() == pytest.approx(FOREGROUND_COLOUR)
    assert colours.map(0)[3] == 0
    difference = seen_by(IGNORE_COLOUR, eyes) - seen_by(FOREGROUND_COLOUR, eyes)
    assert np.abs(difference).max() > 0.15


def later(ready):
    """A tool from elsewhere that works in the background."""
    return Tool(
        "nucleus",
        "W",
        "Nucleus",
        "Click it.",
        "Finds it.",
        ("click",),
        lambda plane, gesture: Later("Looking…", ready.append),
        on_key="do",
    )


def test_tool_from_outside_works_in_the_background_on_the_pixels_of_its_end():
    ready = []
    layer = Labels(squares())
    controller = make(layer, tools=[later(ready)])
    press(controller, "nucleus", 4, 4)
    assert status(controller) == "Looking…"
    controller.view.set_busy.assert_called_once_with(True)
    press(controller, "delete", 4, 10)
    ready[0](lambda plane: ToolEdit(delete(plane.pixels, np.unique(plane.pixels).tolist()), "Found."))
    controller.view.set_busy.assert_called_with(False)
    assert status(controller) == "Found."
    assert ids(layer) == set()
    controller.undo()
    assert ids(layer) == {1, 5}


def test_background_work_that_fails_or_comes_too_late_changes_nothing():
    ready = []
    layer = Labels(squares())
    controller = make(layer, tools=[later(ready)])
    for _ in range(3):
        press(controller, "nucleus", 4, 4)
    finish = Mock(side_effect=OperationError("there is no nucleus there; draw it"))
    ready[0](finish)
    assert status(controller) == "Not done: there is no nucleus there; draw it."
    controller.viewer.layers.remove(layer)
    ready[1](finish)
    controller.close()
    controller.view.set_busy.assert_called_with(False)
    ready[2](finish)
    assert finish.call_count == 1
    np.testing.assert_array_equal(layer.data, squares())


def test_buttons_of_tools_from_outside_come_first_and_their_keys_are_shown():
    controller = make(Labels(squares()), tools=[later([])])
    assert [call.args[0].name for call in controller.view.add_tool.call_args_list][:2] == ["nucleus", "delete"]
    controller.view.set_key.assert_any_call("nucleus", "W")
    controller.keys.change("nucleus", "K")
    controller.view.set_key.assert_called_with("nucleus", "K")
    controller.view.keys_requested.connect.call_args.args[0]()
    controller.view.show_keys.assert_called_once_with(controller.keys)


def test_key_does_what_is_under_the_cursor():
    do = Mock(return_value="Done.")
    tool = Tool("mine", "W", "Mine", "", "", ("click",), do, on_key="do")
    controller = make(Labels(squares(), **TURNED), tools=[tool])
    point(controller, 3, 7)
    controller.press("mine")
    plane, gesture = do.call_args.args
    assert gesture.points.round(6).tolist() == [[3, 7]]
    assert plane.position(np.array([3, 7])) == pytest.approx(controller.viewer.cursor.position)
    assert waiting(controller) is None
