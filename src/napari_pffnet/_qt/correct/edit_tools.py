"""The tools that need no network: for nuclei, and for the classes of a semantic layer. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from napari_pffnet._qt.correct.continuing import are_linked, continued
from napari_pffnet._qt.correct.tools import NO_NUCLEUS, Do, Gesture, Tool, ToolEdit
from napari_pffnet._qt.correct.tracks import delete_everywhere, link_everywhere, merge_everywhere, named_as_beside
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet.curate.change import Change
from napari_pffnet.curate.operations import (
    BACKGROUND,
    FOREGROUND,
    delete,
    fill_holes,
    grow,
    merge,
    mostly_inside,
    new_label,
    paint_class,
    relabel,
    shrink,
    smooth,
)
from napari_pffnet.curate.split import split_at_waist, split_by_line, split_each_by_seeds
from napari_pffnet.labels import IGNORE, renumber
from napari_pffnet.typing import Array
from napari_pffnet.wording import count_nuclei, counted

ALL_LINKED = "Nothing to link: no nucleus begins on a plane where another has ended on the one before."
NONE_INSIDE = "No nucleus lies mostly inside; draw around whole nuclei."


class Settings(Protocol):
    """What the user has set for the tools."""

    def pixels(self) -> int:
        """By how much to grow or shrink."""

    def replace_neighbours(self) -> bool:
        """Whether new nuclei are painted over their neighbours."""


def nucleus_tools(settings: Settings, grey: Callable[[LabelPlane], Array | None]) -> list[Tool]:
    """Make the tools for nuclei; `grey` finds the image under a plane."""
    together = _Together()
    return [
        Tool(
            "delete",
            "D",
            "Delete",
            "Click the nuclei to delete, or draw around them.",
            "Make nuclei background: the one that is clicked, or all that lie mostly inside an outline.\n"
            "With Shift held down, on all planes of a linked stack.",
            ("click", "lasso"),
            _delete,
            on_key="do",
        ),
        Tool(
            "merge",
            "J",
            "Merge",
            "Click the nuclei that belong together, or draw around them.",
            "Give nuclei one id: click the one whose id is kept, then the others; or draw around all of them.\n"
            "One that is clicked on another plane of a linked stack is joined with it on all planes.",
            ("click", "lasso"),
            together,
            on_key="both",
            forget=together.forget,
        ),
        Tool(
            "split",
            "S",
            "Split",
            "Draw a line across, straight or bent; or click to split at the waist.",
            "Split every nucleus that the drawn line crosses; no pixel is lost. A line that crosses none is drawn on.\n"
            "A click without a line splits at the waist.",
            ("click", "path"),
            _split,
        ),
        Tool(
            "seeds",
            "Shift-S",
            "Seeds",
            "Click once in each part, then Enter. Esc forgets the points.",
            "Split by points: click once in each part, then Enter. The image under it and the shape decide where.",
            ("seeds",),
            lambda plane, gesture: _split_at(plane, gesture.points, grey(plane)),
        ),
        Tool(
            "outline",
            "O",
            "Outline",
            "Draw around a nucleus that is missing.",
            "Draw the outline of a new nucleus with the button held down; it never covers its neighbours,\n"
            "unless 'Replace neighbours' is on, or Shift is down.",
            ("click", "lasso"),
            lambda plane, gesture: _outline(plane, gesture, settings.replace_neighbours() or gesture.shift),
        ),
        *_shape_tools(settings),
    ]


def _shape_tools(settings: Settings) -> list[Tool]:
    facts: list[tuple[str, str, str, str, str, Do]] = [
        (
            "fill_holes",
            "H",
            "Fill holes",
            "Click nuclei with holes.",
            "Fill background that the nucleus encloses.",
            _on_nucleus(lambda plane, label: fill_holes(plane.pixels, label), "filled"),
        ),
        (
            "smooth",
            "R",
            "Smooth",
            "Click the nuclei to smooth.",
            "Round the outline: bumps and notches up to about 3 px wide vanish.",
            _on_nucleus(lambda plane, label: smooth(plane.pixels, label), "smoothed"),
        ),
        (
            "grow",
            "G",
            "Grow",
            "Click the nuclei to grow.",
            "Add a rim of so many pixels; never over neighbours.",
            _on_nucleus(lambda plane, label: grow(plane.pixels, label, settings.pixels()), "grown"),
        ),
        (
            "shrink",
            "Shift-G",
            "Shrink",
            "Click the nuclei to shrink.",
            "Take away a rim of so many pixels.",
            _on_nucleus(lambda plane, label: shrink(plane.pixels, label, settings.pixels()), "shrunk"),
        ),
    ]
    tools = [Tool(*each[:5], ("click",), each[5], on_key="do", place="more") for each in facts]
    return [*tools[:2], _relabel_tool(), *tools[2:], _link_tool()]


def _relabel_tool() -> Tool:
    return Tool(
        "relabel",
        "",
        "Relabel 1..N",
        "",
        "Number all nuclei of the layer 1 to N without gaps, in the order of their ids; their rows go along.",
        ("now",),
        lambda plane, _gesture: _relabel(plane),
        place="more",
    )


def _link_tool() -> Tool:
    return Tool(
        "link",
        "",
        "Link planes",
        "",
        "Give the slices of a nucleus one id on all planes of a stack: what begins on a plane is joined with what\n"
        "ended there on the one before. Ids that go on from plane to plane stay.",
        ("now",),
        lambda plane, _gesture: _link(plane),
        place="more",
    )


def class_tools() -> list[Tool]:
    """Make the tools for a semantic layer: areas of foreground, background and ignored."""
    facts = [
        ("foreground", "Shift-F", "Foreground", "are nuclei", FOREGROUND),
        ("background", "Shift-B", "Background", "are not nuclei", BACKGROUND),
        ("ignore", "Shift-I", "Ignore", "training leaves out", IGNORE),
    ]
    return [
        Tool(
            name,
            key,
            title,
            f"Draw around pixels that {what}.",
            f"Draw around pixels that {what}, with the button held down (value {value}).",
            ("click", "lasso"),
            _painter(value, title),
            content="semantic",
        )
        for name, key, title, what, value in facts
    ]


def _on_nucleus(operation: Callable[[LabelPlane, int], Change], done: str) -> Do:
    def do(plane: LabelPlane, gesture: Gesture) -> ToolEdit | str:
        label = plane.id_at(gesture.points[0])
        return ToolEdit(operation(plane, label), f"Nucleus {label} {done}.") if label else NO_NUCLEUS

    return do


def _delete(plane: LabelPlane, gesture: Gesture) -> ToolEdit | str:
    if gesture.kind == "lasso":
        ids = mostly_inside(plane.pixels, gesture.points)
        if not ids:
            return NONE_INSIDE
        named = count_nuclei(len(ids))
    elif label := plane.id_at(gesture.points[0]):
        ids, named = [label], f"Nucleus {label}"
    else:
        return NO_NUCLEUS
    if gesture.shift and _is_linked(plane, ids):
        return ToolEdit(delete_everywhere(plane, ids), f"{named} deleted on all planes.", everywhere=True)
    return ToolEdit(delete(plane.pixels, ids), f"{named} deleted{' on this plane' if plane.beside() else ''}.")


class _Together:
    """Merges what is clicked into the nucleus that was clicked first, on this plane or on another."""

    def __init__(self) -> None:
        self.first = 0

    def forget(self) -> None:
        self.first = 0

    def __call__(self, plane: LabelPlane, gesture: Gesture) -> ToolEdit | str:
        if gesture.kind == "lasso":
            self.forget()
            ids = mostly_inside(plane.pixels, gesture.points)
            if not ids:
                return NONE_INSIDE
            return ToolEdit(merge(plane.pixels, ids), f"{count_nuclei(len(ids))} merged into {ids[0]}.")
        label = plane.id_at(gesture.points[0])
        if label == 0:
            return NO_NUCLEUS
        here = bool(np.any(plane.pixels == self.first))
        if self.first in (0, label) or not (here or np.any(plane.layer.data == self.first)):
            self.first = label
            return f"Nucleus {label}: now click those that belong to it, Esc when done."
        if here or not _is_linked(plane, [label]):
            return ToolEdit(merge(plane.pixels, [self.first, label]), f"Nucleus {label} merged into {self.first}.")
        change, left = merge_everywhere(plane, self.first, label)
        apart = f"; where both are ({counted(left, 'plane')}), they stay two" if left else ""
        return ToolEdit(change, f"Nucleus {label} merged into {self.first} on all planes{apart}.", everywhere=True)


def _is_linked(plane: LabelPlane, ids: list[int]) -> bool:
    """Whether ids go on from plane to plane around nuclei."""
    rows, columns = np.nonzero(np.isin(plane.pixels, ids))
    return any(are_linked(plane.pixels, beside, (rows, columns)) for beside in plane.beside())


def _split(plane: LabelPlane, gesture: Gesture) -> ToolEdit | str:
    if gesture.kind == "path":
        change = split_by_line(plane.pixels, gesture.points, used_up_to=plane.used_up_to)
        return _parts(plane, change) if len(change.values) else "Nothing split; draw the line across a nucleus."
    label = plane.id_at(gesture.points[0])
    return _parts(plane, split_at_waist(plane.pixels, label, used_up_to=plane.used_up_to)) if label else NO_NUCLEUS


def _split_at(plane: LabelPlane, seeds: Array, grey: Array | None) -> ToolEdit:
    return _parts(plane, split_each_by_seeds(plane.pixels, seeds, grey, plane.used_up_to))


def _parts(plane: LabelPlane, change: Change) -> ToolEdit:
    text = f"Split: {count_nuclei(len(np.unique(change.values)), 'new')}."
    return ToolEdit(named_as_beside(plane, change) if plane.beside() and len(change.values) else change, text)


def _outline(plane: LabelPlane, gesture: Gesture, replace: bool) -> ToolEdit | str:
    if gesture.kind != "lasso":
        return "Hold the button down and draw around the nucleus."
    change = new_label(plane.pixels, gesture.points, replace=replace, used_up_to=plane.used_up_to)
    made = continued(plane, change)
    return ToolEdit(made.change, f"{made.name} added.", made=made.label)


def _relabel(plane: LabelPlane) -> ToolEdit:
    _, ids = renumber(np.maximum(plane.everything, 0))
    new = {old: number for number, old in enumerate(ids.tolist(), start=1)}
    changed = {old: number for old, number in new.items() if old != number}
    return ToolEdit(relabel(plane.everything), f"{count_nuclei(len(new))}, numbered without gaps.", True, changed)


def _link(plane: LabelPlane) -> ToolEdit | str:
    if plane.stack_axis is None:
        return "There is one plane: nothing to link."
    change, count = link_everywhere(plane)
    if not len(change.values):
        return ALL_LINKED
    return ToolEdit(change, f"Planes linked: {count_nuclei(count)}.", everywhere=True)


def _painter(value: int, title: str) -> Do:
    def do(plane: LabelPlane, gesture: Gesture) -> ToolEdit | str:
        if gesture.kind != "lasso":
            return "Hold the button down and draw around the area."
        return ToolEdit(paint_class(plane.pixels, gesture.points, value), f"{title} painted.")

    return do
