"""The controls of the step *Project*."""

from __future__ import annotations

from collections.abc import Sequence

from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction, QDragEnterEvent, QDragMoveEvent, QDropEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet._qt.widgets import ask, make_button, make_label
from napari_pffnet.io.images import SUFFIXES

TIPS = {
    "new": "Make a project: a folder that keeps images, nuclei and every edit.",
    "open": "Open a project's folder; or drag it into napari.",
    "save_as": "Copy the project to another folder and go on there.",
    "add": "Add image files, a folder, or the image that is open in napari. Or drop them onto the list.",
    "copies": "Copy images into the project, so that it can be moved to another machine as it is.\n"
    "Without, they stay where they are.",
    "next": "Save and open the next image that is not done.",
    "done": "Mark the image as done, or take that back. If no area is marked, the whole image counts as complete.",
    "whole": "Every nucleus of this image is annotated: all of it may be trained on.\n"
    "An image without nuclei is a valid example, too.",
    "area": "Draw rectangles or polygons in which every nucleus is annotated; training ignores the rest.",
    "use": "Make the selected Labels layer the annotation of this image, in place of the present one.",
    "segment": "Find the nuclei of an image that is new as soon as it is opened, as Segment does.",
    "list": "Images of the project: ○ new, ◐ in work, ● done. Click to open; drop files or folders to add them.",
}
SIGNS = {"new": "○", "in work": "◐", "done": "●"}
ROWS = 4


class ImageList(QListWidget):
    """List of images; files and folders can be dropped onto it."""

    dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.setToolTip(TIPS["list"])
        self.setFixedHeight(ROWS * (self.fontMetrics().height() + 6) + 6)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files only."""
        _accept(event)

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Take files only."""
        _accept(event)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Tell what was dropped."""
        data = event.mimeData() if event else None
        if event and data and data.hasUrls():
            event.acceptProposedAction()
            self.dropped.emit([url.toLocalFile() for url in data.urls() if url.isLocalFile()])


class ProjectView(QWidget):
    """Buttons for the project, the list of its images, and what can be said of the one that is open."""

    new_requested = Signal(str)
    open_requested = Signal(str)
    save_as_requested = Signal(str)
    add_requested = Signal(list)
    add_open_requested = Signal()
    add_stack_requested = Signal()
    image_chosen = Signal(str)
    next_requested = Signal()
    done_requested = Signal()
    whole_toggled = Signal(bool)
    area_requested = Signal()
    use_layer_requested = Signal()
    segmenting_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name, self.status = make_label(wraps=False), make_label()
        self.new_button = self._button("New…", "new", self._ask_new)
        self.open_button = self._button("Open…", "open", self._ask_open)
        self.save_as_button = self._button("Save As…", "save_as", self._ask_save_as)
        self.add_button = self._button("Add", "add")
        self.next_button = self._button("Next", "next", self.next_requested.emit)
        self.done_button = self._button("Mark done", "done", self.done_requested.emit)
        self.area_button = self._button("Complete here", "area", self.area_requested.emit)
        self.copy_action = QAction("Copy images into the project", self)
        self.copy_action.setCheckable(True)
        self.copy_action.setChecked(True)
        self.use_action = QAction("Selected Labels layer, as the nuclei of this image", self)
        self.use_action.triggered.connect(lambda _checked: self.use_layer_requested.emit())
        self.add_button.setMenu(self._add_menu())
        self.whole_box = QCheckBox("Whole image is complete")
        self.whole_box.setToolTip(TIPS["whole"])
        self.whole_box.clicked.connect(self.whole_toggled.emit)
        self.segment_box = QCheckBox("Segment new images when they open")
        self.segment_box.setToolTip(TIPS["segment"])
        self.segment_box.clicked.connect(lambda _on: self.segmenting_chosen.emit())
        self.images = ImageList()
        self.images.dropped.connect(self.add_requested.emit)
        self.images.itemClicked.connect(self._choose)
        self.images.itemActivated.connect(self._choose)
        self.body = QWidget()
        self._lay_out()

    def copies(self) -> bool:
        """Whether images are copied into the project."""
        return self.copy_action.isChecked()

    def segments_new(self) -> bool:
        """Whether images without nuclei are segmented when they are opened."""
        return bool(self.segment_box.isChecked())

    def set_project(self, name: str | None) -> None:
        """Name the project; None hides everything that needs one."""
        self.name.setText(name or "")
        self.save_as_button.setEnabled(name is not None)
        self.body.setVisible(name is not None)

    def set_images(self, images: Sequence[tuple[str, str]], current: str | None) -> None:
        """List names and states, and which one is open."""
        self.images.clear()
        for name, state in images:
            item = QListWidgetItem(f"{SIGNS[state]}  {name}")
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setToolTip(f"{name}: {state}")
            self.images.addItem(item)
            if name == current:
                self.images.setCurrentItem(item)
        for control in (self.done_button, self.area_button, self.use_action, self.whole_box):
            control.setEnabled(current is not None)
        self.next_button.setEnabled(bool(images))

    def set_image(self, done: bool, whole: bool) -> None:
        """Show whether the open image is done, and complete as a whole."""
        self.done_button.setText("Not done" if done else "Mark done")
        self.whole_box.setChecked(whole)

    def set_busy(self, busy: bool) -> None:
        """Allow nothing but looking and editing while a long job runs."""
        for control in (self.new_button, self.open_button, self.save_as_button, self.body):
            control.setEnabled(not busy)

    def set_status(self, text: str) -> None:
        """Show one line."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def warn(self, text: str) -> None:
        """Show a notification of napari."""
        show_warning(text)

    def ask(self, question: str) -> bool:
        """Ask something that is answered with yes or no."""
        return ask(self, question)

    def _button(self, text: str, tip: str, clicked: object = None) -> QPushButton:
        button = make_button(text, TIPS[tip], "tool")
        if callable(clicked):
            button.clicked.connect(lambda _checked: clicked())
        return button

    def _add_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.copy_action.setToolTip(TIPS["copies"])
        self.use_action.setToolTip(TIPS["use"])
        for title, function in (
            ("Files…", self._ask_files),
            ("Folder…", self._ask_folder),
            ("Image that is open in napari", self.add_open_requested.emit),
            ("All slices of the stack that is open", self.add_stack_requested.emit),
        ):
            action = QAction(title, menu)
            action.triggered.connect(lambda _checked, function=function: function())
            menu.addAction(action)
        menu.addAction(self.use_action)
        menu.addSeparator()
        menu.addAction(self.copy_action)
        return menu

    def _choose(self, item: QListWidgetItem) -> None:
        self.image_chosen.emit(item.data(Qt.ItemDataRole.UserRole))

    def _ask_new(self) -> None:
        place, _ = QFileDialog.getSaveFileName(self, "New project: name of its folder", "project")
        if place:
            self.new_requested.emit(place)

    def _ask_open(self) -> None:
        place = QFileDialog.getExistingDirectory(self, "Open a project's folder")
        if place:
            self.open_requested.emit(place)

    def _ask_save_as(self) -> None:
        place, _ = QFileDialog.getSaveFileName(self, "Copy the project: name of its new folder", self.name.text())
        if place:
            self.save_as_requested.emit(place)

    def _ask_files(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        files, _ = QFileDialog.getOpenFileNames(self, "Add images", "", f"Images ({patterns})")
        if files:
            self.add_requested.emit(files)

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Add all images of a folder")
        if folder:
            self.add_requested.emit([folder])

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.images, 0, 0, 1, 3)
        for place, widget in enumerate((self.add_button, self.next_button, self.done_button, self.area_button)):
            grid.addWidget(widget, 1 + place // 3, place % 3)
        grid.addWidget(self.whole_box, 2, 1, 1, 2)
        grid.addWidget(self.segment_box, 3, 0, 1, 3)
        for column in range(3):
            grid.setColumnStretch(column, 1)
        self.body.setLayout(grid)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.new_button, self.open_button, self.save_as_button):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        layout.addLayout(buttons)
        layout.addWidget(self.body)
        layout.addWidget(self.status)


def _accept(event: QDragEnterEvent | QDragMoveEvent | None) -> None:
    data = event.mimeData() if event else None
    if event and data and data.hasUrls():
        event.acceptProposedAction()
