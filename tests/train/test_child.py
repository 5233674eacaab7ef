"""Training in a process of its own: started, watched, stopped, killed, found again."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import fake_training
from napari_pffnet.io import process
from napari_pffnet.train import child
from napari_pffnet.train.child import EXIT_FILE, RUN_FILE, Run, RunError, find, start, tail

FAKE = str(Path(fake_training.__file__))


@pytest.fixture
def begin(tmp_path):
    """Starts fake trainings, and ends what is left of them."""
    runs = []

    def begin(*how, output=tmp_path / "run"):
        runs.append(start([sys.executable, FAKE, str(output), *how], output))
        return runs[-1]

    yield begin
    for run in runs:
        run.kill()


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def kinds(run):
    return [event["kind"] for event in run.events()]


def worker(run):
    """Number of the process that trains: the child of the one that watches."""
    pid = json.loads((run.output / RUN_FILE).read_text())["pid"]
    found = []
    wait_for(lambda: found.extend(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) or found)
    return int(found[0])


def test_a_run_ends_with_a_model_and_all_its_events(begin):
    run = begin("steps=10")
    wait_for(lambda: run.state == "ended")
    assert kinds(run) == ["plan", *["step"] * 10, "validation", "checkpoint", "gate"]
    assert (run.output / "best.safetensors").exists()
    assert run.failure() == ""
    assert tail(run.output / "run.log") == [f"fake training in {run.output}"]


def test_events_come_bit_by_bit_and_half_lines_later(tmp_path):
    (tmp_path / RUN_FILE).write_text("{}")
    run, log = Run(tmp_path), tmp_path / "log.jsonl"
    assert run.events() == []
    log.write_text('{"kind": "message", "text": "one"}\n{"kind": "mess')
    assert [event["text"] for event in run.events()] == ["one"]
    with log.open("a") as file:
        file.write('age", "text": "two"}\nno event\n')
    assert [event["text"] for event in run.events(1)] == ["two"]
    assert run.events(2) == []


def test_a_long_log_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "READ", 200)
    (tmp_path / RUN_FILE).write_text("{}")
    fake_training.write(tmp_path, *({"kind": "message", "text": str(i)} for i in range(20)))
    run = Run(tmp_path)
    assert 0 < len(run.events()) < 20
    wait_for(lambda: len(run.events()) == 20)


def test_stop_keeps_the_best(begin):
    run = begin("steps=100000", "seconds=0.01")
    wait_for(lambda: "step" in kinds(run))
    assert run.state == "running"
    run.pause(True)
    run.stop()
    wait_for(lambda: run.state == "ended")
    assert (run.output / "best.safetensors").exists()


def test_pause_holds_it_until_it_may_go_on(begin):
    run = begin("steps=100000", "seconds=0.01")
    wait_for(lambda: "step" in kinds(run))
    run.pause(True)
    assert run.state == "paused"
    time.sleep(0.2)
    before = len(run.events())
    time.sleep(0.2)
    assert len(run.events()) == before
    run.pause(False)
    wait_for(lambda: len(run.events()) > before)


def test_one_folder_has_one_run_at_a_time(begin):
    run = begin("hang")
    with pytest.raises(RunError, match="goes on in"):
        begin("hang")
    run.kill()
    assert begin("steps=1").state == "running"


def test_a_run_goes_on_without_the_process_that_watches(begin):
    run = begin("steps=100000", "seconds=0.01")
    trainer, watcher = worker(run), json.loads((run.output / RUN_FILE).read_text())["pid"]
    about = {"pid": trainer, "started": process.started(trainer), "host": socket.gethostname()}
    (run.output / child.PROCESS_FILE).write_text(json.dumps(about))
    os.kill(watcher, signal.SIGKILL)
    wait_for(lambda: not process.alive(watcher, None) or child._OURS[watcher].poll() is not None)
    assert run.state == "running"
    run.kill()
    assert run.state == "failed"
    wait_for(lambda: not process.alive(trainer, about["started"]))


BY_HAND = """
import subprocess, sys, time
from pathlib import Path
from napari_pffnet.train.child import register
output = Path(sys.argv[1])
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
register(output, ["--project", "somewhere"])
time.sleep(600)
"""


def test_a_run_that_was_started_by_hand_is_found_and_ended_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", BY_HAND, str(tmp_path)]) as by_hand:
        wait_for(lambda: find(tmp_path) is not None)
        run = find(tmp_path)
        assert (run.state, run.command[1:]) == ("running", ["-m", "napari_pffnet.train", "--project", "somewhere"])
        children = psutil.Process(by_hand.pid).children()
        run.pause(True)
        assert run.state == "paused"
        run.kill()
        assert by_hand.wait(20) == -signal.SIGKILL
    assert (run.state, run.failure()) == ("failed", "You ended the training.")
    assert children
    wait_for(lambda: not any(process.alive(each.pid, None) for each in children))


def test_of_two_programs_that_start_a_run_at_once_one_goes_on(tmp_path, begin, monkeypatch):
    second, real = [], child._watch_apart

    def meanwhile(*arguments):
        with pytest.raises(RunError, match=r"being started in .* by another program") as error:
            start(["true"], tmp_path / "run")
        second.append(error)
        return real(*arguments)

    monkeypatch.setattr(child, "_watch_apart", meanwhile)
    run = begin("steps=1")
    assert len(second) == 1
    wait_for(lambda: run.state == "ended")
    assert not (run.output / child.LOCK_FILE).exists()


def test_the_command_knows_whose_run_it_is(tmp_path):
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['NAPARI_PFFNET_RUN'])"
    run = start([sys.executable, "-c", code, str(tmp_path / "said")], tmp_path / "run")
    wait_for(lambda: run.state == "ended")
    assert (tmp_path / "said").read_text() == str(run.output)


def test_a_command_that_does_not_exist_is_a_failure(tmp_path):
    run = start(["no-such-program"], tmp_path)
    wait_for(lambda: run.state == "failed")
    assert "no-such-program: No such file" in run.failure()


def test_a_run_whose_file_cannot_be_written_is_ended(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(child, "write_atomic", full)
    watchers, watch_apart = [], child._watch_apart
    monkeypatch.setattr(child, "_watch_apart", lambda *what: watchers.append(watch_apart(*what)) or watchers[0])
    with pytest.raises(RunError, match="No space left"):
        start([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path)
    assert watchers[0].wait(20) != 0, "it was ended"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be started in"):
        start(["true"], tmp_path / "file")


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("memory", "Memory ran out. Choose smaller crops"),
        ("exit", "Training ended: no images; mark some as done"),
        ("crash", "Training crashed (SIGSEGV)"),
    ],
)
def test_failures_say_why_and_show_the_end_of_the_log(begin, how, cause):
    run = begin("steps=1", how)
    wait_for(lambda: run.state == "failed")
    assert run.failure().startswith(cause)
    assert "fake training in" in run.failure()


def test_a_killed_training_is_noticed_by_another_program(begin, tmp_path):
    """``kill -9`` of the training, as the system does when memory is short; then another process looks at the run."""
    run = begin("hang")
    wait_for(lambda: "step" in kinds(run))
    os.kill(worker(run), signal.SIGKILL)
    wait_for(lambda: run.state == "failed")
    look = f"from napari_pffnet.train.child import find; r = find({str(run.output)!r}); print(r.state, r.failure())"
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert seen.startswith("failed The system ended the training, most likely because memory ran out")


def test_a_run_survives_the_program_that_started_it(tmp_path):
    """Another program starts it and ends at once, with all of its own processes; this one finds it and stops it."""
    command = [sys.executable, FAKE, str(tmp_path), "steps=100000", "seconds=0.01"]
    begin = (
        f"import os; from napari_pffnet.train.child import start; start({command!r}, {str(tmp_path)!r}); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", begin], check=True, start_new_session=True)
    run = find(tmp_path)
    wait_for(lambda: "step" in kinds(run))
    assert run.state == "running"
    assert run.command == command
    run.stop()
    wait_for(lambda: run.state == "ended")


def test_a_run_whose_processes_all_vanished_has_failed(begin):
    run = begin("hang")
    os.killpg(json.loads((run.output / RUN_FILE).read_text())["pid"], signal.SIGKILL)
    wait_for(lambda: run.state == "failed")
    assert "cut off" in run.failure()


def test_ending_it_oneself_is_no_riddle(begin):
    run = begin("hang")
    pid = worker(run)
    run.kill()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert run.state == "failed"
    assert run.failure().startswith("You ended the training.")


def test_of_another_machine_only_the_files_tell(tmp_path):
    (tmp_path / RUN_FILE).write_text(json.dumps({"pid": 1, "host": "elsewhere", "command": []}))
    run = find(tmp_path)
    assert run.state == "running"
    with pytest.raises(RunError, match="on elsewhere"):
        run.kill()
    (tmp_path / EXIT_FILE).write_text('{"code": 0}')
    assert run.state == "ended"


@pytest.mark.parametrize("has_proc", [True, False])
@pytest.mark.parametrize(("pid", "since"), [(1, None), (0, None), (os.getpid(), None), (os.getpid(), 1)])
def test_a_process_that_is_not_surely_the_training_is_never_ended(tmp_path, monkeypatch, pid, since, has_proc):
    if not has_proc:
        monkeypatch.setattr(process, "_facts", lambda _: [])
    about = {"pid": pid, "host": socket.gethostname(), "started": since, "command": []}
    (tmp_path / RUN_FILE).write_text(json.dumps(about))
    ended = []
    monkeypatch.setattr(child, "_end", ended.append)
    assert find(tmp_path).state == "failed"
    find(tmp_path).kill()
    assert not ended


def test_on_windows_too_the_viewer_has_the_machine_first(tmp_path, monkeypatch):
    flags, started = {"CREATE_NEW_PROCESS_GROUP": 1, "CREATE_NO_WINDOW": 2, "BELOW_NORMAL_PRIORITY_CLASS": 4}, []
    for name, value in flags.items():
        monkeypatch.setattr(subprocess, name, value, raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **how: started.append(how["creationflags"]))
    monkeypatch.setattr(sys, "platform", "win32")
    child._watch_apart(["train"], tmp_path)
    assert started == [7]


@pytest.mark.parametrize(
    ("code", "said"),
    [(0xC0000005, "Training crashed (0xC0000005)."), (0xC000012D, "Memory ran out."), (3, "ended with exit code 3")],
)
def test_codes_of_windows_are_explained(code, said):
    assert said in child._cause({"code": code}, [])


def test_the_cause_is_that_of_the_last_start():
    printed = ["torch.OutOfMemoryError: CUDA out of memory", "error: no model 'x'"]
    assert child._cause({"code": 2}, printed) == "Training ended: no model 'x'"
    assert child._cause({"code": 1}, printed[:1]).startswith("Memory ran out")


def test_a_long_line_of_the_log_is_read(tmp_path):
    (tmp_path / RUN_FILE).write_text("{}")
    line = json.dumps({"kind": "plan", "held_out": ["x" * 100] * 1000})
    (tmp_path / "log.jsonl").write_text(f"{line}\n")
    assert kinds(find(tmp_path)) == ["plan"]


def test_no_run_is_found_where_none_was(tmp_path):
    assert find(tmp_path) is None


def test_of_a_progress_bar_the_last_state_is_kept(tmp_path):
    (tmp_path / "log").write_text("start\n10%\r20%\r30%\nend\n")
    assert tail(tmp_path / "log") == ["start", "30%", "end"]
