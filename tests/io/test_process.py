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


def test_where_starts_are_told_by_a_clock_it_may_have_been_set(monkeypatch):
    monkeypatch.setattr(process, "_facts", lambda _: [])
    since = process.started(os.getpid())
    assert process.alive(os.getpid(), since + 2)
    assert process.alive(os.getpid(), since - 2)
    assert not process.alive(os.getpid(), since - 100)


def test_a_machine_is_the_same_in_another_network(monkeypatch):
    monkeypatch.setattr(process.socket, "gethostname", lambda: "laptop.fritz.box")
    monkeypatch.setattr(process.sys, "platform", "darwin")
    assert process.machine() == "laptop"
    assert process.is_here("laptop")
    assert process.is_here("laptop.local")
    assert not process.is_here("laptop2.fritz.box")
    assert not process.is_here(None)
    monkeypatch.setattr(process.socket, "gethostname", lambda: "192.168.0.7")
    assert not process.is_here("192.168.0.5")
    monkeypatch.setattr(process.sys, "platform", "linux")
    monkeypatch.setattr(process.socket, "gethostname", lambda: "node1.alpha.edu")
    assert process.is_here("node1.alpha.edu")
    assert not process.is_here("node1.beta.edu")


def test_a_process_that_has_ended_does_not_run():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    since = process.started(ended.pid)
    ended.wait()
    assert process.started(ended.pid) is None
    assert not process.alive(ended.pid, since)
    assert not process.alive(ended.pid, None)
