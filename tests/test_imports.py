"""What may be imported where."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import napari_pffnet

PACKAGE = Path(napari_pffnet.__file__).parent
SCREEN = ("napari", "qtpy", "PyQt5", "PyQt6", "PySide6", "superqt", "magicgui", "vispy")
HEAVY = ("torch", "torchvision", "pandas", "skimage", *SCREEN)


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def blocked(names):
    return f"import sys; sys.modules.update(dict.fromkeys({names!r}))\n"


def modules_below_the_panel():
    files = [
        path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py") if "_qt" not in path.parts
    ]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in files)


def test_core_needs_no_screen():
    modules = [name for name in modules_below_the_panel() if not name.endswith("__main__")]
    run(blocked(SCREEN) + "\n".join(f"import {name}" for name in modules))


def test_package_and_command_line_start_light():
    run(blocked(HEAVY) + "import napari_pffnet, napari_pffnet.cli, napari_pffnet.samples")


def test_panel_opens_without_waiting_for_torch():
    run(blocked(("torch", "torchvision")) + "import napari_pffnet._qt.panel")


def test_qt_and_napari_are_extras():
    base = [line for line in requires("napari-pffnet") or [] if "extra ==" not in line]
    assert not [line for line in base if re.match(r"napari\b|pyqt\d|pyside", line.lower())]
