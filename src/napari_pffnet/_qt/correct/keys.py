"""Keys of the panel's actions, on the layer being corrected or everywhere; the user can change them. No Qt in here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any, cast

from app_model.types import KeyBinding
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.layers import Labels
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import KeymapProvider
from platformdirs import user_config_path
from psygnal import Signal

from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.wording import CTRL

#: A generator function, as in napari, goes on after its `yield` when the key is let go.
Function = Callable[[], object]
SHIFTED = "Shift works with letters and named keys only (Shift-G, Shift-F5)"


@dataclass
class _Action:
    key: str
    default: str
    title: str
    function: Function
    anywhere: bool


class Keys:
    """Keys on the layer being corrected, and some on the viewer.

    A key is written as napari writes it, with hyphens: "D", "Shift-G", "F5"; "" is none. While another layer is
    selected (but for actions that work anywhere), or after `close`, whatever had the keys before has them again.

    Parameters
    ----------
    active : ActiveLabels
        Its layer has the keys.
    path : Path, optional
        File (JSON) that keeps the keys that the user has changed.

    Attributes
    ----------
    message : str
        What went wrong with the file; "" if nothing did.
    """

    #: The key of an action has changed; its name.
    changed = Signal(str)

    def __init__(self, active: ActiveLabels, path: Path | None = None) -> None:
        self.active, self.path, self.message = active, path or keys_file(), ""
        self._actions: dict[str, _Action] = {}
        self._held: dict[str, tuple[str, Function]] = {}
        self._layer: Labels | None = None
        self._before: list[tuple[KeymapProvider, str, Any]] = []
        self._own = self._read()
        active.switched.connect(self._switch)
        self._switch(active.layer)

    def close(self) -> None:
        """Give all keys back."""
        self.active.switched.disconnect(self._switch)
        self._give_back()
        self._layer = None

    def add(self, name: str, key: str, title: str, function: Function, *, anywhere: bool = False) -> None:
        """Add an action with its default key ("": none); a key that the user gave to another action stays there.

        With `anywhere` it works whatever layer is selected.

        Raises
        ------
        ValueError
            The name is in use, or the default is no key.
        """
        if name in self._actions:
            raise ValueError(f"there is an action '{name}' already")
        default = normal(key) if key else ""
        chosen = self._own.get(name, default)
        free = "" if self._owner(chosen) else chosen
        self._actions[name] = _Action(free, default, title, function, anywhere)
        self._bind()

    def key(self, name: str) -> str:
        """Return the action's key now."""
        return self._actions[name].key

    def titles(self) -> dict[str, str]:
        """Return the titles of all actions by their names, in the order in which they were added."""
        return {name: action.title for name, action in self._actions.items()}

    def change(self, name: str, key: str) -> None:
        """Give an action another key ("": none), now and in the future.

        Raises
        ------
        ValueError
            It is no key, or another action of ours or napari's has it; the message says which.
        """
        wanted = normal(key) if key else ""
        if wanted == self._actions[name].key:
            return
        owner = self._owner(wanted, name)
        if owner:
            raise ValueError(f"{wanted} is the key of '{owner}'; choose another one, or change that one first")
        taken = napari_has(wanted, self.active.viewer) if wanted != self._actions[name].default else ""
        if taken:
            raise ValueError(f"{wanted} is a key of napari: '{taken}'; choose another one")
        self._set(name, wanted)
        self._write()

    def reset(self) -> None:
        """Give every action its default key."""
        for action in self._actions.values():
            action.key = ""
        for name, action in self._actions.items():
            self._set(name, action.default)
        self._write()

    def hold(self, name: str, key: str, function: Function) -> None:
        """Take a key for a moment, above the actions; `name` is who holds it."""
        self._held.pop(name, None)
        self._held[name] = (normal(key), function)
        self._bind()

    def held(self) -> list[str]:
        """Return who holds keys."""
        return list(self._held)

    def release(self, name: str) -> None:
        """Let go of a held key; nothing happens if it is not held."""
        if self._held.pop(name, None):
            self._bind()

    def _owner(self, key: str, but: str = "") -> str:
        others = (action.title for name, action in self._actions.items() if name != but and key == action.key)
        return next(others, "") if key else ""

    def _set(self, name: str, key: str) -> None:
        action = self._actions[name]
        action.key = key
        self._own.pop(name, None)
        if key != action.default:
            self._own[name] = key
        self._bind()
        self.changed.emit(name)

    def _switch(self, layer: Labels | None) -> None:
        self._layer = layer
        self._bind()

    def _bind(self) -> None:
        self._give_back()
        actions = [action for action in self._actions.values() if action.key]
        self._take(self.active.viewer, {each.key: each.function for each in actions if each.anywhere})
        if self._layer is not None:
            wanted = {each.key: each.function for each in actions if not each.anywhere}
            self._take(self._layer, {**wanted, **dict(self._held.values())})

    def _take(self, provider: KeymapProvider, wanted: dict[str, Function]) -> None:
        for key, function in wanted.items():
            self._before.append((provider, key, provider.bind_key(key, _called(function), overwrite=True)))

    def _give_back(self) -> None:
        for provider, key, function in self._before:
            provider.bind_key(key, function, overwrite=True)
        self._before.clear()

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            own = json.loads(self.path.read_text("utf-8"))["keys"]
            return {str(name): normal(key) if key else "" for name, key in own.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.message = f"Your keys could not be read; these are the defaults ({self.path}: {error})."
            return {}

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, json.dumps({"keys": self._own}, indent=2).encode())
            self.message = ""
        except OSError as error:
            self.message = f"The keys hold until napari is closed; they could not be saved ({error})."


def keys_file() -> Path:
    """Return where changed keys are kept; on Windows those of earlier versions, a folder deeper, move there."""
    path = user_config_path("napari-pffnet", appauthor=False) / "keys.json"
    before = user_config_path("napari-pffnet") / "keys.json"
    if before.is_file() and not path.exists():
        with suppress(OSError):
            before.replace(path)
    return path


def normal(key: str) -> str:
    """Return a key as it is written here: "shift+g" becomes "Shift-G".

    Raises
    ------
    ValueError
        It is no key, or several one after the other.
    """
    parts = KeyBinding.from_str(key.replace("Return", "Enter")).parts if key.strip() else []
    names = str(parts[0]).split("+") if len(parts) == 1 else [""]
    if not names[-1] or names[-1] in ("Shift", "Ctrl", "Alt", "Meta"):
        raise ValueError(f"'{key}' is no key that can be used; press one key, alone or with {CTRL}, Alt or Shift")
    if "Shift" in names and len(names[-1]) == 1 and not names[-1].isalpha():
        raise ValueError(f"'{key}' cannot be used: {SHIFTED}")
    return "-".join(names)


def napari_keys(action: str) -> list[str]:
    """Return the keys that napari's settings give an action ("activate_labels_erase_mode"); none that are no keys."""
    keys = get_settings().shortcuts.shortcuts.get(f"napari:{action}", [])
    return [key for each in keys if (key := _usable(str(each)))]


def _usable(key: str) -> str:
    """Return a key as it is written here; "" if it is one that cannot be used."""
    try:
        return normal(key)
    except ValueError:
        return ""


def napari_has(key: str, viewer: ViewerModel) -> str:
    """Return the title of what napari, or another plugin, does with a key on a Labels layer; "" if it is free."""
    titles = {_usable(str(each)): title for each, title in _napari_keys(viewer)}  # some have Ctrl alone
    return titles.get(normal(key), "") if key else ""


def _napari_keys(viewer: ViewerModel) -> list[tuple[Any, str]]:
    providers = (*Labels.__mro__, *ViewerModel.__mro__)
    maps = [getattr(provider, "class_keymap", {}) for provider in providers]
    actions = action_manager._actions
    menus = get_app_model()
    return [
        *((rule.keybinding, menus.commands[rule.command_id].title) for rule in menus.keybindings),
        *((key, _told(function)) for keymap in (*maps, viewer.keymap) for key, function in keymap.items()),
        *(
            (key, actions[name].description)
            for name, keys in get_settings().shortcuts.shortcuts.items()
            for key in keys
            if name in actions and actions[name].keymapprovider in providers
        ),
    ]


def _told(function: Any) -> str:
    doc = (getattr(function, "__doc__", None) or "").strip()
    return doc.splitlines()[0] if doc else getattr(function, "__name__", "another function")


def _called(function: Function) -> Callable[[KeymapProvider], object]:
    """Return what napari calls with the layer or viewer that has the key."""

    def while_down(_provider: KeymapProvider) -> Iterator[None]:
        yield from cast("Iterator[None]", function())

    return while_down if isgeneratorfunction(function) else lambda _provider: function()
