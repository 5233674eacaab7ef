"""The widgets that the steps of the panel are made of, as all of them look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QMessageBox, QPushButton, QWidget


def make_button(title: str, tip: str, look: Literal["", "tool", "primary"] = "") -> QPushButton:
    """Return a button: of the usual kind, one of many, or the one to press."""
    button = QPushButton(title)
    button.setToolTip(tip)
    if look:
        button.setObjectName(f"pffnet_{look}")
    return button


def make_combo(tip: str) -> QComboBox:
    """Return a list to choose from that is no wider for a long name."""
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    return combo


def make_label(quiet: bool = True, wraps: bool = True) -> QLabel:
    """Return a label; a quiet one is paler, one that does not wrap is a single line."""
    label = QLabel()
    label.setWordWrap(wraps)
    if quiet:
        label.setObjectName("pffnet_quiet")
    return label


def make_form(rows: Iterable[tuple[str, QWidget]]) -> QFormLayout:
    """Return rows of a title and a control."""
    form = QFormLayout()
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setContentsMargins(0, 0, 0, 0)
    for title, widget in rows:
        form.addRow(title, widget)
    return form


def ask(parent: QWidget, question: str) -> bool:
    """Ask something that is answered with yes or no."""
    return QMessageBox.question(parent, "PFFNet", question) == QMessageBox.StandardButton.Yes
