"""Which part of an image is segmented, and where results on it lie."""

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pffnet._qt.layers.image_under import images_under
from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet._qt.layers.parts import MARGIN, wanted_part
from napari_pffnet._qt.layers.planes import Part, PlaneError, take_plane, take_stack
from napari_pffnet._qt.segment.facts import level_titles

PIXELS = np.arange(300 * 400, dtype=np.uint32).reshape(300, 400)
TURNED = {"scale": (0.5, 0.25), "rotate": 30, "translate": (7, -3)}


def look_at(viewer, y, x, height, width):
    """Point the camera at a window of the world."""
    size = np.array(viewer._canvas_size if not hasattr(viewer, "canvas") else viewer.canvas.size)
    camera = getattr(viewer, "scene", viewer).camera
    camera.center, camera.zoom = (0, y + height / 2, x + width / 2), float(min(size / (height, width)))
    return size / camera.zoom


def pyramid():
    return [PIXELS, PIXELS[::2, ::2], PIXELS[::4, ::4]]


@pytest.mark.parametrize("placing", [{}, TURNED])
@pytest.mark.parametrize(
    "part", [Part(0, 0, 0, 300, 400), Part(0, 20, 30, 40, 50), Part(1, 10, 0, 100, 200), Part(2, 5, 7, 9, 1)]
)
def test_labels_on_a_part_find_the_part_again(placing, part):
    viewer = ViewerModel()
    image = viewer.add_image(pyramid(), multiscale=True, **placing)
    plane = take_plane(image, viewer.dims.point, viewer.dims.order, part=part)
    np.testing.assert_array_equal(plane.read(), pyramid()[part.level][part.y :, part.x :][: part.height, : part.width])
    labels = viewer.add_layer(Labels(np.zeros(plane.shape, np.int32), **plane.placement))
    found = list(images_under(viewer, label_plane(labels, viewer.dims)))
    assert [(layer, taken.part) for layer, taken in found] == [(image, part)]


def test_a_smaller_level_covers_the_same_ground():
    image = Image(pyramid(), multiscale=True, scale=(2, 2))
    plane = take_plane(image, (0, 0), (0, 1), part=Part(1, 0, 0, 150, 200))
    layer = Labels(np.zeros(plane.shape, np.int32), **plane.placement)
    np.testing.assert_allclose(layer.scale, (4, 4))
    np.testing.assert_allclose(layer.data_to_world((-0.5, -0.5)), image.data_to_world((-0.5, -0.5)))
    np.testing.assert_allclose(layer.data_to_world((149.5, 199.5)), image.data_to_world((299.5, 399.5)))


def test_labels_beside_the_pixels_have_no_image():
    viewer = ViewerModel()
    viewer.add_image(PIXELS)
    for translate in ((0.5, 0), (290, 0)):
        labels = viewer.add_labels(np.zeros((20, 20), np.int32), translate=translate)
        assert not list(images_under(viewer, label_plane(labels, viewer.dims)))


def test_all_planes_of_a_stack_are_cut_alike():
    layer = Image(np.stack([PIXELS, PIXELS + 1]), axis_labels=("z", "y", "x"))
    stack = take_stack(layer, (0, 0, 0), (0, 1, 2), part=Part(0, 5, 6, 7, 8))
    assert stack.shape == (2, 7, 8)
    np.testing.assert_array_equal(stack.plane(stack.places[1]).read(), PIXELS[5:12, 6:14] + 1)
    np.testing.assert_allclose(stack.placement["translate"], (0, 5, 6))


def test_what_is_in_view_with_a_margin():
    viewer = ViewerModel()
    image = viewer.add_image(PIXELS, scale=(2, 2))
    height, width = look_at(viewer, 200, 300, 80, 100) / 2
    part, inside = wanted_part(viewer, image, "view")
    assert inside.shape == part[3:]
    assert inside.sum() == pytest.approx(height * width, rel=0.05)
    rows = np.flatnonzero(inside.any(1)) + part.y
    assert rows[0] == pytest.approx(120 - height / 2, abs=1.5)
    assert part.y == pytest.approx(rows[0] - MARGIN, abs=1)


def test_only_what_lies_in_the_image_is_taken():
    viewer = ViewerModel()
    image = viewer.add_image(PIXELS)
    look_at(viewer, -500, -500, 2000, 2000)
    part, inside = wanted_part(viewer, image, "view")
    assert part == Part(0, 0, 0, 300, 400)
    assert inside.all()
    look_at(viewer, 1000, 1000, 50, 50)
    with pytest.raises(PlaneError, match="move the camera onto it"):
        wanted_part(viewer, image, "view")


def test_what_is_drawn_on_a_smaller_level():
    viewer = ViewerModel()
    image = viewer.add_image(pyramid(), multiscale=True)
    viewer.add_shapes([[(160, 200), (160, 239), (199, 239), (199, 200)]], shape_type="rectangle")
    part, inside = wanted_part(viewer, image, "drawn", 1)
    assert part.level == 1
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    assert (rows[0] + part.y, rows[-1] + part.y) == (80, 99)
    assert (columns[0] + part.x, columns[-1] + part.x) == (100, 119)


def test_selected_shapes_and_the_active_layer_come_first():
    viewer = ViewerModel()
    image = viewer.add_image(PIXELS)
    squares = [[(y, y), (y, y + 19), (y + 19, y + 19), (y + 19, y)] for y in (20, 200)]
    first = viewer.add_shapes(squares, shape_type="polygon")
    viewer.add_shapes([[(100, 100), (100, 140), (140, 140), (140, 100)]], shape_type="ellipse")

    def area():
        return int(wanted_part(viewer, image, "drawn")[1].sum())

    assert area() == pytest.approx(np.pi * 20**2, rel=0.03)
    viewer.layers.selection.active = first
    assert area() == 2 * 19 * 19
    first.selected_data = {1}
    assert area() == 2 * 19 * 19, "a shape that was just drawn stays selected"
    first.mode = "select"
    first.selected_data = {1}
    assert area() == 19 * 19


def test_a_layer_without_areas_is_passed_over():
    viewer = ViewerModel()
    image = viewer.add_image(PIXELS)
    viewer.add_shapes([[(20, 20), (20, 39), (39, 39), (39, 20)]], shape_type="rectangle")
    viewer.add_shapes([[(100, 100), (150, 150)]], shape_type="line")
    assert wanted_part(viewer, image, "drawn")[1].sum() == 19 * 19


def test_shapes_on_other_slices_are_not_meant():
    viewer = ViewerModel()
    image = viewer.add_image(np.stack([PIXELS] * 3), scale=(2, 1, 1))
    squares = [[(z, y, y), (z, y, y + 19), (z, y + 19, y + 19), (z, y + 19, y)] for z, y in ((0, 20), (1, 200))]
    viewer.add_shapes(squares, shape_type="rectangle", scale=(2, 1, 1))
    viewer.dims.set_point(0, 2)
    part, inside = wanted_part(viewer, image, "drawn")
    assert inside.sum() == 19 * 19
    assert part.y == 200 - MARGIN
    viewer.dims.set_point(0, 4)
    with pytest.raises(PlaneError, match="nothing is drawn on the slice in view"):
        wanted_part(viewer, image, "drawn")


def test_a_selection_on_another_slice_is_none_on_this():
    viewer = ViewerModel()
    image = viewer.add_image(np.stack([PIXELS] * 2))
    squares = [[(z, 20, 20), (z, 20, 39), (z, 39, 39), (z, 39, 20)] for z in (0, 1)]
    mine = viewer.add_shapes(squares, shape_type="polygon")
    viewer.add_shapes([[(1, 100, 100), (1, 100, 140), (1, 140, 140), (1, 140, 100)]], shape_type="polygon")
    viewer.layers.selection.active = mine
    mine.mode, mine.selected_data = "select", {0}
    viewer.dims.set_point(0, 1)
    assert wanted_part(viewer, image, "drawn")[1].sum() == 19 * 19


@pytest.mark.parametrize("place", [0, 0.6, 1.2, 1.8, 2.1])
def test_shapes_between_slices_are_meant_where_napari_shows_them(place):
    viewer = ViewerModel()
    image = viewer.add_image(np.stack([PIXELS] * 8), scale=(0.3, 1, 1))
    squares = [[(z, 20, x), (z, 20, x + 19), (z, 39, x + 19), (z, 39, x)] for x, z in ((20, 0), (60, 1), (100, 2))]
    shapes = viewer.add_shapes(squares, shape_type="rectangle")
    viewer.dims.set_point(0, place)
    shown = np.flatnonzero(shapes._data_view._displayed)
    columns = np.flatnonzero(wanted_part(viewer, image, "drawn")[1].any(0))
    part = wanted_part(viewer, image, "drawn")[0]
    assert sorted({(int(x) + part.x - 20) // 40 for x in columns}) == shown.tolist()


def test_shapes_beside_the_image_whose_box_touches_it_are_refused():
    viewer = ViewerModel()
    image = viewer.add_image(PIXELS)
    viewer.add_shapes([[(-200, 300), (100, 600), (-200, 600)]], shape_type="polygon")
    with pytest.raises(PlaneError, match="draw on the image"):
        wanted_part(viewer, image, "drawn")


def test_what_is_too_large_for_the_memory_is_refused_before_it_is_drawn():
    viewer = ViewerModel()
    image = viewer.add_image(da.zeros((10_000, 10_000), dtype="uint8"))
    ends = [[(y, y), (y, y + 99), (y + 99, y + 99), (y + 99, y)] for y in (0, 9_000)]
    viewer.add_shapes(ends, shape_type="rectangle")
    with pytest.raises(PlaneError, match="Mpx is too much: draw areas that lie closer together, choose a lower"):
        wanted_part(viewer, image, "drawn")
    look_at(viewer, 0, 0, 10_000, 10_000)
    with pytest.raises(PlaneError, match="Mpx is too much: zoom in, choose a lower resolution, or the whole image"):
        wanted_part(viewer, image, "view")


def test_nothing_drawn_or_elsewhere_is_said():
    viewer = ViewerModel()
    image = viewer.add_image(PIXELS)
    with pytest.raises(PlaneError, match="add a Shapes layer"):
        wanted_part(viewer, image, "drawn")
    viewer.add_shapes([[(0, 0), (50, 50)]], shape_type="line")
    with pytest.raises(PlaneError, match="add a Shapes layer"):
        wanted_part(viewer, image, "drawn")
    viewer.add_shapes([[(900, 900), (900, 950), (950, 950)]], shape_type="polygon")
    with pytest.raises(PlaneError, match="draw on the image"):
        wanted_part(viewer, image, "drawn")


def test_whole_image_has_no_mask():
    viewer = ViewerModel()
    image = viewer.add_image(pyramid(), multiscale=True)
    assert wanted_part(viewer, image, "whole", 2) == (Part(2, 0, 0, 75, 100), None)


def test_data_on_disk_is_not_read_before_it_is_needed(tmp_path):
    array = zarr.create_array(tmp_path / "image.zarr", shape=(300, 400), chunks=(100, 100), dtype="uint32")
    array[:] = PIXELS
    plane = take_plane(Image(array), (0, 0), (0, 1), part=Part(0, 10, 20, 30, 40))
    assert isinstance(plane.pixels, da.Array)
    np.testing.assert_array_equal(plane.read(), PIXELS[10:40, 20:60])


def test_data_that_has_no_chunks_is_cut_into_some():
    class Whole:
        """As an h5py dataset stored in one piece."""

        shape, dtype, ndim, size, chunks = PIXELS.shape, PIXELS.dtype, 2, PIXELS.size, None

        def __getitem__(self, index):
            return PIXELS[index]

    plane = take_plane(Image(Whole()), (0, 0), (0, 1), part=Part(0, 10, 20, 30, 40))
    np.testing.assert_array_equal(plane.read(), PIXELS[10:40, 20:60])


def test_levels_are_named_by_their_size():
    layer = Image(pyramid(), multiscale=True, scale=(0.25, 0.25), units=("um", "um"))
    assert level_titles(layer) == ["300 × 400, 0.25 µm", "150 × 200, 0.5 µm", "75 × 100, 1 µm"]
    assert level_titles(Image(PIXELS)) == ["300 × 400"]
