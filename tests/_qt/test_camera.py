"""The camera goes to objects."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_pffnet._qt.layers.camera import camera, reveal


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize(("here", "plane"), [(3, 3), (0, 2)])
def test_what_lies_on_several_planes_is_shown_on_the_one_in_view_else_on_its_first(here, plane):
    leaning = np.eye(4)
    leaning[1, 0] = 5  # each plane lies lower than the one before
    viewer = ViewerModel()
    layer = viewer.add_layer(Labels(np.zeros((6, 20, 20), int), affine=leaning))
    viewer.dims.set_point(0, here)
    camera(viewer).center, camera(viewer).zoom = (0, 400, 400), 30
    reveal(viewer, layer, np.array([[2, 4], [4, 8], [10, 12]]))
    assert viewer.dims.point[0] == plane
    assert camera(viewer).center[-2:] == (5 * plane + 6, 11)
