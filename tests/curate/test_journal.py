"""Nothing is lost, whenever the program is killed."""

import errno
import multiprocessing
import os
import random

import numpy as np
import pytest

from editing import SHAPE, apply, edit_number, work_until_killed
from napari_pffnet.curate.journal import Journal, encode, read_journal
from napari_pffnet.curate.work import Annotation, Work

KILLS = 50


def contents(file):
    return [record.content["n"] for record in read_journal(file)[0]]


def journal(tmp_path, count=3):
    made = Journal.create(tmp_path / "1.journal", {"n": 0})
    for n in range(1, count):
        made.append({"n": n}, [np.arange(n), np.ones((2, 3), np.uint8)])
    return made


def test_records_are_read_back_with_their_arrays(tmp_path):
    made = journal(tmp_path)
    records, length = read_journal(made.file)
    assert [record.content for record in records] == [{"n": 0}, {"n": 1}, {"n": 2}]
    np.testing.assert_array_equal(records[2].arrays[0], [0, 1])
    assert (records[2].arrays[1].shape, records[2].arrays[1].dtype) == ((2, 3), np.uint8)
    assert length == made.file.stat().st_size


def test_a_torn_tail_is_cut_off_wherever_it_is_torn(tmp_path):
    file = journal(tmp_path).file
    whole = file.read_bytes()
    first = len(encode({"n": 0}))
    second = first + len(encode({"n": 1}, [np.arange(1), np.ones((2, 3), np.uint8)]))
    for end in sorted({*range(0, len(whole), 5), first - 1, first, second - 1, second}):
        file.write_bytes(whole[:end])
        records, length = read_journal(file)
        assert len(records) == (end >= first) + (end >= second)
        again = Journal(file, length)
        again.append({"n": 9})
        again.close()
        assert contents(file) == [*range(len(records)), 9]


def test_a_full_disk_keeps_the_record_for_later(tmp_path, monkeypatch):
    made = journal(tmp_path, 1)
    write = os.write

    def full(handle, data):
        write(handle, bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    for n in (1, 2):
        with pytest.raises(OSError, match="No space left"):
            made.append({"n": n})
    assert contents(made.file) == [0]
    assert read_journal(made.file)[1] == made.file.stat().st_size
    monkeypatch.undo()
    made.append({"n": 3})
    assert contents(made.file) == [0, 1, 2, 3]


def test_killed_at_any_moment_the_work_is_there(tmp_path):
    """Kill an editing process at random moments; what is recovered is the state after a finished edit."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["napari_pffnet.curate.work"])
    chance = random.Random(0)
    state, done = Annotation(np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.uint8)), 0
    ahead = 0
    for _ in range(KILLS):
        told, tell = processes.Pipe(duplex=False)
        child = processes.Process(target=work_until_killed, args=(tmp_path, done, tell))
        child.start()
        tell.close()
        acknowledged = done - 1
        assert told.recv() == -1
        child.join(chance.uniform(0, 0.08))
        child.kill()
        try:
            while True:
                acknowledged = told.recv()
        except EOFError:
            child.join()
        recovered = Work.open(tmp_path, "a", SHAPE)
        recovered.close()
        while done <= acknowledged:
            state = apply(state, edit_number(done))
            done += 1
        if not same(recovered.now, state):
            state = apply(state, edit_number(done))
            done, ahead = done + 1, ahead + 1
        assert same(recovered.now, state)
        assert recovered.notes == []
    assert done > KILLS
    assert ahead < KILLS


def same(recovered, state):
    semantic = np.zeros(SHAPE, np.uint8) if recovered.semantic is None else recovered.semantic
    rows = {label: row["area"] for label, row in recovered.rows.items()}
    return (
        np.array_equal(recovered.labels, state.labels)
        and np.array_equal(semantic, state.semantic)
        and rows == {label: row["area"] for label, row in state.rows.items()}
    )
