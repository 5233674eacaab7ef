"""Outlines of other programs, opened in napari."""

import numpy as np
import pytest
import tifffile

from napari_pffnet._qt.layers.origin import made_of
from napari_pffnet.io.export import write_geojson, write_rois

LABELS = np.zeros((30, 40), np.int32)
LABELS[2:9, 3:12], LABELS[16:, 30:] = 5, 2


@pytest.fixture
def files(tmp_path):
    write_geojson(tmp_path / "cells.geojson", LABELS)
    write_rois(tmp_path / "cells_rois.zip", LABELS)
    return tmp_path


@pytest.mark.parametrize("file", ["cells.geojson", "cells_rois.zip"])
def test_outlines_lie_on_the_plane_in_view_of_their_image(make_napari_viewer, files, file):
    viewer = make_napari_viewer()
    stack = np.zeros((5, *LABELS.shape), np.uint8)
    image = viewer.add_image(stack, name="cells", scale=(2, 0.5, 0.5), translate=(0, 3, 4), rotate=(0, 0, 30))
    viewer.add_image(stack[0], name="another")
    viewer.dims.set_current_step(0, 3)
    [layer] = viewer.open(str(files / file), plugin="napari-pffnet")
    np.testing.assert_array_equal(layer.data, LABELS[None])
    np.testing.assert_allclose(layer.data_to_world((0, 7, 9)), image.data_to_world((3, 7, 9)))
    assert made_of(layer, image)


def test_the_file_of_the_image_or_its_selection_tells_which_one(make_napari_viewer, files):
    viewer = make_napari_viewer()
    with pytest.raises(RuntimeError, match="open their image first, and select it"):
        viewer.open(str(files / "cells.geojson"), plugin="napari-pffnet")
    tifffile.imwrite(files / "cells.tif", LABELS.astype(np.uint8))
    [image] = viewer.open(str(files / "cells.tif"))
    image.name = "renamed"
    other = viewer.add_image(np.zeros((9, 9)))
    [layer] = viewer.open(str(files / "cells.geojson"), plugin="napari-pffnet")
    assert made_of(layer, image)
    viewer.layers.remove(image)
    viewer.layers.selection = {other}
    with pytest.raises(ValueError, match="outlines lie outside the image of 9×9"):
        viewer.open(str(files / "cells.geojson"), plugin="napari-pffnet")
