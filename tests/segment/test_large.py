"""Images of any size: the same result as in memory, resumed after a kill, visible while it is made."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from fakes import BrightSquares, fake_model, squares_image
from napari_pffnet.config import SegmentConfig
from napari_pffnet.io import ome_zarr
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.segment import Cancelled, Segmenter
from napari_pffnet.segment import large_job as module
from napari_pffnet.segment.large import segment_large
from napari_pffnet.segment.large_job import LargeError, OtherWork, liveliest_place, sampled_limits
from napari_pffnet.segment.segmenter import sample_windows

IMAGE, COUNT = squares_image((300, 420))
CONFIG = SegmentConfig(tile=100, tile_overlap=32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(ome_zarr, "BLOCK", 128)


def segmenter(network=None, config=CONFIG):
    return Segmenter(fake_model(network), config)


def begun(output):
    """Whether a run has measured the image: then it is cancelled before the first tile."""
    return output.with_suffix(".partial").joinpath("job.json").exists


def read(done):
    return zarr.open(done.labels, mode="r")["labels/nuclei/0"][:], pd.read_csv(done.table)


def same_objects(a, b):
    """Whether two label images are equal but for the numbers."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()], 1), axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b)) and pairs[0].tolist() == [0, 0]


def test_labels_are_those_of_the_image_in_memory_and_the_table_counts_them(tmp_path):
    wanted = segmenter().predict(IMAGE).compose(CONFIG)
    done = segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    labels, table = read(done)
    assert same_objects(labels, wanted.labels)
    assert done.count == len(table) == labels.max() == COUNT
    assert table["index"].tolist() == list(range(1, COUNT + 1))
    assert table["area"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    for row in table.iloc[::50].itertuples():
        np.testing.assert_allclose([row.y, row.x], np.argwhere(labels == row.index).mean(0), atol=1e-4)
    np.testing.assert_allclose(sorted(table["score"]), sorted(wanted.table["score"]), atol=1e-4)
    np.testing.assert_array_equal(zarr.open(done.labels)["labels/semantic/0"][:], wanted.semantic)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.zarr"]


def test_after_a_kill_only_the_rest_is_computed(tmp_path):
    first, second = BrightSquares(), BrightSquares()

    class Killed(Exception):
        pass

    def kill(done, total):
        if done == 7:
            raise Killed

    with pytest.raises(Killed):
        segment_large(LazyPlane(IMAGE), segmenter(first), tmp_path / "a", progress=kill)
    assert (tmp_path / "a.partial").is_dir()
    assert not (tmp_path / "a.zarr").exists()
    steps = []
    done = segment_large(LazyPlane(IMAGE), segmenter(second), tmp_path / "a", progress=lambda *s: steps.append(s))
    assert steps[0][0] == 7
    assert len(first.seen) + len(second.seen) <= steps[0][1]
    whole = segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "b")
    np.testing.assert_array_equal(read(done)[0], read(whole)[0])


@pytest.mark.parametrize("what", ["image", "model", "tile overlap"])
def test_what_was_begun_with_something_else_is_refused_unless_restarted(tmp_path, what):
    def stop():
        return len(network.seen) == 3

    network = BrightSquares()
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(network), tmp_path / "a", cancelled=stop)
    image, config, network = IMAGE, CONFIG, BrightSquares()
    if what == "image":
        image = IMAGE.copy()
        image[200, 200] = 0.1234
    elif what == "model":
        network.weight.data += 1
    else:
        config = CONFIG.model_copy(update={"tile_overlap": 40})
    with pytest.raises(LargeError, match=f"another {what}; .*--restart"):
        segment_large(LazyPlane(image), segmenter(network, config), tmp_path / "a")
    assert segment_large(LazyPlane(image), segmenter(network, config), tmp_path / "a", restart=True).count > 0


def test_thresholds_may_change_but_not_below_what_was_kept(tmp_path):
    def run(name, score, **more):
        config = CONFIG.model_copy(update={"score_threshold": score, "precision": "float32", "tile_batch": 2})
        return segment_large(LazyPlane(IMAGE), segmenter(config=config), tmp_path / name, **more)

    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=iter([False] * 9 + [True]).__next__)
    with pytest.raises(LargeError, match=r"another score threshold \(at least 0.25\)"):
        run("a", 0.2)
    np.testing.assert_array_equal(read(run("a", 0.7))[0], read(run("b", 0.7))[0])


def test_low_scores_that_an_earlier_run_kept_take_no_place_at_seams(tmp_path):
    class Moody(BrightSquares):
        """Hardly believes in what lies in the left third of a tile."""

        def found_in(self, image):
            found = super().found_in(image)
            left = found["boxes"][:, 0] < image.shape[2] / 3
            return {**found, "scores": torch.where(left, 0.34 / 0.9, found["scores"])}

    def run(name, score, **more):
        config = CONFIG.model_copy(update={"score_threshold": score, "tile_overlap": 64})
        return segment_large(LazyPlane(IMAGE), segmenter(Moody(), config), tmp_path / name, **more)

    with pytest.raises(Cancelled):
        run("a", 0.5, cancelled=iter([False] * 30 + [True]).__next__)
    np.testing.assert_array_equal(read(run("a", 0.7))[0], read(run("b", 0.7))[0])


@pytest.mark.parametrize("lost", ["job.json", "statistics.npz", "half of statistics.npz"])
def test_tiles_of_which_nothing_is_known_are_not_used(tmp_path, lost):
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=iter([False] * 20 + [True]).__next__)
    file = tmp_path / "a.partial" / lost.removeprefix("half of ")
    content = file.read_bytes()
    file.unlink()
    if lost != file.name:
        file.write_bytes(content[: len(content) // 2])
    other = np.zeros_like(IMAGE)
    other[:12, :12] = 1
    assert segment_large(LazyPlane(other), segmenter(), tmp_path / "a").count == 1


def test_tiles_that_are_cut_otherwise_are_not_mixed(tmp_path, monkeypatch):
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=begun(tmp_path / "a"))
    monkeypatch.setattr("napari_pffnet.segment.segmenter.STRIDE", 8)
    with pytest.raises(LargeError, match="another version of the program"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")


def test_a_zarr_that_is_no_result_is_left_alone(tmp_path):
    zarr.save_array(tmp_path / "a.zarr", IMAGE)
    with pytest.raises(LargeError, match=r"a.zarr is there and no result of a segmentation; choose another"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    done = segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "b")
    zarr.open(done.labels)["labels"].create_group("mine")
    with pytest.raises(LargeError, match="no result"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "b")
    np.testing.assert_array_equal(zarr.open(tmp_path / "a.zarr")[:], IMAGE)


def test_a_result_stays_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    rename, before = Path.rename, {file for file in tmp_path.rglob("*") if file.is_file()}

    def refuse(path, target):
        if path.name == "result.zarr":
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    assert before <= set(tmp_path.rglob("*"))
    monkeypatch.setattr(Path, "rename", rename)
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a").count == COUNT
    assert {path.name for path in tmp_path.iterdir()} == {"a.zarr", "a.csv"}


def test_the_zoom_is_settled_by_the_first_run(tmp_path, monkeypatch):
    zooms = iter([0.5, 0.25])

    def sized(before, *_image):
        config = before.config.model_copy(update={"scale": next(zooms)})
        return Segmenter(before.model, config)

    monkeypatch.setattr(module, "sized", sized)
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=begun(tmp_path / "a"))
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a").zoom == 0.5
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "b").zoom == 0.25


def test_blocks_are_shown_while_other_tiles_are_looked_at(tmp_path):
    seen, first = [], threading.Event()

    def show(shown):
        seen.append(shown.window)
        first.set()
        assert shown.nuclei.levels[0][shown.window].any() == (IMAGE[shown.window] > 0.55).any()

    def progress(done, total):
        assert done < 0.7 * total or first.wait(30)

    segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", progress=progress, shown=show)
    assert len(set(map(str, seen))) == len(seen) == 3 * 4


def test_what_goes_wrong_in_drawing_ends_the_run(tmp_path):
    def show(_shown):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", shown=show)
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a").count == COUNT


def test_while_the_last_blocks_are_drawn_progress_goes_on_and_a_run_can_be_cancelled(tmp_path):
    steps, stopped = [], threading.Event()

    def show(_shown):
        assert stopped.wait(30)

    def cancelled():
        if steps.count((24, 24)) > 2:
            stopped.set()
        return stopped.is_set()

    def progress(*step):
        steps.append(step)

    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", progress=progress, cancelled=cancelled, shown=show)
    assert not (tmp_path / "a.zarr").exists()


def test_a_tile_that_is_damaged_is_computed_anew_by_the_next_run(tmp_path):
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=iter([False] * 20 + [True]).__next__)
    tile = sorted((tmp_path / "a.partial" / "tiles").glob("0*.npz"))[0]
    content = bytearray(tile.read_bytes())
    content[300:400] = bytes(100)
    tile.write_bytes(content)
    with pytest.raises(OSError, match=f"{tile.name} was damaged and has been removed"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a").count == COUNT


def test_blank_tiles_are_not_looked_at(tmp_path):
    image = IMAGE.copy()
    image[:, 150:] = 0
    network = BrightSquares()
    segment_large(LazyPlane(image), segmenter(network), tmp_path / "a")
    everything = len(segmenter().tiles(image.shape))
    assert 0 < len(network.seen) < 0.6 * everything


def test_an_older_result_stays_until_the_new_one_is_there(tmp_path):
    old = segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE * 2), segmenter(), tmp_path / "a", cancelled=lambda: True)
    assert read(old)[1].shape[0] == COUNT
    assert segment_large(LazyPlane(0 * IMAGE), segmenter(), tmp_path / "a", restart=True).count == 0
    assert not read(old)[0].any()


def test_the_place_to_find_the_size_of_nuclei_is_where_they_are(monkeypatch):
    monkeypatch.setattr(module, "PLACE_SIDE", 60)
    image = np.zeros((300, 420), np.float32)
    image[200:260, 300:360] = IMAGE[200:260, 300:360]
    np.testing.assert_array_equal(liveliest_place(LazyPlane(image)).shape, (60, 60))
    assert liveliest_place(LazyPlane(image)).max() > 0.5


def test_limits_come_from_squares_spread_over_the_image(monkeypatch):
    exact, pixels = sampled_limits(LazyPlane(IMAGE), (1, 99.8))
    assert pixels.size == IMAGE.size
    monkeypatch.setattr(module, "READ_WHOLE", 1)
    monkeypatch.setattr(module, "SAMPLE_SIDE", 16)
    sampled, pixels = sampled_limits(LazyPlane(IMAGE), (1, 99.8))
    assert pixels.size == len(sample_windows(IMAGE.shape, 16, 64)) * 16**2
    np.testing.assert_allclose(sampled, exact, atol=0.05)


def test_limits_see_nuclei_that_lie_in_one_place():
    rng = np.random.default_rng(0)
    image = rng.normal(100, 10, (4200, 4200)).astype(np.float32)
    image[130:270, 900:1400] += 1000  # 0.4 % of the image
    exact = np.percentile(image, (1, 99.8))
    np.testing.assert_allclose(sampled_limits(LazyPlane(image), (1, 99.8))[0], exact, rtol=0.1)


def test_two_at_one_place_do_not_damage_each_other(tmp_path):
    plane = LazyPlane(IMAGE)

    def second(done, total):
        if done == 3:
            with pytest.raises(LargeError, match=r"is being made already, by .*; wait for that, or delete"):
                segment_large(plane, segmenter(), tmp_path / "a", restart=True)

    done = segment_large(plane, segmenter(), tmp_path / "a", progress=second)
    assert done.count == COUNT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.zarr"]
    assert segment_large(plane, segmenter(), tmp_path / "a").count == COUNT


@pytest.mark.parametrize("at_once", [2, 5])
def test_tiles_seen_together_give_the_same_image(tmp_path, at_once):
    image = IMAGE.copy()
    image[:, 100:230] = 0  # some tiles are blank
    together = []

    class Counting(BrightSquares):
        def encode(self, images):
            together.append(len(images))
            return super().encode(images)

    def labels(name, count):
        config = CONFIG.model_copy(update={"tile_batch": count})
        return read(segment_large(LazyPlane(image), segmenter(Counting(), config), tmp_path / name))[0]

    np.testing.assert_array_equal(labels("many", at_once), labels("one", 1))
    assert max(together) == at_once


def test_a_run_goes_on_after_memory_allowed_one_tile_at_a_time_only(tmp_path):
    class Narrow(BrightSquares):
        def encode(self, images):
            if len(images) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().encode(images)

    network = Narrow()
    short = segmenter(network, CONFIG.model_copy(update={"tile_batch": 4}))
    with pytest.warns(UserWarning, match="one tile at a time"), pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), short, tmp_path / "a", cancelled=lambda: len(network.seen) >= 3)
    steps = []
    done = segment_large(LazyPlane(IMAGE), short, tmp_path / "a", progress=lambda *step: steps.append(step[0]))
    assert steps[0] > 0
    assert done.count == COUNT


def test_the_next_tile_is_read_while_the_network_looks_at_this_one(tmp_path):
    begun, reads, met = tmp_path / "a.partial" / "job.json", threading.Semaphore(0), []

    class Watched(LazyPlane):
        def read(self, window):
            if begun.exists():
                reads.release()
            return super().read(window)

    class Waiting(BrightSquares):
        def encode(self, images):
            if begun.exists():
                if not met:
                    reads.acquire()
                met.append(reads.acquire(timeout=5))
            return super().encode(images)

    stops = iter([False] * 3 + [True])

    def stop():
        return begun.exists() and next(stops)

    with pytest.raises(Cancelled):
        segment_large(Watched(IMAGE), segmenter(Waiting()), tmp_path / "a", cancelled=stop)
    assert met
    assert all(met)


def test_errors_of_reading_are_told_and_what_was_done_is_kept(tmp_path):
    threads, reads = set(), []

    class Damaged(LazyPlane):
        def read(self, window):
            if (tmp_path / "a.partial" / "job.json").exists():
                threads.add(threading.current_thread())
                reads.append(window)
                if len(reads) == 4:
                    raise OSError("the disk is gone")
            return super().read(window)

    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        segment_large(Damaged(IMAGE), segmenter(), tmp_path / "a", progress=lambda done, total: seen.append(done))
    assert seen == [0, 1, 2, 3], "those before are kept"
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)
    assert read(segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a"))[0].max() == COUNT


def test_measuring_can_be_stopped(tmp_path):
    stops = iter([False, True])
    network = BrightSquares()
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(network), tmp_path / "a", cancelled=stops.__next__)
    assert not network.seen
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a").count == COUNT


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match=r"cannot write to .*/a \(.*\); choose another folder"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a" / "b")


def test_the_liveliest_place_is_where_there_are_pixels(monkeypatch):
    monkeypatch.setattr(module, "PLACE_SIDE", 256)
    image = np.random.default_rng(0).random((600, 1200), np.float32) * 0.1
    image[:, :600] = np.nan
    image[300:, 900:] *= 9
    place = liveliest_place(LazyPlane(image))
    assert np.isfinite(place).all()
    assert place.max() > 0.5


@pytest.mark.parametrize("name", ["notes.txt", "tiles/mine.png", "results/a.npz"])
@pytest.mark.parametrize("restart", [True, False])
def test_a_folder_of_the_same_name_that_holds_other_files_is_left_alone(tmp_path, name, restart):
    mine = tmp_path / "a.partial" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(LargeError, match=r"is not of a segmentation; move it away, or choose another folder or name"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", restart=restart)
    assert mine.read_text() == "mine"


def test_what_the_system_puts_into_folders_is_no_obstacle(tmp_path):
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / ".DS_Store").write_text("")
    segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    assert (tmp_path / "a.zarr").exists()
    assert not (tmp_path / "a.partial").exists()


def test_a_file_in_place_of_the_folder_is_left_alone(tmp_path):
    (tmp_path / "a.partial").write_text("mine")
    with pytest.raises(LargeError, match=r"a.partial is there and no folder; move it away, or choose another"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    assert (tmp_path / "a.partial").read_text() == "mine"


def test_what_a_kill_leaves_in_the_folder_is_no_hindrance(tmp_path):
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=iter([False] * 20 + [True]).__next__)
    work = tmp_path / "a.partial"
    for name in (".job-0af.json", ".statistics-0af.npz", "tiles/.000001-0af.npz"):
        (work / name).write_bytes(b"half")
    (work / ".tiles.old").mkdir()
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a").count == COUNT
    assert not work.exists()


@pytest.mark.parametrize("content", [b"", b"half of a tile"])
def test_tiles_that_are_damaged_are_computed_again(tmp_path, content):
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=iter([False] * 20 + [True]).__next__)
    tiles = sorted((tmp_path / "a.partial" / "tiles").iterdir())
    tiles[0].write_bytes(content)
    steps = []
    done = segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", progress=lambda *step: steps.append(step[0]))
    assert steps[0] == len(tiles) - 1
    assert done.count == COUNT


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\x00"])
def test_a_job_that_is_damaged_can_be_restarted_only(tmp_path, content):
    with pytest.raises(Cancelled):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", cancelled=begun(tmp_path / "a"))
    (tmp_path / "a.partial" / "job.json").write_bytes(content)
    with pytest.raises(OtherWork, match=r"another version of the program; .*--restart"):
        segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a")
    assert segment_large(LazyPlane(IMAGE), segmenter(), tmp_path / "a", restart=True).count == COUNT
