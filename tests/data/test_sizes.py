import numpy as np
import pytest

from napari_pffnet.data.sizes import suitable_level, suitable_zoom, typical_diameter


@pytest.mark.parametrize("diameter", [20, 24, 35])
def test_sizes_that_the_network_knows_are_left_alone(diameter):
    assert suitable_zoom(diameter, 24) == 1


@pytest.mark.parametrize(("diameter", "seen_as"), [(6, 24), (19, 24), (40, 31.2), (200, 31.2)])
def test_other_sizes_are_brought_well_into_the_range(diameter, seen_as):
    assert diameter * suitable_zoom(diameter, 24) == pytest.approx(seen_as)


@pytest.mark.parametrize(("diameter", "trained"), [(None, 24), (200, None)])
def test_nothing_is_changed_where_a_size_is_unknown(diameter, trained):
    assert suitable_zoom(diameter, trained) == 1


@pytest.mark.parametrize(("diameter", "level"), [(20, 0), (40, 0), (48, 1), (100, 2), (500, 2), (None, 0)])
def test_the_level_is_the_smallest_that_shows_nuclei_as_large_as_in_training(diameter, level):
    assert suitable_level([1, 2, 4], diameter, 24) == level
    assert suitable_level([1, 2, 4], diameter, None) == 0


def test_the_typical_diameter_is_the_median_of_discs():
    assert typical_diameter(np.pi * np.array([4.0, 25, 0, 10_000])) == pytest.approx(10)
    assert typical_diameter(np.zeros(3)) is None
