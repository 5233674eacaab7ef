"""A first import of PyTorch that is safe in a window drawn by Mesa, and in one of Qt's threads.

Mesa's software and AMD drivers and Triton (which comes with PyTorch's Linux builds) each bring an LLVM of their own.
Triton crashes the process when it is loaded second, and torchvision loads it. The panel needs no Triton, so it is
hidden while PyTorch is imported.

PyTorch before 2.13 (its pybind11 before 3.0.2, pybind11's issue 2888) keeps, for the thread that imports it, Python's
state of that thread. A thread of Qt's pool gets a new state for each job, so in its next job PyTorch would use one
that is freed: the process hangs or aborts. So a thread of its own imports PyTorch, and ends.
"""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: Windows' number of "initialization of a dynamic link library failed"
NOT_LOADED = 1114
AFTER_QT = (
    "PyTorch could not be loaded after Qt, which has brought an older C++ library of Microsoft's; update Qt "
    "(pip install --upgrade PyQt6), or start napari by: "
    'python -c "import torch; from napari.__main__ import main; main()"'
)


def import_torch() -> None:
    """Import torch and torchvision in a thread of its own, without Triton if it would crash."""
    hide = "triton" not in sys.modules and _mesa_llvm_loaded()
    if hide:
        sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own way to make an import fail
    try:
        with ThreadPoolExecutor(1) as once:
            once.submit(_import).result()
    except OSError as error:
        if getattr(error, "winerror", None) != NOT_LOADED:
            raise
        raise ImportError(AFTER_QT) from error
    finally:
        if hide:
            del sys.modules["triton"]


def _import() -> None:
    for name in ("torch", "torchvision"):
        importlib.import_module(name)


def _mesa_llvm_loaded() -> bool:
    maps = Path("/proc/self/maps")
    return maps.exists() and "libLLVM" in maps.read_text()
