"""The step Project without a screen, for tests: a controller on a project."""

from unittest.mock import Mock

from napari.components import ViewerModel
from panel_fakes import at_once

from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.project.controller import ProjectController
from napari_pffnet.curate.work import Work
from projects import SHAPE, project


def make(viewer=None):
    view = Mock()
    view.ask.return_value = True
    view.copies.return_value = True
    return ProjectController(ActiveLabels(viewer or ViewerModel()), view, at_once)


def opened(tmp_path, labels=None, **arguments):
    made = project(tmp_path, **arguments)
    if labels is not None:
        work = made.work("a", SHAPE)
        work.save(labels)
        work.close()
    made.close()
    controller = make()
    controller.open(str(made.folder))
    return controller


def status(controller):
    return controller.view.set_status.call_args.args[0]


def crashed(controller):
    """What is on the disk now, as after a crash."""
    image = controller.image
    return Work.open(controller.project.folder, image.name, image.shape, readonly=True)


def on_disk(controller, name):
    return Work.open(controller.project.folder, name, SHAPE, readonly=True).now.labels
