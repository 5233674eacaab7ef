"""The step *Correct*: tools make edits of gestures, edits are written, the result is told. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

from app_model.types import KeyBinding, KeyCode, KeyMod
from napari.layers import Labels

from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.correct.edit_tools import Settings, class_tools, nucleus_tools
from napari_pffnet._qt.correct.gestures import NOTHING, Canvas, Gestures
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.correct.tools import NO_NUCLEUS, Finish, Gesture, Later, Tool, ToolEdit
from napari_pffnet._qt.layers.active_labels import NO_LAYER, ActiveLabels
from napari_pffnet._qt.layers.editable import editable_copy, hindrance
from napari_pffnet._qt.layers.image_under import grey_under
from napari_pffnet._qt.layers.label_plane import Content, LabelPlane, content_of, plane_to_edit
from napari_pffnet._qt.layers.planes import PlaneError
from napari_pffnet.curate.change import OperationError

UNDO = str(KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyZ))
REDO = str(KeyBinding.from_int(KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ))


class View(Settings, Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    tool_chosen: Any
    undo_requested: Any
    copy_requested: Any
    keys_requested: Any

    def add_tool(self, tool: Tool) -> None:
        """Show a button for a tool."""

    def set_key(self, tool: str, key: str) -> None:
        """Show a tool's key."""

    def show_keys(self, keys: Keys) -> None:
        """Let the user change keys."""

    def set_layer(self, name: str | None, content: Content, editable: bool = True) -> None:
        """Name the layer being corrected and show its tools; None disables them. Offer a copy if it is not editable."""

    def set_tool(self, name: str | None) -> None:
        """Show which tool waits for gestures."""

    def set_busy(self, busy: bool) -> None:
        """Show whether a tool works in the background."""

    def set_status(self, text: str) -> None:
        """Show one line."""


class CorrectController:
    """Connects viewer, view and tools.

    Parameters
    ----------
    active : ActiveLabels
        The layer to correct.
    view : View
        Shows the tools and the state.
    keys : Keys
        Gets the tools' keys.
    canvas : Canvas
        Shows gestures while they are made.
    tools : sequence of Tool
        Tools besides those of `edit_tools`; their buttons come first.
    """

    def __init__(
        self, active: ActiveLabels, view: View, keys: Keys, canvas: Canvas, tools: Sequence[Tool] = ()
    ) -> None:
        self.active, self.viewer, self.view, self.keys = active, active.viewer, view, keys
        self.tools: dict[str, Tool] = {}
        self.gestures = Gestures(self.viewer, keys, canvas, self._use, told=view.set_status, changed=view.set_tool)
        self._layer: Labels | None = None
        self._working, self._closed = 0, False
        self._connections = Connections(
            (active.switched, self._switch),
            (self.viewer.layers.events.renamed, self._show_layer),
            (view.tool_chosen, self.choose),
            (view.undo_requested, self.undo),
            (view.copy_requested, self.copy),
            (view.keys_requested, self._show_keys),
            (keys.changed, self._show_key),
        )
        own = (*nucleus_tools(view, lambda plane: grey_under(self.viewer, plane)), *class_tools())
        for tool in (*tools, *own):
            self.add(tool)
        keys.hold("undo", UNDO, self.undo)  # napari's own would leave the table behind
        keys.hold("redo", REDO, self.redo)
        self._switch(active.layer)

    def close(self) -> None:
        """Let go of the viewer and its layers."""
        self._connections.close()
        self.gestures.end()
        self._listen(None)
        self._closed = True
        if self._working:
            self.view.set_busy(False)

    def undo(self) -> None:
        """Undo what was done last to the layer: an edit, or what was said of it in a review."""
        if self.active.rows:
            self.view.set_status(self.active.undo())

    def redo(self) -> None:
        """Redo what was undone last."""
        if self.active.rows:
            self.view.set_status(self.active.redo())

    def copy(self) -> None:
        """Put a copy of the layer that can be edited above it, and hide the layer."""
        layer = self._layer
        if layer is None:
            return
        self.view.set_busy(True)
        try:
            copy = editable_copy(layer)
        except (PlaneError, OSError) as error:
            self.view.set_status(f"Not done: {error}.")
            return
        finally:
            self.view.set_busy(self._working > 0)
        layers = self.viewer.layers
        layers.insert(layers.index(layer) + 1, copy)
        layer.visible, copy.visible = False, True
        layers.selection.active = copy

    def choose(self, name: str) -> None:
        """Let a tool wait for gestures; the same one again ends it. A tool that takes none does its work."""
        tool, again = self.tools[name], self.waiting == name
        self.gestures.end()
        if "now" in tool.gestures:
            self.perform(name, Gesture("now", NOTHING))
        elif not again and self._plane(tool) is not None and self._layer is not None:
            self.gestures.begin(tool, self._layer)

    @property
    def waiting(self) -> str | None:
        """Name of the tool that waits for gestures."""
        return self.gestures.tool.name if self.gestures.tool else None

    def press(self, name: str) -> None:
        """Do what a tool's key does."""
        tool, waited = self.tools[name], self.waiting == name
        if tool.on_key == "wait" or (tool.on_key == "both" and not waited):
            self.choose(name)
        if tool.on_key == "wait":
            return
        tool.forget()
        if self.perform(name) == NO_NUCLEUS and self.waiting == name:
            self.view.set_status(tool.hint)

    def perform(self, name: str, gesture: Gesture | None = None) -> str:
        """Use a tool on the plane in view; without a gesture, where the cursor is.

        Returns
        -------
        str
            What the status says; errors are told there too.
        """
        tool = self.tools[name]
        plane = self._plane(tool)
        if plane is None:
            return ""
        made = gesture or Gesture("click", plane.place(self.viewer.cursor.position)[None])
        return self._tell(plane, lambda: tool.do(plane, made))

    def _use(self, tool: Tool, gesture: Gesture) -> None:
        self.perform(tool.name, gesture)

    def _plane(self, tool: Tool) -> LabelPlane | None:
        """Return the plane in view; None, and the reason as status, if there is none for the tool."""
        if self._layer is None:
            return None
        try:
            return plane_to_edit(self._layer, self.viewer.dims, tool.content)
        except PlaneError as error:
            self.view.set_status(f"Not done: {error}.")
            return None

    def _tell(self, plane: LabelPlane, do: Callable[[], ToolEdit | str | Later]) -> str:
        try:
            result = do()
            if isinstance(result, ToolEdit):
                result = self._write(result, plane)
        except (OperationError, PlaneError) as error:
            result = f"Not done: {error}."
        self.view.set_status(result.text if isinstance(result, Later) else result)
        if isinstance(result, Later):
            self._start(result, plane)
            return result.text
        return result

    def _write(self, edit: ToolEdit, plane: LabelPlane) -> str:
        if not len(edit.change.values):
            return "Nothing to change there."
        rows = self.active.rows_of(plane.layer)
        with rows.made_by(edit.origin) if rows and edit.origin else nullcontext():
            (plane.write_everywhere if edit.everywhere else plane.write)(edit.change)
        if edit.renumbered and rows:
            rows.renumber(edit.renumbered)
        if edit.made:
            plane.layer.selected_label = edit.made  # the brush goes on with it
        return edit.text

    def _start(self, later: Later, plane: LabelPlane) -> None:
        self._working += 1
        self.view.set_busy(True)
        later.start(lambda finish: self._finish(finish, plane))

    def _finish(self, finish: Finish, plane: LabelPlane) -> None:
        if self._closed:
            return
        self._working -= 1
        self.view.set_busy(self._working > 0)
        if plane.layer in self.viewer.layers:
            self._tell(plane, lambda: finish(plane))

    def add(self, tool: Tool) -> None:
        """Offer another tool."""
        self.tools[tool.name] = tool
        self.view.add_tool(tool)
        self.keys.add(tool.name, tool.key, tool.title, self._pressing(tool))
        self._show_key(tool.name)

    def _pressing(self, tool: Tool) -> Callable[[], None]:
        return lambda: self.press(tool.name)

    def _switch(self, layer: Labels | None) -> None:
        self.gestures.end()
        self._listen(layer)
        self.view.set_status("")
        self._show_layer()

    def _listen(self, layer: Labels | None) -> None:
        if self._layer is not None:
            self._layer.events.editable.disconnect(self._show_layer)
        if layer is not None:
            layer.events.editable.connect(self._show_layer)
        self._layer = layer

    def _show_layer(self, _event: Any = None) -> None:
        layer = self._layer
        if layer is None:
            self.view.set_layer(None, "nuclei")
            self.view.set_status(NO_LAYER)
            return
        reason = hindrance(layer)
        self.view.set_layer(layer.name, content_of(layer), editable=not reason)
        if reason:
            self.view.set_status(f"{reason}: to correct it, edit a copy.")

    def _show_key(self, name: str) -> None:
        if name in self.tools:
            self.view.set_key(name, self.keys.key(name))

    def _show_keys(self) -> None:
        self.view.show_keys(self.keys)
