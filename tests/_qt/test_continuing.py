import numpy as np
import pytest
from correct_fakes import make, mouse, status
from napari.layers import Labels

CIRCLE = [(2, 2), (2, 8), (8, 8), (8, 2)]


def stack(linked=True):
    """Nuclei 4 and 7 on three planes; 4 is missing on the second; not linked: other ids on each plane."""
    labels = np.zeros((3, 20, 24), np.int32)
    for z in range(3):
        labels[z, 2:9, 2:9] = 4
        labels[z, 12:18, 12:18] = 7
    labels[1, 2:9, 2:9] = 0
    if not linked:
        labels += (labels > 0) * 10 * np.arange(3, dtype=np.int32)[:, None, None]
    return Labels(labels)


def draw(layer, corners):
    controller = make(layer)
    controller.viewer.dims.set_current_step(0, 1)
    controller.choose("outline")
    mouse(controller, *((1, *corner) for corner in corners))
    return controller


def test_a_nucleus_drawn_on_a_plane_of_a_linked_stack_has_the_number_it_has_beside():
    layer = stack()
    controller = draw(layer, CIRCLE)
    assert status(controller) == "Nucleus 4, as on the plane beside, added."
    assert layer.data[1, 5, 5] == 4
    assert layer.selected_label == 4
    controller.undo()
    assert set(np.unique(layer.data[1])) == {0, 7}


def test_an_empty_plane_is_gone_over():
    layer = stack()
    layer.data[2][layer.data[2] == 7] = 0
    layer.data[1] = layer.data[0]
    layer.data[1][layer.data[1] == 4] = 0
    layer.data = np.concatenate([layer.data[:1], np.zeros_like(layer.data[:1]), layer.data[1:]])
    controller = make(layer)
    controller.viewer.dims.set_current_step(0, 2)
    controller.choose("outline")
    mouse(controller, *((2, *corner) for corner in CIRCLE))
    assert status(controller) == "Nucleus 4, as on the plane beside, added."


@pytest.mark.parametrize("corners", [[(2, 12), (2, 18), (8, 18), (8, 12)], [(7, 7), (7, 16), (11, 16), (11, 7)]])
def test_elsewhere_it_has_a_new_number(corners):
    layer = stack()
    assert status(draw(layer, corners)) == "Nucleus 8 added."


def test_where_nothing_is_linked_it_has_a_new_number():
    layer = stack(linked=False)
    assert status(draw(layer, CIRCLE)) == "Nucleus 28 added."


def test_the_number_of_a_nucleus_that_is_on_the_plane_already_is_not_given_twice():
    layer = stack()
    layer.data[1, 12:14, 2:6] = 4
    assert status(draw(layer, CIRCLE)) == "Nucleus 8 added."
    assert {4, 7, 8} == set(np.unique(layer.data[1])) - {0}


def test_what_takes_the_place_of_a_linked_nucleus_keeps_its_number():
    layer = stack()
    layer.data[1, 2:9, 2:9] = 4
    controller = make(layer)
    controller.viewer.dims.set_current_step(0, 1)
    controller.choose("outline")
    mouse(controller, *((1, *corner) for corner in [(1, 1), (1, 10), (10, 10), (10, 1)]), modifiers=("Shift",))
    assert status(controller) == "Nucleus 4, as on the plane beside, added."
    assert set(np.unique(layer.data[1])) == {0, 4, 7}


def test_the_first_plane_is_not_beside_the_last():
    layer = stack()
    layer.data[0, 2:9, 2:9] = 0
    layer.data[1] = 0
    layer.data[1, 12:18, 12:18] = 7
    controller = make(layer)
    controller.viewer.dims.set_current_step(0, 0)
    controller.choose("outline")
    mouse(controller, *((0, *corner) for corner in CIRCLE))
    assert status(controller) == "Nucleus 8 added.", "4 is on the last plane alone"


def test_in_series_of_stacks_planes_beside_are_those_of_the_last_axis():
    flat = stack().data
    layer = Labels(np.stack([flat, flat + (flat > 0) * 20]))
    controller = make(layer)
    controller.viewer.dims.set_current_step(0, 1)
    controller.viewer.dims.set_current_step(1, 1)
    controller.choose("outline")
    mouse(controller, *((1, 1, *corner) for corner in CIRCLE))
    assert status(controller) == "Nucleus 24, as on the plane beside, added."
