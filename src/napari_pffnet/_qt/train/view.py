"""The controls of the step *Train*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QFontDatabase, QPixmap, QTextCursor
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QFormLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QTabWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.fold import Fold
from napari_pffnet._qt.theme import plot_colours
from napari_pffnet._qt.train.parts import (
    TIPS,
    Picture,
    ask_closing,
    completeness,
    gate_row,
    make_column,
    make_row,
    make_table,
    suggest,
)
from napari_pffnet._qt.train.past_list import PastList
from napari_pffnet._qt.train.progress import Curve
from napari_pffnet._qt.train.runs import Page, Past, TrainOptions
from napari_pffnet._qt.widgets import ask, make_button, make_combo, make_form, make_label
from napari_pffnet.curate.material import ProjectMaterial
from napari_pffnet.train.control import EFFORTS, USUAL_EFFORT
from napari_pffnet.train.gate import MEASURES, Gate

if TYPE_CHECKING:
    from napari_pffnet._qt.train.plots import TrainPlots

TICK_MS = 250
HELD = 3
BRIEF: dict[Page, str] = {"running": "running", "gate": "ended: old or new?", "failed": "broke off"}
IMAGE_ROLE = Qt.ItemDataRole.UserRole
CHECKED, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class TrainView(QWidget):
    """What to learn from and how; then curves and buttons of the run; then old against new."""

    opened = Signal(bool)
    ticked = Signal()
    choice_changed = Signal()
    base_chosen = Signal()
    start_requested = Signal()
    command_requested = Signal()
    pause_requested = Signal(bool)
    stop_requested = Signal()
    stop_others_requested = Signal()
    discard_requested = Signal()
    resume_requested = Signal()
    finish_requested = Signal()
    accept_requested = Signal(str)
    keep_requested = Signal()
    compare_requested = Signal(str)
    past_chosen = Signal(str)
    past_unwanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.images, self.gate = make_table("images", 4), make_table("gate", 4)
        self.images.setHeaderLabels(["learn from", "nuclei", "complete", "hold out"])
        self.images.itemChanged.connect(lambda _item, _column: self.choice_changed.emit())
        self.gate.setHeaderLabels(["image", *MEASURES.values()])
        self.past = PastList(self.past_chosen.emit, self.past_unwanted.emit)
        self.base, self.effort, self.device = (make_combo(TIPS[name]) for name in ("base", "effort", "device"))
        for effort in EFFORTS:
            self.effort.addItem(effort, effort)
        self.effort.setCurrentIndex(self.effort.findData(USUAL_EFFORT))
        self.base.activated.connect(lambda _index: self.base_chosen.emit())
        self.settings = QPlainTextEdit()
        self.settings.setPlaceholderText("optimizer.rate=1e-4")
        self.settings.setToolTip(TIPS["settings"])
        self.settings.setFixedHeight(3 * self.fontMetrics().height() + 12)
        self.summary, self.status = make_label(), make_label()
        self.verdict, self.cause = make_label(quiet=False), make_label(quiet=False)
        #: In a word how training stands, for beside the title.
        self.brief = make_label(wraps=False)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.told = make_label()
        self.all_box = QCheckBox("All losses")
        self.all_box.setToolTip(TIPS["all"])
        self.all_box.toggled.connect(self._show_all)
        self.preview = Picture()
        self.preview.setToolTip(TIPS["preview"])
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setFixedHeight(150)
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.name = QLineEdit()
        self.name.setToolTip(TIPS["name"])
        self._make_buttons()
        self.plots: TrainPlots | None = None
        self._theme = "dark"
        self._page: Page = "none"
        self._side_shown = False
        self._others: Callable[[], Sequence[str]] = tuple
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.ticked)
        self._lay_out()
        self.set_page("none")

    def options(self) -> TrainOptions:
        """Read all controls."""
        used = [item for item in self._items() if item.checkState(0) == CHECKED]
        return TrainOptions(
            images=tuple(item.text(0) for item in used),
            held_out=tuple(item.text(0) for item in used if item.checkState(HELD) == CHECKED),
            base=self.base.currentData() or "default",
            effort=self.effort.currentData(),
            device=self.device.currentData() or "auto",
            settings=self.settings.toPlainText(),
        )

    def set_choices(self, choices: Choices, base: str | None = None) -> None:
        """Offer base models and devices; what was chosen stays, unless another base model is named."""
        for combo, items, wanted in ((self.base, choices.models, base), (self.device, choices.devices, None)):
            chosen = wanted or combo.currentData()
            combo.clear()
            for title, value in items:
                combo.addItem(title, value)
            combo.setCurrentIndex(max(combo.findData(chosen), 0 if items else -1))

    def choose_base(self, model: str) -> None:
        """Choose the model to start from; one that is new is offered from now on."""
        if self.base.findData(model) < 0:
            self.base.addItem(model, model)
        self.base.setCurrentIndex(self.base.findData(model))

    def set_material(self, images: Sequence[ProjectMaterial], used: Sequence[str], held_out: Sequence[str]) -> None:
        """List the images, which are used, and which of these are held out."""
        self.images.blockSignals(True)
        self.images.clear()
        for image in images:
            item = QTreeWidgetItem([image.name, str(image.nuclei) if image.trains else "", completeness(image), ""])
            item.setToolTip(0, image.fault or f"{image.name}: {image.state}")
            if image.trains:
                item.setCheckState(0, CHECKED if image.name in used else UNCHECKED)
                item.setCheckState(HELD, CHECKED if image.name in held_out else UNCHECKED)
            else:
                item.setDisabled(True)
            self.images.addTopLevelItem(item)
        self.images.blockSignals(False)

    def set_summary(self, text: str, ready: bool) -> None:
        """Say what is learnt from; allow to start."""
        self.summary.setText(text)
        for button in (self.start_button, self.command_button):
            button.setEnabled(ready)

    def set_page(self, page: Page) -> None:
        """Show what belongs to a stage of the work."""
        self._page = page
        self.brief.setText(BRIEF.get(page, ""))
        upright = Qt.AlignmentFlag.AlignTop if page == "none" else Qt.AlignmentFlag.AlignVCenter
        self.status.setAlignment(Qt.AlignmentFlag.AlignLeft | upright)  # alone it would stand in the middle
        for pages, holder in sorted(self._parts, key=lambda part: page in part[0]):
            holder.setVisible(page in pages)  # those to show last: two pages at once would stretch the window
        if page == "running":
            self._make_plots()

    def set_progress(self, done: int, total: int, text: str) -> None:
        """Show how far training is."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.brief.setText(f"{done / total:.0%}" if done else BRIEF["running"])
        self.told.setText(text)

    def set_paused(self, paused: bool) -> None:
        """Offer to pause or to go on."""
        self.pause_button.setText("Resume" if paused else "Pause")
        self.pause_button.setChecked(paused)

    def set_curves(self, losses: dict[str, Curve], metrics: dict[str, Curve]) -> None:
        """Draw the curves."""
        if self.plots is not None:
            self.plots.set_curves(losses, metrics)

    def set_preview(self, picture: Path | None) -> None:
        """Show the latest picture of a held-out image, if any."""
        self.preview.setPixmap(QPixmap(str(picture)) if picture is not None else QPixmap())
        self.shown.setTabVisible(1, picture is not None)

    def copy(self, text: str) -> None:
        """Put a text into the clipboard."""
        if (clipboard := QApplication.clipboard()) is not None:
            clipboard.setText(text)

    def set_gate(self, gate: Gate, name: str, again: bool) -> None:
        """Show old against new, and a name for the new model; `again` if that was decided before."""
        self.keep_button.setText("Back" if again else "Keep the old")
        self.keep_button.setToolTip(TIPS["back" if again else "keep"])
        self.verdict.setText(f"The new model is {gate.headline()}.")
        self.end_comparison()
        self.gate.clear()
        for row in (gate.pooled, *gate.images, gate.replay):
            if row is not None:
                item = gate_row(row)
                item.setData(0, IMAGE_ROLE, row.name if row in gate.images else "")
                self.gate.addTopLevelItem(item)
        self.name.setText(name)
        suggest(self.accept_button, gate.better and not gate.in_doubt)
        suggest(self.keep_button, not gate.better)

    def set_past(self, trainings: Sequence[Past]) -> None:
        """List the trainings that are over."""
        self.past.set_trainings(trainings)

    def end_comparison(self) -> None:
        """Release the button that shows both models side by side."""
        self.side_button.setChecked(False)

    def set_failure(self, text: str, resumable: bool) -> None:
        """Show why training failed, first line first, and the end of its log."""
        cause, _, log = text.partition("\n")
        self.cause.setText(cause)
        self.log.setPlainText(log.strip())
        self.log.setVisible(bool(log.strip()))
        self.log.moveCursor(QTextCursor.MoveOperation.End)
        for button in (self.resume_button, self.finish_button):
            button.setVisible(resumable)

    def set_status(self, text: str) -> None:
        """Show one line."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def set_watching(self, on: bool) -> None:
        """Tick several times a second, or not."""
        if on:
            self._timer.start()
        else:
            self._timer.stop()

    def set_theme(self, theme: str) -> None:
        """Take over the colours of a theme of napari."""
        self._theme = theme
        if self.plots is not None:
            self.plots.set_colours(*plot_colours(theme))

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question."""
        return ask(self, question)

    def guard(self, window: QObject, others: Callable[[], Sequence[str]]) -> None:
        """Ask what becomes of a run, and of those of the projects that `others` names, before this window closes."""
        self._others = others
        window.installEventFilter(self)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:
        """Ask before napari closes while a run goes on; True keeps it open."""
        if event is None or event.type() != QEvent.Type.Close:
            return False
        here, others = self._page == "running", self._others()
        if not here and not others:
            return False
        answer = self.ask_closing(others)
        if answer == "stop":
            self.stop_others_requested.emit()
            if here:
                self.stop_requested.emit()
        elif answer == "go on" and self.pause_button.isChecked():
            self.pause_requested.emit(False)
        elif answer == "stay":
            event.ignore()
        return answer == "stay"

    def ask_closing(self, others: Sequence[str] = ()) -> str:
        """Ask what becomes of the run, see `parts.ask_closing`."""
        return ask_closing(self, self._page == "running" and self.pause_button.isChecked(), others)

    def _ask_side(self, on: bool) -> None:
        """Ask for the chosen image, or the first, side by side, or for none."""
        item = self.gate.currentItem()
        name = item.data(0, IMAGE_ROLE) if item is not None else None
        if on and not name:
            names = (self.gate.topLevelItem(i) for i in range(self.gate.topLevelItemCount()))
            name = next((each.data(0, IMAGE_ROLE) for each in names if each and each.data(0, IMAGE_ROLE)), "")
        if on or self._side_shown:
            self.compare_requested.emit(name if on else "")
        self._side_shown = on

    def _items(self) -> list[QTreeWidgetItem]:
        found = (self.images.topLevelItem(i) for i in range(self.images.topLevelItemCount()))
        return [item for item in found if item is not None and not item.isDisabled()]

    def _make_plots(self) -> None:
        """Build the plots when they are first wanted; their library is imported then."""
        if self.plots is None:
            from napari_pffnet._qt.train.plots import TrainPlots

            self.plots = TrainPlots()
            self.plots.set_colours(*plot_colours(self._theme))
            self.plots.show_all(self.all_box.isChecked())
            self._plots_place.addWidget(self.plots)

    def _show_all(self, on: bool) -> None:
        if self.plots is not None:
            self.plots.show_all(on)

    def _make_buttons(self) -> None:
        self.start_button = make_button("Fine-tune", TIPS["start"], "primary")
        self.command_button = make_button("Copy command", TIPS["command"])
        self.command_button.clicked.connect(lambda: self.command_requested.emit())
        self.pause_button = make_button("Pause", TIPS["pause"])
        self.pause_button.setCheckable(True)
        self.stop_button = make_button("Stop, keep the best", TIPS["stop"])
        self.accept_button = make_button("Accept", TIPS["accept"], "primary")
        self.keep_button = make_button("Keep the old", TIPS["keep"])
        self.side_button = make_button("Show side by side", TIPS["side"])
        self.side_button.setCheckable(True)
        self.side_button.toggled.connect(self._ask_side)
        self.gate.currentItemChanged.connect(lambda: self._ask_side(self.side_button.isChecked()))
        self.resume_button = make_button("Go on", TIPS["resume"], "primary")
        self.finish_button = make_button("Keep the best", TIPS["finish"])
        self.discard_buttons = [make_button("Discard", TIPS["discard"]) for _ in range(2)]
        self.start_button.clicked.connect(lambda: self.start_requested.emit())
        self.pause_button.clicked.connect(self.pause_requested.emit)
        self.stop_button.clicked.connect(lambda: self.stop_requested.emit())
        self.accept_button.clicked.connect(lambda: self.accept_requested.emit(self.name.text()))
        self.keep_button.clicked.connect(lambda: self.keep_requested.emit())
        self.resume_button.clicked.connect(lambda: self.resume_requested.emit())
        self.finish_button.clicked.connect(lambda: self.finish_requested.emit())
        for button in self.discard_buttons:
            button.clicked.connect(lambda: self.discard_requested.emit())

    def _lay_out(self) -> None:
        form = make_form([("Start from", self.base), ("Effort", self.effort), ("Device", self.device)])
        advanced = QVBoxLayout()
        advanced.addWidget(self.settings)
        named = QFormLayout()
        named.setContentsMargins(0, 0, 0, 0)
        named.addRow("Name", self.name)
        self._plots_place = QVBoxLayout()
        self.shown = QTabWidget()
        self.shown.setDocumentMode(True)
        bar = self.shown.tabBar()
        if bar is not None:
            bar.setDrawBase(False)
        self.shown.addTab(make_column(self._plots_place), "Curves")
        self.shown.setCornerWidget(self.all_box)
        self.shown.currentChanged.connect(lambda tab: self.all_box.setVisible(tab == 0))
        self.shown.addTab(self.preview, "Preview")
        running, failed = self.discard_buttons
        fold = Fold("Advanced settings", advanced, tip=TIPS["settings"])
        controls = make_row(self.pause_button, self.stop_button, running)
        decision = make_row(self.accept_button, self.keep_button)
        #: What is shown on which pages, from top to bottom.
        self._parts: list[tuple[tuple[Page, ...], QWidget]] = [
            (("setup",), make_column(self.images, self.summary, form)),
            (("running",), make_column(self.progress, self.told, self.shown, controls)),
            (("gate",), make_column(self.verdict, self.gate, self.side_button, named, decision)),
            (("failed",), make_column(self.cause, self.log)),
            (("setup", "failed"), fold),
            (("setup",), make_column(make_row(self.start_button, self.command_button, shares=(2, 1)))),
            (("setup",), make_column(self.past)),
            (("failed",), make_column(make_row(self.resume_button, self.finish_button, failed))),
        ]
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        for _, part in self._parts:
            layout.addWidget(part)
        layout.addWidget(self.status)
