"""What the controls of the step *Train* are made of: tips, and small builders."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet.curate.material import ProjectMaterial
from napari_pffnet.train.gate import MEASURES, Compared
from napari_pffnet.wording import counted

LINES = 5
SIGNS = {1: "▲", 0: "", -1: "▼"}
TIPS = {
    "images": "Images of the project that the model learns from: tick on the left. Those that are done are ticked at\n"
    "first. Only nuclei in complete areas count; the rest of an image is ignored.\n"
    "Ticked on the right: held out. Nothing is learnt there; old and new model are compared on these.",
    "base": "The model to start from. It is never changed; the result is a new model.",
    "effort": "How long it learns. 'quick' to see whether it helps, 'thorough' for the last bit.\n"
    "The time on this machine is measured in the first steps, and shown then.",
    "device": "Where training runs. 'automatic' takes a GPU if there is one.",
    "settings": "Settings of the training configuration, one section.key=value a line, such as\n"
    "optimizer.rate=1e-4 or data.augment.crop=128.",
    "start": "Save, and train a new model in the background. You can go on correcting, and even close napari.",
    "command": "Put the command that Fine-tune starts into the clipboard, to run it on another computer.",
    "preview": "A held-out image with the outlines that the model in training finds now.",
    "pause": "Pause training, to have the machine for something else; or go on.",
    "stop": "End training after this step, and compare the best model so far with the old one.",
    "discard": "End training and delete what it has learnt. The model in use stays as it is.",
    "all": "Show each loss beside their sum (bold).",
    "gate": "Old → new model on the images held out, 0 to 1, higher is better. ▲ better, ▼ worse.\n"
    "AP50: nuclei found with half overlap; AJI and PQ: how well their outlines fit, too.",
    "side": "Show the chosen image twice: left what the old model finds, right what the new one finds. Nuclei that\n"
    "only one of them has right are marked. Your layers come back when you press again.",
    "name": "Name of the new model in the library.",
    "accept": "Add the new model to the library and choose it in Segment. The old one stays there, too.",
    "keep": "Do not add the new model.",
    "back": "Go back; what was decided stays as it is.",
    "past": "Earlier trainings of this project: AP50 of the old → the new model on the images held out, and what\n"
    "became of the new one. Point at one for what it learnt from.",
    "again": "Show the comparison of the selected training again. Its model can be accepted now, too.",
    "unwanted": "Delete the files of the selected training. A model that was accepted stays in the library.",
    "resume": "Go on from the last state that was saved, with the settings below added.",
    "finish": "Train no further: compare the best model so far with the old one.",
}
CLOSING, PAUSED = "A training run goes on.", "A training run is paused."
CLOSING_MORE = (
    "It can go on without napari: open the project again to find it. "
    "If you stop it, its best model so far is kept and compared with the old one."
)


class Picture(QLabel):
    """A picture as large as there is room, its sides in proportion."""

    def __init__(self) -> None:
        super().__init__()
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(1, 1)
        self._whole = QPixmap()

    def setPixmap(self, picture: QPixmap) -> None:
        """Show a picture."""
        self._whole = picture
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the picture."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        kept, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        fitted = self._whole if self._whole.isNull() else self._whole.scaled(self.size(), kept, smooth)
        super().setPixmap(fitted)


def make_table(name: str, columns: int) -> QTreeWidget:
    table = QTreeWidget()
    table.setColumnCount(columns)
    table.setRootIsDecorated(False)
    table.setToolTip(TIPS[name])
    table.setFixedHeight((LINES + 1) * (table.fontMetrics().height() + 8) + 6)
    header = table.header()
    if header is not None:
        header.setStretchLastSection(False)
        for column in range(columns):
            mode = QHeaderView.ResizeMode.ResizeToContents if column else QHeaderView.ResizeMode.Stretch
            header.setSectionResizeMode(column, mode)
    return table


def make_column(*parts: QWidget | QVBoxLayout | QFormLayout | QHBoxLayout) -> QWidget:
    holder = QWidget()
    layout = QVBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)
    return holder


def make_row(*buttons: QWidget, shares: Sequence[int] = (1, 1, 1)) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(4)
    for button, share in zip(buttons, shares, strict=False):
        layout.addWidget(button, share)
    return layout


def suggest(button: QPushButton, on: bool) -> None:
    """Draw a button as the one to press, or as any other."""
    button.setObjectName("pffnet_primary" if on else "")
    style = button.style()
    if style is not None:  # it knows the button by its former name
        style.unpolish(button)
        style.polish(button)


def ask_closing(parent: QWidget, paused: bool, others: Sequence[str] = ()) -> str:
    """Ask what becomes of a run, and of those of other projects.

    Returns "stop", "go on", "wait" on (of one that is paused), or "stay" in napari.
    """
    text = f"Training goes on: {', '.join(others)}." if others else PAUSED if paused else CLOSING
    box = QMessageBox(QMessageBox.Icon.Question, "PFFNet", text, parent=parent)
    box.setInformativeText(CLOSING_MORE)
    go_on = box.addButton("Go on in the background", QMessageBox.ButtonRole.AcceptRole)
    wait = box.addButton("Leave it paused", QMessageBox.ButtonRole.AcceptRole) if paused else None
    stop = box.addButton("Stop training", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Do not close", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(go_on)
    box.exec()
    chosen = box.clickedButton()
    answers = {"go on": go_on, "wait": wait, "stop": stop}
    return next((answer for answer, button in answers.items() if button and chosen is button), "stay")


def completeness(image: ProjectMaterial) -> str:
    """Say how much of an image is complete."""
    if image.fault:
        return "damaged"
    if image.whole:
        return "whole"
    if not image.areas:
        return "nothing"
    count = counted(image.areas, "area")
    return count if image.share != image.share else f"{count}, {image.share:.0%}"


def gate_row(row: Compared) -> QTreeWidgetItem:
    """Return the row of an image in the comparison of the old and the new model."""
    title = f"{row.name} (failed)" if row.fault else row.name
    item = QTreeWidgetItem([title, *(old_and_new(row, name) for name in MEASURES)])
    item.setToolTip(0, f"{row.name}: {row.fault}" if row.fault else row.name)
    return item


def old_and_new(row: Compared | None, measure: str) -> str:
    """Write a figure of both models, as in .50→.70▲; "" if it is not known."""
    if row is None or measure not in row.old or measure not in row.new:
        return ""
    return f"{_short(row.old[measure])}→{_short(row.new[measure])}{SIGNS[row.change(measure)]}"


def _short(value: float) -> str:
    """Write a figure in [0, 1] with two decimals and without its 0, since there is little room: .82, 1.0."""
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else "1.0"
