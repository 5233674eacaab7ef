"""Projects that several tests share."""

import numpy as np
import tifffile

from napari_pffnet.curate.edit import Edit, Pixels
from napari_pffnet.curate.project import Project

SHAPE = (48, 64)


def images(folder, names=("a", "b", "c"), shape=SHAPE):
    """Image files of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(names))
    for name in names:
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, shape, np.uint8))
    return folder


def project(path, names=("a", "b", "c"), **arguments):
    """A new project with images; close it."""
    made = Project.create(path / "project")
    made.add([images(path / "raw", names)], **arguments)
    return made


def paint(y, x, label, plane="labels", size=5):
    """An edit: a square of one id, with its row."""
    rows, columns = (axis.ravel() for axis in np.mgrid[y : y + size, x : x + size])
    row = {"index": label, "origin": "painted", "state": "new", "parents": "", "area": size * size}
    pixels = Pixels(plane, (rows, columns), np.full(size * size, label, np.int32))
    return Edit((pixels,), (row,) if plane == "labels" else ())


def painted(*edits, shape=SHAPE):
    """Labels after edits, from nothing."""
    labels = np.zeros(shape, np.int32)
    for edit in edits:
        for pixels in edit.pixels:
            labels[pixels.indices] = pixels.values
    return labels
