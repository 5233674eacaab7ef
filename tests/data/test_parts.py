"""Parting annotated images into what is learnt from and what is checked on."""

import numpy as np
import pytest
import tifffile

from helpers import write_folder
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.parts import Chosen, Kept, Side, Window, known, quarter
from napari_pffnet.data.sources import Sample, hold_out
from napari_pffnet.labels import IGNORE


class One:
    """A source with one image."""

    def __init__(self, sample):
        self.sample = sample

    def __len__(self):
        return 1

    def name(self, index):
        return self.sample.name

    def read(self, index):
        return self.sample

    def faults(self):
        return []


def wide(nuclei=((10, 5), (10, 44), (10, 70), (10, 90)), semantic=None):
    labels = np.zeros((40, 100), np.int32)
    for number, (y, x) in enumerate(nuclei, start=1):
        labels[y : y + 6, x : x + 6] = number
    return Sample("wide", np.zeros((40, 100), np.uint8), labels, semantic)


def ids(sample):
    return set(np.unique(sample.labels).tolist()) - {0}


def test_chosen_images_come_in_the_order_given(tmp_path):
    source = FolderSource(write_folder(tmp_path / "squares", 3))
    part = Chosen(source, [2, 0])
    assert [part.name(i) for i in range(len(part))] == ["2", "0"]
    assert np.array_equal(part.read(0).labels, source.read(2).labels)


def test_a_quarter_is_the_end_of_the_longer_side():
    held = quarter(np.ones((40, 100), bool))
    assert held[:, 75:].all()
    assert not held[:, :75].any()
    assert quarter(np.ones((100, 40), bool))[75:].all()


def test_a_quarter_is_one_of_the_pixels_asked_for():
    what = np.zeros((40, 100), bool)
    what[:, 20:60] = True
    assert (quarter(what) & what).sum() == 10 * 40


def test_an_image_without_nuclei_is_parted_by_its_area():
    train, held = (Side(One(wide(())), side).read(0) for side in ("train", "held out"))
    assert known(train).sum() == 3 * known(held).sum()


def test_sides_share_no_nucleus_and_no_pixel():
    source = One(wide())
    train, held = Side(source, "train").read(0), Side(source, "held out").read(0)
    assert ids(train) == {1, 2, 3}
    assert ids(held) == {4}
    assert not (known(train) & known(held)).any()


@pytest.mark.parametrize("x", range(66, 80))
def test_a_nucleus_on_the_border_belongs_to_one_side_and_the_other_ignores_it(x):
    source = One(wide(((10, 5), (20, 25), (10, 45), (2, x), (18, x), (30, x))))
    train, held = Side(source, "train").read(0), Side(source, "held out").read(0)
    assert sorted([*ids(train), *ids(held)]) == [1, 2, 3, 4, 5, 6]
    assert (held.semantic[train.labels > 0] == IGNORE).all()
    assert (train.semantic[held.labels > 0] == IGNORE).all()


def test_what_nobody_annotated_stays_out_of_both_sides():
    semantic = np.full((40, 100), IGNORE, np.uint8)
    semantic[:, :50] = 0
    source = One(wide(((10, 5), (10, 44)), semantic))
    for side in ("train", "held out"):
        assert not known(Side(source, side).read(0))[:, 51:].any()


def test_of_a_large_image_the_part_with_most_nuclei_is_taken():
    part = Window(One(wide()), 40).read(0)
    assert part.labels.shape == part.image.shape == (40, 40)
    assert ids(part) == {2, 3}
    assert Window(One(wide()), 100).read(0).labels.shape == (40, 100)


def test_nuclei_that_are_not_annotated_draw_no_window():
    semantic = np.full((40, 100), IGNORE, np.uint8)
    semantic[:, :30] = 0
    part = Window(One(wide(semantic=semantic)), 30).read(0)
    assert part.labels.shape == (30, 30)
    assert ids(part) == {1}
    assert (part.semantic != IGNORE).any()


def test_one_image_in_five_is_held_out_and_stays_so_when_images_are_added():
    names = [f"{i}" for i in range(12)]
    assert hold_out(names[:1]) == []
    assert hold_out(names[:2]) == ["0"]
    assert hold_out(names[:7]) == ["0", "5"]
    assert hold_out(names)[:2] == ["0", "5"]


def test_slices_of_one_stack_are_held_out_together():
    slices = {f"z{i}": "stack" for i in range(4)}
    others = [f"{i}" for i in range(6)]
    assert hold_out([*others, *slices], stacks=slices) == ["0", "5"], "one in five, without the stack"
    assert hold_out([*slices, "0"], stacks=slices) == ["0"], "most images are not held out"
    assert hold_out(list(slices), stacks=slices) == ["z3"], "of one stack its end: only one neighbour is learnt"
    assert hold_out(list(slices), held=["z1"], stacks=slices) == ["z1"]
    assert hold_out([*slices, *others], learnt=others, stacks=slices) == list(slices)
    two = {**slices, **{f"t{i}": "series" for i in range(4)}}
    assert hold_out(list(two), stacks=two) == list(slices)


def test_what_is_kept_does_not_change_with_the_files_as_far_as_memory_allows(tmp_path):
    source = FolderSource(write_folder(tmp_path / "squares", 2))
    size = sum(each.nbytes for each in (source.read(0).image, source.read(0).labels))
    kept = Kept(source, limit=size)
    before = kept.read(0).labels
    for name in "01":
        tifffile.imwrite(tmp_path / "squares" / "labels" / f"{name}.tif", np.zeros_like(before, np.uint16))
    assert (kept.read(0).labels == before).all()
    assert not kept.read(1).labels.any()
    assert (len(kept), kept.name(1), kept.faults()) == (2, "1", [])
