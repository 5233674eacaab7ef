"""A project to train on, and trainings that learn nothing."""

import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import tifffile

import fake_training
from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.train.runs import TrainOptions
from napari_pffnet.io.regions import Regions
from projects import paint, painted, project

CHOICES = Choices([("default", "default")], [("automatic (CPU)", "auto")])


def fake_command(*how):
    """In place of `train_runs.command`."""
    return lambda _project, output, _options, _settings: [sys.executable, fake_training.__file__, str(output), *how]


def corrected(tmp_path, names=("a", "b", "c"), done=("a", "b")):
    """Folder of a project in which some images are done, with two nuclei each."""
    made = project(tmp_path, names)
    labels = painted(paint(2, 2, 1), paint(20, 20, 2)).astype(np.uint16)
    for name in done:
        tifffile.imwrite(made.folder / "labels" / f"{name}.tif", labels)
        made.write_regions(name, Regions(whole=True))
        made.set_state(name, "done")
    made.close()
    return made.folder


class FakeView(Mock):
    """Has ticked what was offered last."""

    def options(self):
        images = self.set_material.call_args
        used, held = images.args[1:] if images else ((), ())
        return TrainOptions(tuple(used), tuple(held), settings=self.text if isinstance(self.text, str) else "")

    def last(self, setter):
        call = getattr(self, setter).call_args
        return call.args if call else None

    @property
    def page(self):
        return self.last("set_page")[0]


def poll(controller, until, seconds=20):
    """Tick as the view's timer does."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited too long"
        controller.poll()
        time.sleep(0.02)


def run_folders(folder):
    return sorted(path for path in (Path(folder) / "training").glob("*") if not path.name.startswith("."))
