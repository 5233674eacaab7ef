"""A first import of PyTorch that is safe in a window drawn by Mesa.

Mesa's software and AMD drivers and Triton (which comes with PyTorch's Linux builds) each bring an LLVM of their own.
Triton crashes the process when it is loaded second, and torchvision loads it. The panel needs no Triton, so it is
hidden while PyTorch is imported.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def import_torch() -> None:
    """Import torch and torchvision, without Triton if it would crash."""
    hide = "triton" not in sys.modules and _mesa_llvm_loaded()
    if hide:
        sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own way to make an import fail
    try:
        for name in ("torch", "torchvision"):
            importlib.import_module(name)
    finally:
        if hide:
            del sys.modules["triton"]


def _mesa_llvm_loaded() -> bool:
    maps = Path("/proc/self/maps")
    return maps.exists() and "libLLVM" in maps.read_text()
