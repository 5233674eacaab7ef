"""A training run in a process of its own: it survives the viewer, and the viewer survives it.

All that is known of a run stands in its output folder, so that any program can find it again:

- ``run.json``: the process and its command; while that process runs, nobody else may start one here. It watches over
  the training, or, of one that was started by hand, trains itself;
- ``process.json``: the process that trains;
- ``run.log``: what it printed; ``log.jsonl``: its events;
- ``stop``, ``pause``: files that ask it to end, or to wait while the file exists;
- ``exit.json``: how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import psutil

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.errors import reason
from napari_pffnet.io.lock import InUse, Lock
from napari_pffnet.io.process import alive, is_here, machine, started
from napari_pffnet.memory import tells_of_memory
from napari_pffnet.train.control import PAUSE_FILE, STOP_FILE
from napari_pffnet.train.reporters import LOG_FILE

RUN_FILE, PROCESS_FILE, EXIT_FILE, OUTPUT_FILE = "run.json", "process.json", "exit.json", "run.log"
LOCK_FILE = "run.lock"
#: Tells a process the folder whose run it is.
OUTPUT_VARIABLE = "NAPARI_PFFNET_RUN"
State = Literal["running", "paused", "ended", "failed"]
READ = 2**16
#: exit code of a training that the user has interrupted at the terminal
INTERRUPTED = 130
#: codes of processes that Windows ended: from the first on a crash (NTSTATUS); of these, memory (no pages left)
WINDOWS_CRASH, WINDOWS_MEMORY = 0xC0000000, (0xC0000017, 0xC000012D)
WINDOWS_CLOSED = 0xC000013A
LOG_LINES = 20
SAID_LINES = 4
NICE = 10
#: how a run prints: as `tail` reads it
TEXT = "utf-8:backslashreplace"
SMALLER = "Choose smaller crops (data.augment.crop=128) or a smaller batch (batch_size=1), or close other programs"
#: Watching processes started by this program; one that has ended stays a zombie until it is asked for.
_OURS: dict[int, subprocess.Popen[bytes]] = {}


class RunError(RuntimeError):
    """A run cannot be started or ended; the message names the fix."""


class Run:
    """A run in a folder; it may have ended. Nothing here waits.

    Parameters
    ----------
    output : Path
        The folder; it holds ``run.json``.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._about = _read(output / RUN_FILE)
        self._events: list[dict[str, Any]] = []
        self._offset = 0

    @property
    def command(self) -> list[str]:
        """The command that was started."""
        return [str(part) for part in self._about.get("command", [])]

    @property
    def since(self) -> str:
        """When it was started last, such as "2026-11-28 14:02"."""
        return str(self._about.get("since", ""))

    @property
    def state(self) -> State:
        """What it does now. Of a run on another machine only its files tell."""
        if self.goes_on:
            return "paused" if (self.output / PAUSE_FILE).exists() else "running"
        return "ended" if _read(self.output / EXIT_FILE).get("code") == 0 else "failed"

    @property
    def goes_on(self) -> bool:
        """Whether it is running or paused."""
        if (self.output / EXIT_FILE).exists():
            return False
        if not is_here(self._about.get("host")):
            return True
        goes_on = _lives(self._about) or _lives(_read(self.output / PROCESS_FILE))
        return goes_on and not (self.output / EXIT_FILE).exists()

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the events from number `since` on, as far as they are read; each call reads at most 64 kB more."""
        self._read_on()
        return self._events[since:]

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end after the present step."""
        return (self.output / STOP_FILE).exists()

    def stop(self) -> None:
        """Ask it to end after the present step and to keep the best model."""
        (self.output / STOP_FILE).touch()
        self.pause(False)

    def pause(self, on: bool) -> None:
        """Ask it to wait, or to go on."""
        if on:
            (self.output / PAUSE_FILE).touch()
        else:
            (self.output / PAUSE_FILE).unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once, with all its processes.

        Raises
        ------
        RunError
            It runs on another machine.
        """
        if not self.goes_on:
            return
        if not is_here(self._about.get("host")):
            raise RunError(f"the run in {self.output} is on {self._about.get('host')}; end it there, or use Stop")
        trainer = _read(self.output / PROCESS_FILE)
        if _lives(self._about):
            _end(int(self._about["pid"]), alone=bool(self._about.get("by_hand")))
        if _lives(trainer):  # nobody watches over it any more
            _end(int(trainer["pid"]), alone=True)
        _write_exit(self.output, -int(signal.SIGTERM), by_user=True)

    def forget(self) -> None:
        """Note that it has ended, without ending anything: for a run of a machine that is gone or has another name."""
        _write_exit(self.output, -int(signal.SIGTERM), by_user=True)

    @property
    def elsewhere(self) -> str:
        """Name of the other machine on which it goes on, as far as is known here; "" if it does not."""
        host = str(self._about.get("host"))
        return host if not is_here(host) and self.goes_on else ""

    def failure(self) -> str:
        """Return why it failed and the end of what it printed; nothing if it did not fail."""
        if self.state != "failed":
            return ""
        end = tail(self.output / OUTPUT_FILE)
        lines = [_cause(_read(self.output / EXIT_FILE), end), *(["", *end] if end else [])]
        return "\n".join(lines)

    def _read_on(self) -> None:
        try:
            with (self.output / LOG_FILE).open("rb") as file:
                file.seek(self._offset)
                block = file.read(READ)
                while b"\n" not in block and (more := file.read(READ)):
                    block += more
        except OSError:
            return
        whole = block[: block.rfind(b"\n") + 1]  # the last line may be half written
        self._offset += len(whole)
        self._events += [event for line in whole.splitlines() if (event := _event(line)) is not None]


def start(arguments: Sequence[str], output: str | Path) -> Run:
    """Start a command as a run.

    Parameters
    ----------
    arguments : sequence of str
        The command, such as ``[sys.executable, "-m", "napari_pffnet.train", …]``; it writes its events to
        ``OUTPUT/log.jsonl`` and looks for the files ``stop`` and ``pause`` there.
    output : str or Path
        Its folder; made if it does not exist.

    Raises
    ------
    RunError
        A run goes on there already, or it cannot be started.
    """
    output = Path(output).absolute()
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = Lock(output / LOCK_FILE)
    except InUse:
        raise RunError(
            f"a training run is being started in {output} by another program; if not so, delete {LOCK_FILE} there"
        ) from None
    except OSError as error:
        raise _cannot_start(output, error) from None
    watcher = None
    try:
        before = find(output)
        if before is not None and before.goes_on:
            raise RunError(f"a training run goes on in {output}; stop it first, or choose another folder")
        for name in (RUN_FILE, EXIT_FILE, STOP_FILE, PAUSE_FILE):
            (output / name).unlink(missing_ok=True)
        watcher = _watch_apart(arguments, output)
        write_atomic(output / RUN_FILE, json.dumps(_about(watcher.pid, arguments)).encode())
    except OSError as error:
        if watcher is not None:
            _end(watcher.pid, alone=False)  # without its file nobody could find it
        raise _cannot_start(output, error) from None
    finally:
        lock.release()
    _OURS[watcher.pid] = watcher
    return Run(output)


def find(folder: str | Path) -> Run | None:
    """Return the run of an output folder, whether it goes on or has ended; None if there is none."""
    folder = Path(folder).absolute()
    return Run(folder) if (folder / RUN_FILE).is_file() else None


def tail(file: Path, lines: int = LOG_LINES) -> list[str]:
    """Return the last lines of a text file; of a progress bar only its last state."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - READ))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    shown = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in shown if line][-lines:]


def watched(output: Path) -> bool:
    """Whether this process was started as the run of a folder."""
    return os.environ.get(OUTPUT_VARIABLE) == str(output.absolute())


def register(output: Path, arguments: Sequence[str]) -> None:
    """Note that this process is the run of a folder: it was started by hand, and nobody watches over it.

    Parameters
    ----------
    output : Path
        The folder.
    arguments : sequence of str
        Of the training's command, after its name.
    """
    for name in (EXIT_FILE, OUTPUT_FILE):
        (output / name).unlink(missing_ok=True)
    files = {each: str(Path(each).absolute()) for each in arguments if each.endswith(".safetensors")}
    command = [sys.executable, "-m", "napari_pffnet.train", *(files.get(each, each) for each in arguments)]
    write_atomic(output / RUN_FILE, json.dumps({**_about(os.getpid(), command), "by_hand": True}).encode())


def leave(output: Path, code: int) -> None:
    """Note how this process ends, if it is the run of a folder; see `register`."""
    about = _read(output / RUN_FILE)
    own = {"pid": os.getpid(), "started": started(os.getpid()), "host": machine()}
    if about.get("by_hand") and own.items() <= about.items():
        with suppress(OSError):
            _write_exit(output, code, by_user=code == INTERRUPTED)


def _cannot_start(output: Path, error: OSError) -> RunError:
    return RunError(f"training cannot be started in {output}: {error.strerror or error}")


def _watch_apart(arguments: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    """Start the process that watches over the command, in a session of its own."""
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        alone = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        apart = {"creationflags": alone | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    with (output / OUTPUT_FILE).open("wb") as log:  # what an earlier start printed is no cause of this one's end
        return subprocess.Popen(
            [sys.executable, "-m", "napari_pffnet.train.child", str(output), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": TEXT, OUTPUT_VARIABLE: str(output)},
            **apart,
        )


def watch(output: Path, arguments: Sequence[str]) -> int:
    """Run a command to its end and note how it ended; the viewer has the machine first."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    try:
        code = subprocess.run(list(arguments), check=False, stdout=sys.stdout, stderr=sys.stderr).returncode
    except OSError as error:
        print(f"error: {arguments[0]}: {error.strerror}", file=sys.stderr)
        code = 2
    try:
        _write_exit(output, code)
    except OSError as error:
        print(f"error: {reason(error)}; was the project moved while it was trained on?", file=sys.stderr)
    return code


def _lives(about: dict[str, Any]) -> bool:
    """Whether the process of ``run.json`` or ``process.json`` runs on this machine."""
    pid = about.get("pid")
    if not isinstance(pid, int) or pid <= 1 or not is_here(about.get("host")):
        return False
    if about.get("started") is None and started(pid) is not None:
        return False  # nobody knows whether that process is the training: it is not waited for, and never ended
    ours = _OURS.get(pid)
    if ours is not None and ours.poll() is not None:
        del _OURS[pid]
    return alive(pid, about.get("started"))


def _end(pid: int, alone: bool) -> None:
    """End a process and those that it has started; `alone`: its group may be that of the user's terminal."""
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(pid)]
        subprocess.run(command, check=False, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)
    elif alone:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for each in (*process.children(recursive=True), process):
                each.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _about(pid: int, arguments: Sequence[str]) -> dict[str, Any]:
    return {
        "pid": pid,
        "started": started(pid),
        "host": machine(),
        "since": time.strftime("%Y-%m-%d %H:%M"),
        "command": list(arguments),
    }


def _write_exit(output: Path, code: int, by_user: bool = False) -> None:
    write_atomic(output / EXIT_FILE, json.dumps({"code": code, "by_user": by_user}).encode())


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "kind" in event else None


def _cause(end: dict[str, Any], printed: Sequence[str]) -> str:
    """Say in a sentence why a run failed."""
    code = end.get("code")
    if end.get("by_user"):
        return "You ended the training."
    last = max((i for i, line in enumerate(printed) if line.startswith("error: ")), default=len(printed))
    said = " ".join(line.strip() for line in printed[last : last + SAID_LINES]).removeprefix("error: ")
    if code is None:
        cut = "Training was cut off: the machine was switched off, or all its processes were ended."
        return f"Training ended: {said}" if said else cut
    reasons = [said] if said and code > 0 else printed
    if any(map(tells_of_memory, reasons)):
        return f"Memory ran out. {SMALLER}."
    if code == -9:
        return f"The system ended the training, most likely because memory ran out. {SMALLER}."
    if code in WINDOWS_MEMORY:
        return f"Memory ran out. {SMALLER}."
    if code == WINDOWS_CLOSED:
        return "Training was ended with the window or session that it ran in."
    if code >= WINDOWS_CRASH:
        return f"Training crashed (0x{code:08X})."
    if code < 0:
        return f"Training crashed ({_signal(-code)})."
    return f"Training ended: {said}" if said else f"Training ended with exit code {code}."


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":
    sys.exit(watch(Path(sys.argv[1]), sys.argv[2:]))
