"""Tiles over a local cluster of two processes; one of them is killed."""

import builtins
import os
import signal

import numpy as np
import pandas as pd
import pytest
import zarr
from tifffile import imwrite

from napari_pffnet.cli import main
from napari_pffnet.config import SegmentConfig
from napari_pffnet.io.lazy import FilePlane, open_plane
from napari_pffnet.library import load_model
from napari_pffnet.samples import u2os
from napari_pffnet.segment import Segmenter
from napari_pffnet.segment.cluster import SpreadTiles
from napari_pffnet.segment.large import segment_large

pytestmark = pytest.mark.filterwarnings("default")
distributed = pytest.importorskip("distributed")
CONFIG = SegmentConfig(tile=128, tile_overlap=64, precision="float32")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        yield cluster


@pytest.fixture
def image(tmp_path):
    pixels = u2os()[0][0][:192, :256]
    zarr.save_array(tmp_path / "a.zarr", pixels)
    return tmp_path / "a.zarr"


def test_a_killed_worker_changes_nothing(cluster, image, tmp_path):
    segmenter, plane = Segmenter(load_model(), CONFIG), open_plane(FilePlane(str(image)))
    alone = segment_large(plane, segmenter, tmp_path / "alone")
    with distributed.Client(cluster) as client:
        spread = SpreadTiles(client, FilePlane(str(image)), "default", "cpu")
        victims, seen = list(client.run(os.getpid).values())[:1], []

        def kill_one(done, total):
            seen.append(done)
            if done == 2:
                os.kill(victims.pop(), signal.SIGKILL)

        together = segment_large(plane, segmenter, tmp_path / "together", progress=kill_one, spread=spread)
    assert not victims
    assert seen[-1] >= 6
    pd.testing.assert_frame_equal(pd.read_csv(alone.table), pd.read_csv(together.table))
    labels = [zarr.open(done.labels)["labels/nuclei/0"][:] for done in (alone, together)]
    assert labels[0].any()
    np.testing.assert_array_equal(*labels)


def test_workers_see_what_has_changed_since_the_last_run(cluster, tmp_path):
    image = tmp_path / "a.tif"

    def labels(pixels, *, spread):
        imwrite(tmp_path / "new.tif", pixels, tile=(64, 64))
        (tmp_path / "new.tif").replace(image)
        segmenter, plane = Segmenter(load_model(), CONFIG), open_plane(FilePlane(str(image)))
        with distributed.Client(cluster) as client:
            elsewhere = SpreadTiles(client, FilePlane(str(image)), "default", "cpu") if spread else None
            done = segment_large(plane, segmenter, tmp_path / "out", spread=elsewhere)
        return zarr.open(done.labels)["labels/nuclei/0"][:]

    pixels = u2os()[0][0][:192, :256]
    labels(pixels, spread=True)
    np.testing.assert_array_equal(labels(pixels[::-1], spread=True), labels(pixels[::-1], spread=False))


def test_workers_in_other_folders_write_to_the_users(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imwrite("raw.tif", u2os()[0][0][:96, :96])
    os.symlink("raw.tif", "good.tif")
    with distributed.Client(cluster) as client:
        client.run(os.chdir, "/")
    address = cluster.scheduler_address
    assert main(["segment", "good.tif", "--output", "out", "--scheduler", address, "--device", "cpu"]) == 0
    assert (tmp_path / "out" / "good_labels.tif").is_file()


def test_workers_see_the_level_that_is_chosen(cluster, tmp_path, capsys):
    image = np.kron(u2os()[0][0][:128, :128], np.ones((4, 4), np.uint16))
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    for level in range(3):
        part = image[:: 2**level, :: 2**level]
        group.create_array(str(level), shape=part.shape, chunks=(64, 64), dtype=part.dtype)[:] = part
    datasets = [{"path": str(level)} for level in range(3)]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": ["y", "x"], "datasets": datasets}]
    common = [
        "segment",
        str(tmp_path / "a.zarr"),
        "--device",
        "cpu",
        "--level",
        "auto",
        "--diameter",
        "120",
        "--output",
    ]
    assert main([*common, str(tmp_path / "alone")]) == 0
    assert main([*common, str(tmp_path / "together"), "--scheduler", cluster.scheduler_address]) == 0
    assert "a.zarr: level 2 of 0 to 2, 128 × 128" in capsys.readouterr().err
    alone, together = (zarr.open(tmp_path / name / "a.zarr")["labels/nuclei/0"][:] for name in ("alone", "together"))
    assert alone.any()
    np.testing.assert_array_equal(alone, together)


def test_files_are_spread_too_and_bad_ones_reported(cluster, tmp_path, capsys):
    imwrite(tmp_path / "good.tif", u2os()[0][0][:96, :96])
    (tmp_path / "bad.png").write_bytes(b"no image")
    files = [str(tmp_path / name) for name in ("good.tif", "bad.png")]
    address = cluster.scheduler_address
    assert main(["segment", *files, "--output", str(tmp_path / "out"), "--scheduler", address, "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    assert "good.tif: " in printed.out
    assert "bad.png: " in printed.err
    assert (tmp_path / "out" / "good_labels.tif").is_file()


def test_without_the_package_the_message_names_it(monkeypatch, tmp_path, capsys):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "a.png").touch()
    arguments = [str(tmp_path / "a.png"), "--output", str(tmp_path), "--scheduler", "tcp://127.0.0.1:1"]
    assert main(["segment", *arguments]) == 2
    assert "pip install 'napari-pffnet[cluster]'" in capsys.readouterr().err
