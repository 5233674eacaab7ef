import pandas as pd
import pytest

from napari_pffnet.io.tables import linked_nuclei, one_row_per_plane

SCORES = {"score": 0.5, "quality": 0.5, "mask_score": 0.25}


def table(*rows):
    return pd.DataFrame(rows, columns=["index", "y", "x", "area"]).assign(**SCORES, overlap=0.0)


def rows():
    planes = [table((1, 10.0, 10.0, 30)), table(), table((1, 14.0, 10.0, 10), (2, 5.0, 5.0, 7))]
    return one_row_per_plane(planes, [{"t": 3, "z": z} for z in range(3)])


def test_a_nucleus_has_a_row_on_each_of_its_planes():
    assert list(rows()) == ["index", "t", "z", "y", "x", "area", "score", "quality", "mask_score", "overlap"]
    assert rows()[["index", "t", "z", "area"]].to_numpy().tolist() == [[1, 3, 0, 30], [1, 3, 2, 10], [2, 3, 2, 7]]


def test_of_linked_nuclei_centres_are_weighted_by_area_and_areas_summed():
    nuclei = linked_nuclei(rows(), ["t", "z"], {"X": 0.5, "Y": 0.5, "Z": 2.0})
    places = ["t_first", "t_last", "z_first", "z_last", "planes", "z", "y", "x"]
    assert list(nuclei) == ["index", *places, "area", "volume_um3", *SCORES]
    assert nuclei.loc[0, places].tolist() == [3, 3, 0, 2, 2, 0.5, 11, 10]
    assert nuclei[["area", "volume_um3"]].to_numpy().tolist() == [[40, 20], [7, 3.5]]


@pytest.mark.parametrize(("axes", "sizes"), [(["z", "t"], {"X": 1, "Y": 1, "Z": 1}), (["t", "z"], {"X": 1, "Y": 1})])
def test_sums_through_time_or_of_unknown_sizes_are_no_volumes(axes, sizes):
    assert "volume_um3" not in linked_nuclei(rows(), axes, sizes)
