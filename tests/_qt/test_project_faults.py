"""What goes wrong while a project is open, or goes on meanwhile, costs no work."""

import errno
from unittest.mock import Mock

import numpy as np
import pytest
from panel_fakes import at_once
from project_fakes import crashed, make, on_disk, opened, status

from napari_pffnet._qt.project import texts
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.work import Annotation, Work
from napari_pffnet.readers import get_reader
from projects import SHAPE, images, paint, painted, project

NUCLEI = Annotation(painted(paint(2, 2, 1)), None, {})


def later(controller):
    """Let long jobs wait until they are called."""
    jobs = []
    controller.background = lambda *args, **kwargs: jobs.append(lambda: at_once(*args, **kwargs))
    return jobs


def drag(controller, folder):
    """Drag the folder of a project into napari."""
    for data, arguments, kind in get_reader(str(folder))(str(folder)):
        controller.viewer._add_layer_from_data(data, arguments, kind)


def test_a_project_dragged_into_napari_waits_until_the_open_one_is_copied(tmp_path):
    other = opened(tmp_path / "other", Annotation(painted(paint(30, 30, 77)), None, {}))
    other.close()
    controller = opened(tmp_path, NUCLEI)
    jobs = later(controller)
    controller.save_as(str(tmp_path / "copy"))
    drag(controller, other.project.folder)
    controller.view.warn.assert_called_once_with(texts.BUSY)
    jobs.pop()()
    assert controller.project.folder == tmp_path / "copy"
    np.testing.assert_array_equal(on_disk(controller, "a"), NUCLEI.labels)
    drag(controller, other.project.folder)
    assert controller.project.folder == other.project.folder


def test_images_are_added_to_the_project_that_was_open(tmp_path):
    other = project(tmp_path / "other", ("x",))
    other.close()
    controller = opened(tmp_path)
    here = controller.project.folder
    jobs = later(controller)
    controller.add([str(images(tmp_path / "more", ("d", "e")))])
    for enter in (controller.open, controller.new):
        enter(str(other.folder if enter == controller.open else tmp_path / "new"))
        assert controller.project.folder == here
    jobs.pop()()
    assert [entry.name for entry in controller.project.manifest.images] == ["a", "b", "c", "d", "e"]
    controller.close()
    Project.open(other.folder).close()


@pytest.mark.parametrize("way", ["added", "adopted", "painted"])
def test_ids_under_0_are_background(tmp_path, way):
    controller = make() if way == "added" else opened(tmp_path)
    labels = NUCLEI.labels.copy()
    labels[20:30, 20:30] = -1
    if way == "added":
        controller.new(str(tmp_path / "new"))
        controller.viewer.add_image(np.zeros(SHAPE), name="mine")
        controller.viewer.add_labels(labels)
        controller.adder.open_image()
    elif way == "adopted":
        controller.viewer.add_labels(labels)
    else:
        layer = controller.viewer.add_labels(NUCLEI.labels.copy())
        layer.fill((25, 25), -1)
        np.testing.assert_array_equal(crashed(controller).now.labels, NUCLEI.labels)
    assert controller.keeper.save()
    work = crashed(controller)
    np.testing.assert_array_equal(work.now.labels, NUCLEI.labels)
    assert list(work.now.rows) == [1]


def test_an_image_whose_opening_fails_is_not_half_open(tmp_path, monkeypatch):
    made = project(tmp_path)
    work = made.work("b", SHAPE)
    work.record(paint(2, 2, 1))
    work.close()
    made.close()
    controller = make()
    controller.open(str(made.folder))
    controller.view.ask.return_value = False
    works, open_work = [], Work.open
    monkeypatch.setattr(Work, "open", lambda *args, **more: works.append(open_work(*args, **more)) or works[-1])
    monkeypatch.setattr(Work, "discard_recovered", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    controller.open_image("b")
    assert controller.image is None
    assert status(controller) == "Not done: No space left on device"
    assert len(controller.viewer.layers) == 0
    controller.open_image("c")
    assert controller.image.name == "c"
    (made.folder / "regions" / "b.json").write_text("{")
    controller.open_image("b")
    assert controller.image is None
    assert [work.name for work in works if work._journal is not None] == [], "all are closed"
