"""Whether a process runs and is the one that is meant, on systems with and without /proc."""

import os
import subprocess
import sys

import pytest

from napari_pffnet.io import process


@pytest.fixture(params=[True, False], ids=["with /proc", "without"], autouse=True)
def system(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(process, "_facts", lambda _: [])


def test_this_process_runs():
    assert process.started(os.getpid()) is not None
    assert process.alive(os.getpid(), process.started(os.getpid()))
    assert process.alive(os.getpid(), None)


def test_another_process_of_the_same_number_is_not_meant():
    assert not process.alive(os.getpid(), process.started(os.getpid()) - 1000)


def test_a_process_that_has_ended_does_not_run():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    since = process.started(ended.pid)
    ended.wait()
    assert process.started(ended.pid) is None
    assert not process.alive(ended.pid, since)
    assert not process.alive(ended.pid, None)
