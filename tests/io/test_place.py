from napari_pffnet.io.place import place_columns


def test_columns_are_named_after_the_axes_that_are_longer_than_1():
    assert place_columns("TZ", (2, 3), (1, 2)) == {"t": 1, "z": 2}
    assert place_columns("TZ", (1, 3), (0, 2)) == {"z": 2}
    assert place_columns("", (), ()) == {}


def test_axes_without_a_name_are_planes_and_no_name_is_used_twice():
    assert place_columns("QI", (2, 3), (1, 2)) == {"plane": 1, "plane2": 2}
    assert place_columns(("-4", "axis -3"), (2, 3), (1, 2)) == {"plane": 1, "plane2": 2}
    assert place_columns(("time", "Y"), (2, 3), (1, 2)) == {"time": 1, "y2": 2}
