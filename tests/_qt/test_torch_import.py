"""Triton is hidden while PyTorch is imported in a window drawn by Mesa, and no thread of Qt's pool imports it."""

import importlib
import subprocess
import sys
import threading

import pytest

from napari_pffnet._qt import torch_import


@pytest.mark.parametrize(("mesa", "expected"), [(True, "hidden"), (False, "free")])
def test_triton_is_hidden_only_where_it_would_crash(monkeypatch, mesa, expected):
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr(torch_import, "_mesa_llvm_loaded", lambda: mesa)
    seen = []
    monkeypatch.setattr(importlib, "import_module", lambda _name: seen.append("triton" in sys.modules))
    torch_import.import_torch()
    assert seen == [expected == "hidden"] * 2
    assert "triton" not in sys.modules


def test_windows_library_that_qt_has_loaded_is_explained(monkeypatch):
    def fail(_name):
        error = OSError("[WinError 1114] A dynamic link library (DLL) initialization routine failed")
        error.winerror = 1114
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match="update Qt"):
        torch_import.import_torch()
    monkeypatch.setattr(importlib, "import_module", lambda _name: (_ for _ in ()).throw(OSError("no such file")))
    with pytest.raises(OSError, match="no such file"):
        torch_import.import_torch()


def test_thread_that_imports_is_another_one_and_ends(monkeypatch):
    seen = []
    monkeypatch.setattr(importlib, "import_module", lambda _name: seen.append(threading.current_thread()))
    torch_import.import_torch()
    assert len(seen) == 2
    assert threading.current_thread() not in seen
    assert not any(thread.is_alive() for thread in seen)


# waitForDone would end the thread, and the second job get a new one
TWO_JOBS = """
import threading
from qtpy.QtCore import QCoreApplication, QRunnable, QThreadPool
from napari_pffnet._qt.torch_import import import_torch

class Job(QRunnable):
    def __init__(self, work):
        super().__init__()
        self.work, self.done = work, threading.Event()

    def run(self):
        threads.append(threading.get_native_id())
        self.work()
        self.done.set()

def make_parameters():
    import torch
    for _ in range(10):
        torch.nn.Parameter(torch.empty(3))

app, threads, pool = QCoreApplication([]), [], QThreadPool()
pool.setMaxThreadCount(1)
pool.setExpiryTimeout(-1)
for work in (import_torch, make_parameters):
    job = Job(work)
    job.setAutoDelete(False)
    pool.start(job)
    assert job.done.wait(100)
assert len(set(threads)) == 1, "the test needs one thread for both"
print("done")
"""


def test_jobs_in_one_thread_of_qt_can_import_torch_and_then_use_it():
    """With PyTorch before 2.13, the second hangs or aborts if the first imports PyTorch itself."""
    result = subprocess.run([sys.executable, "-c", TWO_JOBS], capture_output=True, text=True, timeout=120)
    assert result.stdout == "done\n", result.stderr
