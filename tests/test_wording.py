"""Numbers as people say them."""

import pytest

from napari_pffnet.wording import count_nuclei, counted, duration, repeated


@pytest.mark.parametrize(("seconds", "text"), [(0, "1 s"), (45, "45 s"), (130, "2 min"), (5400, "1.5 h")])
def test_times(seconds, text):
    assert duration(seconds) == text


def test_names_that_occur_more_than_once():
    assert repeated(["b", "a", "b", "c", "a"]) == ["a", "b"]


def test_counts():
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [count_nuclei(n, "new") for n in (1, 2)] == ["1 new nucleus", "2 new nuclei"]
    assert count_nuclei(0) == "0 nuclei"
