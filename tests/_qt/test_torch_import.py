"""Triton crashes a window drawn by Mesa; it is hidden while PyTorch is imported."""

import importlib
import sys

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
