"""Snapshots, two generations of them, and files that are not as we left them. Kills are in test_journal.py."""

import contextlib
import errno
import os

import numpy as np
import pytest
import tifffile

from napari_pffnet.curate.history import unsaved_edits
from napari_pffnet.curate.work import Annotation, ProjectError, Work
from projects import SHAPE, paint, painted

ONE, TWO, THREE = paint(2, 2, 1), paint(20, 20, 2), paint(2, 40, 3)


def start(folder, **arguments):
    return Work.open(folder, "a", SHAPE, **arguments)


def annotation(*edits):
    return Annotation(painted(*edits), None, {row["index"]: row for edit in edits for row in edit.rows})


def session(folder, *edits, crash=False):
    """Make edits one by one, with a snapshot after each, and after the last one unless it crashes."""
    work = start(folder)
    for number, edit in enumerate(edits, start=1):
        work.record(edit)
        if number < len(edits) or not crash:
            work.save(annotation(*edits[:number]))
    work.close()
    return folder


def labels(folder):
    return folder / "labels" / "a.tif"


def test_new_image_is_empty_and_a_snapshot_is_read_back(tmp_path):
    work = start(tmp_path)
    assert (work.now.labels.shape, work.now.labels.dtype, work.now.labels.any()) == (SHAPE, np.int32, False)
    assert (work.now.semantic, work.now.rows, work.notes) == (None, {}, [])
    semantic = np.zeros(SHAPE, np.uint8)
    semantic[3] = 255
    work.record(ONE)
    work.save(Annotation(painted(ONE), semantic, {1: ONE.rows[0]}))
    work.close()
    again = start(tmp_path)
    np.testing.assert_array_equal(again.now.labels, painted(ONE))
    np.testing.assert_array_equal(again.now.semantic, semantic)
    assert again.now.rows[1]["origin"] == "painted"
    assert (again.recovered, again.notes) == (0, [])
    table = (tmp_path / "provenance" / "a.csv").read_text().splitlines()
    assert table[0] == "index,origin,state,parents,score,quality,mask_score,area,changed,user"
    assert table[1] == "1,painted,new,,,,,25,,"
    assert tifffile.imread(labels(tmp_path)).dtype == np.uint16


def test_what_was_not_saved_is_recovered(tmp_path):
    session(tmp_path, ONE, TWO, crash=True)
    work = start(tmp_path)
    assert work.recovered == 1
    np.testing.assert_array_equal(work.saved.labels, painted(ONE))
    np.testing.assert_array_equal(work.now.labels, painted(ONE, TWO))
    assert list(work.now.rows) == [1, 2]
    work.save(work.now)
    work.close()
    assert start(tmp_path).recovered == 0


def test_edits_that_are_not_saved_are_counted(tmp_path):
    place = tmp_path / "journal" / "a"
    assert unsaved_edits(place) == 0
    session(tmp_path, ONE, TWO)
    assert unsaved_edits(place) == 0
    session(tmp_path, THREE, crash=True)
    assert unsaved_edits(place) == 1
    work = start(tmp_path)
    work.save(work.now)
    work.close()
    assert unsaved_edits(place) == 0


def test_recovered_work_that_is_not_wanted_is_kept_beside(tmp_path):
    session(tmp_path, ONE, TWO, crash=True)
    work = start(tmp_path)
    kept = work.discard_recovered()
    np.testing.assert_array_equal(tifffile.imread(kept), painted(ONE, TWO))
    np.testing.assert_array_equal(work.now.labels, painted(ONE))
    work.close()
    np.testing.assert_array_equal(start(tmp_path).now.labels, painted(ONE))


def test_saving_without_a_change_writes_nothing(tmp_path):
    session(tmp_path, ONE)
    before = labels(tmp_path).stat().st_mtime_ns, sorted((tmp_path / "journal" / "a").iterdir())
    work = start(tmp_path)
    work.save(work.now)
    assert before == (labels(tmp_path).stat().st_mtime_ns, sorted((tmp_path / "journal" / "a").iterdir()))


def test_two_generations_are_kept_and_no_more(tmp_path):
    session(tmp_path, ONE, TWO, THREE)
    place = tmp_path / "journal" / "a"
    assert {file.name for file in place.glob("*.journal")} == {"000003.journal", "000004.journal"}
    np.testing.assert_array_equal(tifffile.imread(place / "previous-labels.tif"), painted(ONE, TWO))


def truncate(file):
    file.write_bytes(file.read_bytes()[:-30])


def overwrite(file):
    file.write_bytes(b"no longer a TIFF")


def another_size(file):
    tifffile.imwrite(file, np.ones((5, 5), np.uint16))


@pytest.mark.parametrize("damage", [truncate, overwrite, another_size, lambda file: file.unlink()])
@pytest.mark.parametrize("crash", [True, False])
def test_damaged_snapshot_is_restored_from_the_one_before(tmp_path, damage, crash):
    session(tmp_path, ONE, TWO, THREE, crash=crash)
    damage(labels(tmp_path))
    work = start(tmp_path)
    np.testing.assert_array_equal(work.now.labels, painted(ONE, TWO, THREE))
    [note] = work.notes
    assert note.startswith(str(labels(tmp_path)))
    assert "it was restored" in note
    work.close()
    again = start(tmp_path)
    np.testing.assert_array_equal(again.now.labels, painted(ONE, TWO, THREE))
    assert again.notes == []
    assert len(list((tmp_path / "labels").glob("a.damaged-*.tif"))) == labels(tmp_path).exists() - (
        damage not in (truncate, overwrite, another_size)
    )


def test_damaged_again_right_after_the_repair(tmp_path):
    session(tmp_path, ONE, TWO)
    for _ in range(3):
        truncate(labels(tmp_path))
        work = start(tmp_path)
        np.testing.assert_array_equal(work.now.labels, painted(ONE, TWO))
        work.close()


@pytest.mark.parametrize("saved", [0, 2])
def test_a_journal_that_is_damaged_from_its_start_is_kept(tmp_path, saved):
    session(tmp_path, *[ONE, TWO][:saved], THREE, crash=True)
    file = max((tmp_path / "journal" / "a").glob("*.journal"))
    content = bytearray(file.read_bytes())
    content[12] ^= 1
    file.write_bytes(content)
    start(tmp_path, readonly=True)
    assert file.read_bytes() == content
    work = start(tmp_path)
    [kept] = file.parent.glob("*.damaged-*.journal")
    assert kept.read_bytes() == content
    assert work.notes == [f"{file} is damaged; its edits are only in {kept.name}"]
    np.testing.assert_array_equal(work.now.labels, painted(*[ONE, TWO][:saved]))
    work.record(THREE)
    work.close()
    again = start(tmp_path)
    assert again.notes == []
    np.testing.assert_array_equal(again.now.labels, painted(*[ONE, TWO][:saved], THREE))


def test_damage_to_both_generations_says_that_something_is_lost(tmp_path):
    session(tmp_path, ONE, TWO, THREE)
    truncate(labels(tmp_path))
    truncate(tmp_path / "journal" / "a" / "previous-labels.tif")
    work = start(tmp_path)
    np.testing.assert_array_equal(work.now.labels, painted(THREE))
    assert "put back a copy of the file" in work.notes[0]


def test_labels_from_elsewhere_are_taken_as_they_are_and_survive_damage(tmp_path):
    labels(tmp_path).parent.mkdir()
    tifffile.imwrite(labels(tmp_path), painted(ONE).astype(np.uint8))
    work = start(tmp_path)
    np.testing.assert_array_equal(work.now.labels, painted(ONE))
    work.record(TWO)
    work.close()
    overwrite(labels(tmp_path))
    np.testing.assert_array_equal(start(tmp_path).now.labels, painted(ONE, TWO))


def test_labels_of_another_size_without_a_journal_are_refused(tmp_path):
    labels(tmp_path).parent.mkdir()
    another_size(labels(tmp_path))
    with pytest.raises(ProjectError, match=r"a.tif: cannot be used \(it is 5×5, but the image is 48×64\); put back"):
        start(tmp_path)


def test_image_of_another_size_is_refused(tmp_path):
    session(tmp_path, ONE)
    with pytest.raises(ProjectError, match=r"belongs to an image of 48×64, but the image is 10×10"):
        Work.open(tmp_path, "a", (10, 10))


@pytest.mark.parametrize("crash", [True, False])
def test_labels_changed_while_closed_are_used_and_ours_kept(tmp_path, crash):
    session(tmp_path, ONE, TWO, crash=crash)
    tifffile.imwrite(labels(tmp_path), painted(THREE).astype(np.uint16))
    work = start(tmp_path)
    np.testing.assert_array_equal(work.now.labels, painted(THREE))
    [kept] = (tmp_path / "labels").glob("a.before-*.tif")
    np.testing.assert_array_equal(tifffile.imread(kept), painted(ONE, TWO))
    assert kept.name in work.notes[0]
    work.close()
    truncate(labels(tmp_path))
    np.testing.assert_array_equal(start(tmp_path).now.labels, painted(THREE))


def test_labels_changed_while_open_are_kept_beside(tmp_path):
    work = start(tmp_path)
    work.record(ONE)
    work.save(annotation(ONE))
    tifffile.imwrite(labels(tmp_path), painted(THREE).astype(np.uint16))
    work.record(TWO)
    work.save(annotation(ONE, TWO))
    [kept] = (tmp_path / "labels").glob("a.outside-*.tif")
    np.testing.assert_array_equal(tifffile.imread(kept), painted(THREE))
    np.testing.assert_array_equal(tifffile.imread(labels(tmp_path)), painted(ONE, TWO))
    assert "changed outside of napari; that version is kept" in work.notes[0]
    work.close()
    overwrite(labels(tmp_path))
    np.testing.assert_array_equal(start(tmp_path).now.labels, painted(ONE, TWO))


def test_damage_inside_the_journal_is_told_and_nothing_thrown_away(tmp_path):
    work = start(tmp_path)
    for edit in (ONE, TWO, THREE):
        work.record(edit)
    work.close()
    file = tmp_path / "journal" / "a" / "000001.journal"
    data = bytearray(file.read_bytes())
    place = data.index(b'"index": 2')
    data[place] ^= 1
    file.write_bytes(data)
    again = start(tmp_path)
    np.testing.assert_array_equal(again.now.labels, painted(ONE))
    [kept] = (tmp_path / "journal" / "a").glob("*.damaged-*.journal")
    assert kept.read_bytes() == data
    assert kept.name in again.notes[0]


def full(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_loses_nothing(tmp_path, monkeypatch):
    session(tmp_path, ONE)
    work = start(tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ProjectError, match=r"not saved \(No space left on device\); make room.* kept in memory"):
        work.record(TWO)
    monkeypatch.undo()
    monkeypatch.setattr("napari_pffnet.io.own_file.write_atomic", full)
    with pytest.raises(ProjectError, match="No space left"):
        work.save(annotation(ONE, TWO))
    monkeypatch.undo()
    np.testing.assert_array_equal(tifffile.imread(labels(tmp_path)), painted(ONE))
    work.close()
    crashed = start(tmp_path)
    np.testing.assert_array_equal(crashed.now.labels, painted(ONE, TWO))
    crashed.save(crashed.now)
    np.testing.assert_array_equal(tifffile.imread(labels(tmp_path)), painted(ONE, TWO))


@pytest.mark.parametrize("step", range(1, 12))
def test_a_snapshot_that_stops_after_any_step_loses_nothing(tmp_path, monkeypatch, step):
    session(tmp_path, ONE, TWO)
    work = start(tmp_path)
    work.record(THREE)
    left = iter(range(step))

    def dying(function):
        def call(*arguments, **named):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "write", "link"):
            patch.setattr(os, name, dying(getattr(os, name)))
        with contextlib.suppress(KeyboardInterrupt):
            work.save(annotation(ONE, TWO, THREE))
    again = start(tmp_path)
    np.testing.assert_array_equal(again.now.labels, painted(ONE, TWO, THREE))
    assert list(again.now.rows) == [1, 2, 3]
    assert again.notes == []


def test_a_folder_for_reading_is_read_with_its_journal_and_left_alone(tmp_path):
    session(tmp_path, ONE, TWO, crash=True)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    work = start(tmp_path, readonly=True)
    np.testing.assert_array_equal(work.now.labels, painted(ONE, TWO))
    with pytest.raises(ProjectError, match="open for reading only; use Save As"):
        work.record(THREE)
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def test_ids_beyond_16_and_32_bit_survive(tmp_path):
    for label in (70_000, 2**33):
        big = annotation(ONE)
        big.labels = big.labels.astype(np.int64) * label
        work = start(tmp_path)
        work.save(big)
        work.close()
        assert start(tmp_path).now.labels.max() == label
