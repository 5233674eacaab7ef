"""Outlines of other programs, opened in napari."""

import numpy as np
import pytest
import tifffile
from napari.layers import Labels

from napari_pffnet._qt.layers.origin import made_of
from napari_pffnet._qt.layers.planes import Part, take_plane
from napari_pffnet.data.sources import DataError
from napari_pffnet.io.export import write_geojson, write_rois

LABELS = np.zeros((30, 40), np.int32)
LABELS[2:9, 3:12], LABELS[16:, 30:] = 5, 2


@pytest.fixture
def files(tmp_path):
    write_geojson(tmp_path / "cells.geojson", LABELS)
    write_rois(tmp_path / "cells_rois.zip", LABELS)
    np.save(tmp_path / "cells_seg.npy", {"masks": LABELS})
    return tmp_path


@pytest.mark.parametrize("file", ["cells.geojson", "cells_rois.zip", "cells_seg.npy"])
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


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 1)])
@pytest.mark.parametrize("file", ["stack.geojson", "stack.zip"])
def test_outlines_of_a_stack_lie_on_their_planes(make_napari_viewer, tmp_path, file, shape):
    axes = "tzyx"[-2 - len(shape) :]
    stack = np.zeros((*shape, *LABELS.shape), np.int32)
    stack.reshape(-1, *LABELS.shape)[1] = LABELS
    saved = Labels(stack, axis_labels=axes)
    saved.save(str(tmp_path / file))
    viewer = make_napari_viewer()
    image = viewer.add_image(stack.astype(np.uint8), name="stack", axis_labels=axes, scale=(2,) * len(axes))
    viewer.dims.order = (1, 0, *range(2, len(axes)))
    [layer] = viewer.open(str(tmp_path / file), plugin="napari-pffnet")
    np.testing.assert_array_equal(layer.data, stack)
    np.testing.assert_allclose(layer.scale, image.scale)
    assert made_of(layer, image)


def test_masks_of_a_stack_lie_on_its_planes(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    image = viewer.add_image(np.zeros((3, 1, *LABELS.shape), np.uint8), name="cells", scale=(2, 1, 1, 1))
    np.save(tmp_path / "cells_seg.npy", {"masks": np.stack([LABELS, 0 * LABELS, LABELS])})
    [layer] = viewer.open(str(tmp_path / "cells_seg.npy"), plugin="napari-pffnet")
    np.testing.assert_array_equal(layer.data[:, 0], [LABELS, 0 * LABELS, LABELS])
    assert made_of(layer, image)
    np.save(tmp_path / "cells_seg.npy", {"masks": np.stack([LABELS, LABELS])})
    with pytest.raises(DataError, match="masks are 2×30×40 but the image is 3×30×40"):
        viewer.open(str(tmp_path / "cells_seg.npy"), plugin="napari-pffnet")


@pytest.mark.parametrize("suffix", [".geojson", ".zip"])
def test_a_result_on_a_part_of_a_plane_comes_back_to_where_it_was(make_napari_viewer, tmp_path, suffix):
    viewer = make_napari_viewer()
    image = viewer.add_image(np.zeros((5, 60, 70), np.uint8), name="cells", axis_labels="zyx")
    plane = take_plane(image, (3, 0, 0), (0, 1, 2), part=Part(0, 20, 25, *LABELS.shape))
    note = {"napari-pffnet": {"place": plane.place.note(plane.shape)}}
    Labels(LABELS[None], metadata=note, **plane.placement).save(str(tmp_path / f"cells{suffix}"))
    viewer.dims.set_current_step(0, 1)
    [layer] = viewer.open(str(tmp_path / f"cells{suffix}"), plugin="napari-pffnet")
    expected = np.zeros(image.data.shape, int)
    expected[3, 20:50, 25:65] = LABELS
    np.testing.assert_array_equal(layer.data, expected)


def test_the_file_of_the_image_or_its_selection_tells_which_one(make_napari_viewer, files):
    viewer = make_napari_viewer()
    with pytest.raises(RuntimeError, match="open that first, and select it"):
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
