"""The controls of the step *Segment*."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QSizePolicy,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.fold import Fold
from napari_pffnet._qt.layers.axes import Channel
from napari_pffnet._qt.segment.protocol import THRESHOLDS, SegmentOptions
from napari_pffnet._qt.tooltip import plain
from napari_pffnet._qt.widgets import ask, make_button, make_combo, make_form, make_label
from napari_pffnet.config import SegmentConfig
from napari_pffnet.io.stains import HEMATOXYLIN

FROM_FILE = "from a file…"
MANAGE = "manage models…"
AUTOMATIC = "automatic"
PAUSE_MS = 40
TIPS = {
    "image": "The image layer to segment: grey or colour, any bit depth.",
    "planes": "Of a stack (Z) or a series (T): segment the plane in view, or all planes one after the other.",
    "linked": "Give a nucleus the same label on all planes, by its overlap from plane to plane (of several axes\n"
    "along the last one: through Z, not through time). Of a division, the better overlap keeps the label.\n"
    "Applies at once.",
    "where": "Segment all of the image, what of it is on the screen, or what is drawn in a Shapes layer\n"
    "(all its shapes, or those picked with its selection tools). Nuclei that lie mostly outside are left out.",
    "level": "Resolution of the result. 'automatic' takes the smallest on which nuclei are well seen.",
    "channel": "Which channel shows the nuclei. Of colour images, 'hematoxylin alone' is for other stains that hide\n"
    "the nuclei, such as brown DAB around them; where DAB stains nuclei themselves, leave all colours.",
    "model": "The network. Rest on a name to see what is known of it. 'from a file…' is for a model\n"
    "file (.safetensors); 'manage models…' shows all models: rename, note, export, import, delete.",
    "device": "Where the network runs. 'automatic' takes a GPU if there is one.",
    "diameter": "Typical diameter of a nucleus in this image, in pixels: the image is scaled so that nuclei\n"
    "have the size that the model was trained on. 'automatic' finds it out by a quick look at the image.",
    "score_threshold": "Nuclei with a lower score are left out (0 to 1: class probability × predicted mask quality).\n"
    "Applies at once; the network does not run again.",
    "mask_threshold": "Probability from which a pixel belongs to a nucleus (0 to 1): lower makes nuclei larger.\n"
    "Applies at once.",
    "overlap_threshold": "A nucleus of which more than this fraction is covered by better ones is left out (0 to 1).\n"
    "Applies at once.",
    "min_area": "Smaller nuclei are left out, in pixels. Applies at once.",
    "outlines": "Show nuclei as outlines instead of filled.",
    "run": "Find the nuclei of the image in view. Results are the layers 'nuclei' and 'semantic' (hidden at first).",
    "cancel": "Stop after the tile being worked on; finished planes of a stack are kept.",
}


class SegmentView(QWidget):
    """Image, model, diameter, Run; then the thresholds that re-apply at once."""

    run_requested = Signal()
    cancel_requested = Signal()
    image_chosen = Signal(int)
    thresholds_changed = Signal()
    outlines_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image, self.channel = _combo("image"), _combo("channel")
        self.model, self.device = _combo("model"), _combo("device")
        self.where, self.level = _where(), _combo("level")
        self.planes, self.linked = _planes(), _tip(QCheckBox("link nuclei"), "linked")
        self.linked.setChecked(True)
        self.outlines = _tip(QCheckBox("Outlines only"), "outlines")
        defaults = SegmentConfig()
        #: One control for each field of the configuration that can be set here, by the field's name.
        self.controls: dict[str, Any] = {
            "diameter": _diameter(),
            "score_threshold": _fraction("score_threshold", defaults.score_threshold),
            "mask_threshold": _fraction("mask_threshold", defaults.mask_threshold),
            "overlap_threshold": _fraction("overlap_threshold", defaults.overlap_threshold),
            "min_area": _area(defaults.min_area),
        }
        self.facts, self.status, self.size_hint = make_label(), make_label(), make_label()
        self.run_button = make_button("Segment", TIPS["run"], "primary")
        self.cancel_button = make_button("Cancel", TIPS["cancel"])
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self._show_library: Callable[[], None] | None = None
        self._model: str | None = None
        self._pixel_size: float | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._lay_out()
        self._connect()

    def options(self) -> SegmentOptions:
        """Read all controls."""
        values = {name: control.value() for name, control in self.controls.items()}
        values["diameter"] = values["diameter"] or None
        return SegmentOptions(
            model=self.model.currentData() or "default",
            device=self.device.currentData() or "auto",
            channel=self._chosen_channel(),
            config=SegmentConfig(**values),
            outlines=self.outlines.isChecked(),
            all_planes=bool(self.planes.currentData()),
            linked=self.linked.isChecked(),
            where=self.where.currentData(),
            level=self.level.currentData(),
        )

    def offer_library(self, show: Callable[[], None]) -> None:
        """Put an entry into the list of models that shows the model library."""
        self._show_library = show
        if self.model.count():
            self.model.addItem(MANAGE, None)

    def set_choices(self, choices: Choices, model: str | None = None) -> None:
        """Offer models and devices; those chosen before stay chosen, or `model` is."""
        chosen, device = model or self._model, self.device.currentData()
        manage = [(MANAGE, None)] if self._show_library else []
        _fill(self.model, [*choices.models, (FROM_FILE, None), *manage])
        for index, (_, name) in enumerate(choices.models):
            self.model.setItemData(index, plain(choices.facts.get(name, "")), Qt.ItemDataRole.ToolTipRole)
        self._keep_model(chosen)
        _fill(self.device, choices.devices)
        self.device.setCurrentIndex(max(self.device.findData(device), 0))

    def choose_model(self, name: str) -> None:
        """Choose a model, offering it if it is new."""
        if self.model.findData(name) < 0:
            self.model.insertItem(self.model.findText(FROM_FILE), name, name)
        self.model.setCurrentIndex(self.model.findData(name))

    def set_images(self, names: list[str], chosen: int) -> None:
        """Offer images; `chosen` is -1 if there are none."""
        _fill(self.image, [(name, index) for index, name in enumerate(names)])
        self.image.setCurrentIndex(chosen)

    def set_channels(self, titles: list[tuple[str, Channel]]) -> None:
        """Offer channels; the row is hidden if there are none."""
        chosen = self.channel.currentData()
        _fill(self.channel, titles)
        if chosen == HEMATOXYLIN:  # what stains the nuclei is the same in the next image
            self.channel.setCurrentIndex(max(self.channel.findData(chosen), 0))
        self._form.setRowVisible(self.channel, bool(titles))

    def set_planes(self, count: int) -> None:
        """Offer all planes of a stack; the row is hidden if there is only one."""
        self.planes.setItemText(1, f"all {count}")
        self._form.setRowVisible(self._planes_row, count > 1)

    def set_levels(self, titles: list[str]) -> None:
        """Offer the levels of a pyramid; the row is hidden if there is only one."""
        _fill(self.level, [(AUTOMATIC, None), *((title, level) for level, title in enumerate(titles))])
        self._form.setRowVisible(self.level, len(titles) > 1)

    def set_facts(self, text: str, pixel_size: float | None) -> None:
        """Tell what was found out about the image; µm per pixel where known."""
        self.facts.setText(text)
        self._form.setRowVisible(self.facts, bool(text))
        self._pixel_size = pixel_size
        self._update_size_hint()

    def set_state(self, *, ready: bool, running: bool) -> None:
        """Enable Run, or show progress and Cancel."""
        self.run_button.setEnabled(ready)
        self._action.setCurrentIndex(int(running))
        chosen_before = (self.image, self.channel, self.where, self.level, self.planes, self.linked)
        for control in (*chosen_before, self.model, self.device, self.controls["diameter"]):
            control.setEnabled(not running)
        if not running:
            self.progress.setRange(0, 0)

    def set_progress(self, done: int, total: int) -> None:
        """Show how far the run is; a single step has no measure."""
        self.progress.setRange(0, total if total > 1 else 0)
        self.progress.setValue(done)

    def set_status(self, text: str) -> None:
        """Show one line."""
        self.status.setText(text)

    def ask(self, question: str) -> bool:
        """Ask something that is answered with yes or no."""
        return ask(self, question)

    def ask_folder(self, title: str, start: str) -> str:
        """Ask for a folder; "" if there is none."""
        return str(QFileDialog.getExistingDirectory(self, title, start))

    def _lay_out(self) -> None:
        self._planes_row = _row(self.planes, self.linked)
        self._form = make_form(
            [
                ("Image", self.image),
                ("", self.facts),
                ("Channel", self.channel),
                ("Resolution", self.level),
                ("Planes", self._planes_row),
                ("Area", self.where),
                ("Model", self.model),
                ("Device", self.device),
            ]
        )
        self._form.addRow("Nucleus diameter", _row(self.controls["diameter"], self.size_hint))
        self._form.setRowVisible(self.channel, False)
        self._form.setRowVisible(self._planes_row, False)
        self._form.setRowVisible(self.level, False)
        self.linked.setVisible(False)
        self._action = QStackedWidget()
        self._action.addWidget(self.run_button)
        self._action.addWidget(_row(self.progress, self.cancel_button))
        self._action.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        thresholds = make_form([("Score", self.controls["score_threshold"])])
        advanced = make_form(
            [
                ("Smallest area", self.controls["min_area"]),
                ("Mask threshold", self.controls["mask_threshold"]),
                ("Overlap", self.controls["overlap_threshold"]),
            ]
        )
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addLayout(self._form)
        layout.addWidget(self._action)
        layout.addLayout(thresholds)
        self.more = Fold("More", advanced, beside=self.outlines, tip="Thresholds that are changed less often.")
        layout.addWidget(self.more)
        layout.addWidget(self.status)

    def _connect(self) -> None:
        self.run_button.clicked.connect(lambda: self.run_requested.emit())
        self.cancel_button.clicked.connect(lambda: self.cancel_requested.emit())
        self.image.activated.connect(self.image_chosen)
        self.channel.activated.connect(lambda: self.image_chosen.emit(self.image.currentIndex()))
        self.model.currentIndexChanged.connect(self._remember_model)
        self.model.activated.connect(self._model_chosen)
        self.planes.currentIndexChanged.connect(lambda index: self.linked.setVisible(bool(index)))
        self.linked.toggled.connect(lambda _on: self._pause.start())
        self.outlines.toggled.connect(lambda _on: self.outlines_changed.emit())
        self._pause.timeout.connect(self.thresholds_changed)
        self.controls["diameter"].valueChanged.connect(self._update_size_hint)
        for name in THRESHOLDS:
            self.controls[name].valueChanged.connect(lambda _value: self._pause.start())

    def _chosen_channel(self) -> Channel:
        data: Channel | None = self.channel.currentData()
        return "view" if data is None else data

    def _update_size_hint(self, _value: float = 0) -> None:
        diameter = self.controls["diameter"].value()
        known = self._pixel_size is not None and diameter > 0
        self.size_hint.setText(f"{diameter * (self._pixel_size or 0):.3g} µm")
        self.size_hint.setVisible(known)

    def _keep_model(self, chosen: str | None) -> None:
        """Choose a model again after the list was filled; a file of the user's is offered again."""
        if chosen and self.model.findData(chosen) < 0 and Path(chosen).is_file():
            self._insert_file(chosen)
        self.model.setCurrentIndex(max(self.model.findData(chosen), 0) if chosen else 0)

    def _insert_file(self, path: str) -> None:
        self.model.insertItem(self.model.findText(FROM_FILE), Path(path).stem, path)

    def _remember_model(self, index: int) -> None:
        """Remember the last entry chosen that is a model."""
        self._model = self.model.itemData(index) or self._model

    def _model_chosen(self, index: int) -> None:
        """Do what the last entries say, and leave a model chosen."""
        text, chosen = self.model.itemText(index), self.model.itemData(index)
        if chosen is None and text == FROM_FILE:
            chosen, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "PFFNet model (*.safetensors)")
            if chosen:
                self._insert_file(chosen)
        self.model.setCurrentIndex(max(self.model.findData(chosen or self._model), 0))
        if text == MANAGE and self._show_library:
            self._show_library()


def _combo(name: str) -> QComboBox:
    combo = make_combo(TIPS[name])
    combo.setPlaceholderText("…")
    return combo


def _where() -> QComboBox:
    combo = _combo("where")
    _fill(combo, [("the whole image", "whole"), ("what is in view", "view"), ("what is drawn", "drawn")])
    return combo


def _planes() -> QComboBox:
    combo = _combo("planes")
    combo.setMinimumContentsLength(5)
    _fill(combo, [("the one in view", False), ("all", True)])
    return combo


def _fill(combo: QComboBox, items: list[tuple[str, Any]]) -> None:
    combo.clear()
    for title, data in items:
        combo.addItem(title, data)
    combo.setCurrentIndex(0 if items else -1)  # Qt leaves a combo box with a placeholder empty


def _diameter() -> QDoubleSpinBox:
    box: QDoubleSpinBox = _tip(QDoubleSpinBox(), "diameter")
    box.setRange(0, 1000)
    box.setDecimals(1)
    box.setSuffix(" px")
    box.setSpecialValueText(AUTOMATIC)
    return box


def _area(value: int) -> QSpinBox:
    box: QSpinBox = _tip(QSpinBox(), "min_area")
    box.setRange(0, 1_000_000)
    box.setSuffix(" px")
    box.setValue(value)
    return box


def _fraction(name: str, value: float) -> QLabeledDoubleSlider:
    slider: QLabeledDoubleSlider = _tip(QLabeledDoubleSlider(Qt.Orientation.Horizontal), name)
    slider.setRange(0, 1)
    slider.setSingleStep(0.01)
    slider.setDecimals(2)
    slider.setValue(value)
    return slider


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(widgets[0], 1)
    for widget in widgets[1:]:
        layout.addWidget(widget)
    return holder


def _tip(widget: Any, name: str) -> Any:
    widget.setToolTip(TIPS[name])
    return widget
