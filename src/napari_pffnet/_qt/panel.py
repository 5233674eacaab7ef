"""The dock widget *Plugins > PFFNet*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from napari_pffnet._qt.background import Threads
from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.correct.controller import CorrectController
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.correct.point_tools import PointTools
from napari_pffnet._qt.correct.sketch import Sketch
from napari_pffnet._qt.correct.view import CorrectView
from napari_pffnet._qt.engine import Engine
from napari_pffnet._qt.fold import Fold
from napari_pffnet._qt.insight import Insights
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.models.controller import ModelsController
from napari_pffnet._qt.models.view import ModelsView
from napari_pffnet._qt.project.controller import ProjectController
from napari_pffnet._qt.project.view import ProjectView
from napari_pffnet._qt.review.controller import ReviewController
from napari_pffnet._qt.review.view import ReviewView
from napari_pffnet._qt.scroll import Shrinking, UpAndDown
from napari_pffnet._qt.segment.controller import SegmentController
from napari_pffnet._qt.segment.view import SegmentView
from napari_pffnet._qt.theme import style_sheet
from napari_pffnet._qt.train.compare_layers import CompareLayers
from napari_pffnet._qt.train.controller import TrainController
from napari_pffnet._qt.train.view import TrainView
from napari_pffnet.io.stains import HEMATOXYLIN
from napari_pffnet.library import DEFAULT

ASK_AGAIN_MS = 200


class Panel(QWidget):
    """The steps of the work, from top to bottom. All but *Correct* are tall: one of them is unfolded at a time.

    Parameters
    ----------
    napari_viewer : Viewer
        Given by napari.
    engine : Engine, optional
        Finds models and runs the network.
    """

    def __init__(self, napari_viewer: napari.Viewer, engine: Engine | None = None) -> None:
        super().__init__()
        # napari gives plugins a wrapper, whose layers are wrapped anew each time and never the same
        self._viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.project, self.segment, self.correct, self.review = (
            ProjectView(),
            SegmentView(),
            CorrectView(),
            ReviewView(),
        )
        self.project_step = Fold(
            "Project", self.project, "step", self.project.name, "Images and their annotation, kept in a folder."
        )
        self.segment_step = Fold("Segment", self.segment, "step", tip="Find the nuclei of an image.")
        self.train = TrainView()
        self.train_step = Fold(
            "Train",
            self.train,
            "step",
            self.train.brief,
            "Make a model that has learnt from the images that are done.",
        )
        self._lay_out()
        self._control(engine or Engine())
        self._follow_theme()
        self.unfold(self.segment_step)

    def unfold(self, step: Fold | ReviewView | None) -> None:
        """Fold the tall steps, then unfold one of them: two at once would stretch the window."""
        steps: list[tuple[Fold | ReviewView, Callable[[bool], None]]] = [
            (self.project_step, self.project_step.set_open),
            (self.segment_step, self.segment_step.set_open),
            (self.review, self.reviewer.set_open),
            (self.train_step, self._open_train),
        ]
        for each, set_open in sorted(steps, key=lambda pair: pair[0] is step):
            if each is step:
                QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)  # the others' room is free from now on
            set_open(each is step)
        self._scroll.guard_controls()
        if step is not None:
            self._scroll_to(step)

    def _scroll_to(self, part: QWidget) -> None:
        """Bring a part into view once it is laid out."""
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        self._scroll.ensureWidgetVisible(part, 0, 0)

    def changeEvent(self, event: QEvent | None) -> None:
        """Close when napari lets the panel go: the × of its frame only takes it out of the window."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._close_alone)

    def _close_alone(self) -> None:
        """Close unless the panel was put somewhere else; jobs that run bring their results first.

        Keys are let go at once: another panel may have them by then.
        """
        if self.parent() is not None:
            return
        self._let_go(self.corrector, self.reviewer, self.keys)
        if self._threads.running:
            QTimer.singleShot(ASK_AGAIN_MS, self._close_alone)
        else:
            self.deleteLater()

    def _let_go(self, *controllers: Any) -> None:
        """Close controllers that are not closed yet."""
        for controller in controllers:
            if controller in self._open:
                self._open.remove(controller)
                controller.close()

    def _lay_out(self) -> None:
        content = Shrinking()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.setSpacing(0)
        layout.addWidget(self.project_step)
        layout.addWidget(self.segment_step)
        layout.addWidget(self.correct)
        layout.addWidget(self.review, 1)
        layout.addWidget(self.train_step)
        layout.addStretch(0)
        self._scroll = UpAndDown(content)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._scroll)

    def _control(self, engine: Engine) -> None:
        self._make_controllers(engine)
        self._open: list[Any] = [
            self._threads,
            self.trainer,
            self.keeper,
            self.controller,
            self.corrector,
            self.reviewer,
            self.keys,
            self.active,
        ]
        self._connect_steps()
        self._add_keys()
        still_open, connections = self._open, self._viewer_connections()

        def let_go() -> None:
            while still_open:
                still_open.pop(0).close()
            engine.close()
            connections.close()

        self.destroyed.connect(let_go)

    def _make_controllers(self, engine: Engine) -> None:
        viewer = self._viewer
        self._threads = Threads()
        self.insights = Insights(viewer)
        self.controller = SegmentController(viewer, self.segment, engine, self._threads, self.insights)
        self.active = ActiveLabels(viewer)
        self.keys = Keys(self.active)
        pointing = PointTools(
            self.insights, engine, self.controller.choice.request, self._threads, self.correct.replace_neighbours
        ).tools()
        self.corrector = CorrectController(self.active, self.correct, self.keys, Sketch(self), pointing)
        self.reviewer = ReviewController(
            self.active, self.review, self.keys, self.insights.of, lambda: self.keeper.calibration()
        )
        self.keeper = ProjectController(self.active, self.project, self._threads)
        self.trainer = TrainController(
            self.keeper, self.train, self._threads, engine.choices, engine.add_model, CompareLayers(viewer)
        )
        self.librarian = ModelsController(ModelsView(self), self._threads)
        self.segment.offer_library(self.librarian.open)
        self.train.guard(viewer.window._qt_window, self.trainer.others)

    def _viewer_connections(self) -> Connections:
        """Follow the viewer's signals; the panel lets go of these when it is closed.

        The slots are no methods: napari compares them with those of models, and older versions of Pydantic (2.10, for
        one) look into the object of a method for that, which is gone by then.
        """
        events = self._viewer.events
        return Connections(
            (events.theme, lambda _event: self._follow_theme()),
            (events.mouse_over_canvas, lambda _event: self._let_go_of_keys()),
        )

    def _connect_steps(self) -> None:
        """Let one step follow another, and make room for those that are unfolded."""
        statistics, past = self.review.statistics, self.train.past
        connections: list[tuple[Any, Callable[..., object]]] = [
            (self.project_step.opened, lambda is_open: self.unfold(self.project_step if is_open else None)),
            (self.segment_step.opened, lambda is_open: self.unfold(self.segment_step if is_open else None)),
            (self.train_step.opened, lambda is_open: self.unfold(self.train_step if is_open else None)),
            (self.segment.more.opened, lambda is_open: _fold(self.correct.more) if is_open else None),
            (self.correct.more.opened, lambda is_open: _fold(self.segment.more) if is_open else None),
            (self.reviewer.contours.changed, self.segment.outlines.setChecked),
            (self.reviewer.opened, lambda is_open: self._make_room() if is_open else None),
            (statistics.opened, lambda is_open: self._scroll_to(statistics) if is_open else None),
            (past.opened, lambda is_open: QTimer.singleShot(0, lambda: self._scroll_to(past)) if is_open else None),
            (self.librarian.changed, self.controller.refresh_models),
            (self.librarian.changed, self.trainer.find_choices),
            (self.trainer.accepted, self._choose_trained),
            (self.trainer.remembered, self._choose_remembered),
            (self.keeper.wanting_nuclei, self.controller.run_soon),
            (self.controller.starting, self.trainer.end_comparison),
            (self.controller.shown.found, self.keeper.offers.found),
        ]
        for signal, slot in connections:
            signal.connect(slot)
        self.trainer.remember()

    def _choose_trained(self, model: str) -> None:
        """Choose a new model; what it has learnt from were all colours, whichever channel is chosen."""
        self.segment.choose_model(model)
        if self.segment.options().channel == HEMATOXYLIN:
            self.segment.set_status(f"'{model}' has learnt from all colours: choose them as Channel, too.")

    def _choose_remembered(self, model: str, before: str) -> None:
        """Choose the model of a project, or default if it has none, unless the user has chosen another."""
        chosen = self.segment.options().model
        if chosen in (DEFAULT, before) and chosen != model:
            self.segment.choose_model(model)
            origin = "as this project has brought no model yet" if model == DEFAULT else "from this project's training"
            self.segment.set_status(f"'{model}', {origin}, is chosen.")

    def _add_keys(self) -> None:
        """Keys that work whatever layer is selected; the tips of their buttons name them."""
        project, keeper = self.project, self.keeper
        self._add_key("segment", "F5", "Segment", self.controller.run, self.segment.run_button)
        self._add_key("done", "F6", "Project: mark done, open the next", keeper.done_and_next, project.done_button)
        self._add_key("next", "F7", "Project: open the next", keeper.next, project.next_button)

    def _add_key(self, name: str, key: str, title: str, function: Callable[[], None], button: QPushButton) -> None:
        tip = button.toolTip()

        def show(changed: str) -> None:
            if changed == name:
                now = self.keys.key(name)
                button.setToolTip(f"{tip}\nKey {now}: {title.removeprefix('Project: ')}." if now else tip)

        def after_the_press() -> None:  # layers may go, which the canvas that handles the key does not survive
            QTimer.singleShot(0, function)

        self.keys.add(name, key, title, after_the_press, anywhere=True)
        self.keys.changed.connect(show)
        show(name)

    def _open_train(self, is_open: bool) -> None:
        self.train_step.set_open(is_open)
        self.train.opened.emit(is_open)

    def _make_room(self) -> None:
        """Fold the steps that leave the review too little height."""
        self.project_step.set_open(False)
        self.segment_step.set_open(False)
        self._open_train(False)

    def _let_go_of_keys(self) -> None:
        """Keys pressed over the image are meant for the image, not for the control that was used last."""
        focus = QApplication.focusWidget()
        if self._viewer.mouse_over_canvas and focus is not None and self.isAncestorOf(focus):
            focus.clearFocus()

    def _follow_theme(self) -> None:
        self.setStyleSheet(style_sheet(self._viewer.theme))
        self.train.set_theme(self._viewer.theme)


def _fold(part: Fold) -> None:
    """Fold a part away; its room is free from now on."""
    part.set_open(False)
    QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
