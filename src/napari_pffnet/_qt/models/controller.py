"""The model library: list, rename, note, delete, export, import. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from psygnal import Signal

from napari_pffnet import library
from napari_pffnet._qt.background import Background
from napari_pffnet.library import Entry

HOW = "Double-click the name or the note of a model of yours to change it."


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    rename_requested: Any
    note_requested: Any
    remove_requested: Any
    export_requested: Any
    import_requested: Any
    selected: Any

    def show_models(self, models: list[Entry], selected: str | None) -> None:
        """List models and select one by its name."""

    def set_status(self, text: str) -> None:
        """Show one line or two."""

    def set_busy(self, busy: bool) -> None:
        """Allow no changes while files are copied."""

    def ask(self, question: str) -> bool:
        """Ask yes or no."""

    def present(self) -> None:
        """Come to the front."""


class ModelsController:
    """Connects the list of models and the library.

    Parameters
    ----------
    view : View
        Shows the models.
    background : Background
        Where files are checked and copied.
    """

    #: Models have changed: the old and the new name of one; "" if it is new, or gone.
    changed = Signal(str, str)

    def __init__(self, view: View, background: Background) -> None:
        self.view, self.background = view, background
        self._models: dict[str, Entry] = {}
        for signal, slot in (
            (view.rename_requested, self.rename),
            (view.note_requested, self.annotate),
            (view.remove_requested, self.remove),
            (view.export_requested, self.export),
            (view.import_requested, self.import_model),
            (view.selected, self.explain),
        ):
            signal.connect(slot)

    def open(self) -> None:
        """Show the models that there are now."""
        self.refresh()
        self.view.set_status(f"{HOW} Your models are in {library.user_folder()}.")
        self.view.present()

    def refresh(self, selected: str | None = None) -> None:
        """List the models that there are now."""
        models = library.entries()
        self._models = {model.name: model for model in models}
        self.view.show_models(models, selected)

    def explain(self, name: str) -> None:
        """Say what is wrong with a model, if anything."""
        model = self._models.get(name)
        self.view.set_status(model.fault if model and model.fault else HOW)

    def rename(self, old: str, new: str) -> None:
        """Give a model another name."""

        def change() -> str:
            name = library.rename(old, new).name
            self.changed.emit(old, name)
            return f"'{old}' is '{name}' now."

        self._try(change, old)

    def annotate(self, name: str, note: str) -> None:
        """Replace a note."""

        def change() -> str:
            library.annotate(name, note)
            self.changed.emit(name, name)
            return f"Note of '{name}' saved."

        self._try(change, name)

    def remove(self, name: str) -> None:
        """Move a model to the trash, if the user agrees."""
        if not self.view.ask(f"Move the model '{name}' to the trash?"):
            return

        def change() -> str:
            library.remove(name)
            self.changed.emit(name, "")
            return f"'{name}' is in the trash."

        self._try(change, name)

    def export(self, name: str, path: str) -> None:
        """Copy a model to a file."""
        self._copy(lambda: library.export(name, path), lambda file: self.view.set_status(f"'{name}' is in {file}."))

    def import_model(self, path: str) -> None:
        """Check a file and copy it into the library, under its own name or, if that is taken, with a number."""
        self._copy(lambda: library.add(path, library.free_name(Path(path).stem)), self._imported)

    def _imported(self, model: Entry) -> None:
        self.refresh(model.name)
        self.changed.emit("", model.name)
        self.view.set_status(f"'{model.name}' is in the list now, and in the step Segment.")

    def _copy(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.view.set_busy(True)

        def finish(result: Any) -> None:
            self.view.set_busy(False)
            done(result)

        def fail(error: Exception) -> None:
            self.view.set_busy(False)
            self.view.set_status(f"Not done: {error}")

        self.background(
            "PFFNet: copying a model",
            lambda _report: job(),
            done=finish,
            failed=fail,
        )

    def _try(self, change: Callable[[], str], name: str) -> None:
        try:
            text = change()
        except (ValueError, OSError) as error:
            text = f"Not done: {error}"
        self.refresh(name)
        self.view.set_status(text)
