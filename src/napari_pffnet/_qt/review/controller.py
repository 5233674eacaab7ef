"""The step *Review*: nuclei and candidates one after the other, the worst first. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.layers.active_labels import NO_LAYER, ActiveLabels
from napari_pffnet._qt.layers.camera import CameraVisits
from napari_pffnet._qt.layers.contours import Contours
from napari_pffnet._qt.layers.label_plane import LabelPlane, check_to_edit, plane_to_edit
from napari_pffnet._qt.layers.label_rows import ACCEPTED, RowsChange
from napari_pffnet._qt.layers.planes import PlaneError
from napari_pffnet._qt.layers.undo import DoneStep
from napari_pffnet._qt.review import texts
from napari_pffnet._qt.review.brush import Brush
from napari_pffnet._qt.review.candidates import Candidates
from napari_pffnet._qt.review.counts import Counts
from napari_pffnet._qt.review.layers import ReviewLayers
from napari_pffnet._qt.review.present import Present
from napari_pffnet._qt.review.protocol import KEYS, View
from napari_pffnet._qt.review.rows import Insight, Key, ReviewList
from napari_pffnet.curate.calibration import Calibration
from napari_pffnet.curate.change import Change
from napari_pffnet.curate.queue import CANDIDATE, COLUMNS
from napari_pffnet.wording import CTRL


class ReviewController:
    """Connects viewer, view and the list under review; costs nothing until it is opened.

    Parameters
    ----------
    active : ActiveLabels
        The layer to review.
    view : View
        Shows the list.
    keys : Keys
        Where the keys of `KEYS` are added.
    insight : callable
        Gives what the network knows of a layer's plane; None for layers made elsewhere.
    calibration : callable
        Gives what corrections have taught about the predicted fit; asked whenever a review starts.
    """

    #: The review was started (True) or ended, by the user or by a key.
    opened = Signal(bool)

    def __init__(
        self,
        active: ActiveLabels,
        view: View,
        keys: Keys,
        insight: Callable[[Labels, LabelPlane], Insight | None] = lambda _layer, _plane: None,
        calibration: Callable[[], Calibration | None] = lambda: None,
    ) -> None:
        self.active, self.viewer, self.view, self.keys, self.insight = active, active.viewer, view, keys, insight
        self.calibration = calibration
        self._list: ReviewList | None = None
        self._layers: ReviewLayers | None = None
        self._camera = CameraVisits(self.viewer)
        self._present, self._open = Present(), False
        self._candidates = Candidates(active, view.set_status)
        self._candidates.changed.connect(self._show_candidates)
        self._brush = Brush(keys)
        self._counts = Counts(active)
        self.contours = Contours(active, view.set_outlines)
        self._layer_connections = Connections()
        actions = {name: getattr(self, name) for name in KEYS}
        for name, (key, title) in KEYS.items():
            keys.add(f"review_{name}", key, f"Review: {title}", actions[name])
        self._connections = Connections(
            (active.switched, self._switch),
            (self.viewer.dims.events.order, self._start),
            (self.viewer.layers.events.removed, self._removed),
            (view.opened, self.set_open),
            (view.wanted_changed, self._list_again),
            (view.row_chosen, self.choose),
            (view.action_chosen, lambda name: actions[name]()),
            (view.overview_requested, self.overview),
            (view.candidates_toggled, self._outline),
            (view.disagreement_toggled, self.show_disagreement),
            (keys.changed, self._show_keys),
            (self.viewer.events.theme, self._follow_theme),
        )
        self._show_keys()
        self._follow_theme()

    def close(self) -> None:
        """Let go of the viewer and take the review's layers away."""
        self._connections.close()
        self.contours.close()
        self._release()

    def set_open(self, is_open: bool) -> None:
        """Start or end the review of the selected layer."""
        if is_open != self._open:
            self._open = is_open
            self.opened.emit(is_open)  # first: two steps unfolded at once would stretch the window
            self.view.set_open(is_open)
            self._start()

    def next(self) -> None:
        """Go to the next row; from the last to the first."""
        self._step(1)

    def previous(self) -> None:
        """Go to the row before; from the first to the last."""
        self._step(-1)

    def choose(self, row: int) -> None:
        """Go to a row of the list as it is shown."""
        review = self._ready()
        if review is not None and 0 <= row < len(self._present.shown):
            self._go_to(review, row)

    def _go_to(self, review: ReviewList, row: int, said: str = "") -> None:
        key = self._point_at(review, row, said)
        found = review.row(key)
        if found is not None:
            box = (float(found["top"]), float(found["left"]), float(found["height"]), float(found["width"]))
            self._camera.show(review.plane(key.plane), box, review.diameter)

    def _point_at(self, review: ReviewList, row: int, said: str = "") -> Key:
        """Make a row the present one, and say what it is after what is `said`; the camera stays."""
        self._brush.let_go()
        key = self._present.put(row)
        self.view.set_current(row)
        if self._layers:
            self._layers.mark(key)
        self.view.set_status(f"{said} {texts.row(review, key)}".strip())
        return key

    def overview(self) -> None:
        """Bring back the view from before the first object."""
        self._camera.back()

    def accept(self) -> None:
        """Accept the present row and go on; an accepted nucleus becomes open again, a candidate is painted.

        What a person has made of a nucleus is accepted anyway, and stays known as edited or new.
        """
        review, key, said = self._ready(), self._present.key, ""
        if review is None or key is None:
            self.next()
            return
        row, rows = review.row(key), self.active.rows
        if key.kind == CANDIDATE:
            self._candidates.paint(key.number)
        elif row is not None and rows is not None and row["state"] in ("", ACCEPTED):
            state = "" if row["state"] == ACCEPTED else ACCEPTED
            rows.set_state([key.number], state, review.box(key))
            said = texts.accepted(review, key, state)
        self._step(1, said)

    def remove(self) -> None:
        """Delete the present nucleus, or set the candidate aside, and go on."""
        review, key, said = self._ready(), self._present.key, ""
        if review is None or key is None or review.row(key) is None:
            return
        if key.kind == CANDIDATE:
            self._candidates.set_aside(key.number)
        else:
            plane, indices = review.plane(key.plane), review.indices(key)
            plane.write(Change(indices, np.zeros(len(indices[0]), plane.pixels.dtype)))
            said = texts.deleted(review, key)
        self._step(1, said)

    def edit(self) -> None:
        """Take napari's brush with the id of the present nucleus; a candidate is accepted first."""
        review, key = self._ready(), self._present.key
        if review is None or key is None or review.row(key) is None:
            return
        label = self._candidates.paint(key.number) if key.kind == CANDIDATE else key.number
        if label:
            self.view.set_status(self._brush.take(review.layer, label))

    def candidate(self) -> None:
        """Accept the candidate under the cursor, else the present one; then go to the next one."""
        review, present = self._ready(), self._present
        if review is None or not self._candidates_are_in_view(review):
            return
        here = review.candidate_at(self.viewer.cursor.position)
        if here is not None and Key(review.here, CANDIDATE, here) != present.key:
            self._candidates.paint(here)
            return
        if present.key is not None and present.key.kind == CANDIDATE:
            self._candidates.paint(present.key.number)
        row = present.candidate(review.open_candidates())
        if row is not None:
            self.choose(row)
        else:
            self.view.set_status("No candidate left.")

    def _candidates_are_in_view(self, review: ReviewList) -> bool:
        """Whether the plane in view is the candidates' one; if not, review the one in view, if it was segmented."""
        plane = self._plane(review.layer)
        if plane is None or review.number(plane) == review.here:
            return plane is not None
        known = self.insight(review.layer, plane) is not None
        if known:
            self._start()
        self.view.set_status((texts.OTHER_PLANE if known else texts.UNKNOWN_PLANE).format((self._list or review).here))
        return False

    def undo(self) -> None:
        """Undo the last thing done: an acceptance, a dismissal, or an edit of the layer; go back to it."""
        if self.active.rows is not None:
            self.view.set_status(self.active.undo())

    def outlines(self) -> None:
        """Show nuclei as outlines, so that the image under them is seen, or filled again."""
        self.contours.switch()

    def show_disagreement(self, shown: bool) -> None:
        """Add or remove the layer of where semantic map and nuclei differ."""
        self.view.set_disagreement(self._layers is not None and self._layers.show_disagreement(shown))

    def _outline(self) -> None:
        if self._layers:
            self._layers.outline(self.view.wants_candidates())

    def _ready(self) -> ReviewList | None:
        """Open the review if it is not; select its layer again if it is not; None if nothing can be reviewed."""
        self.set_open(True)
        if self._list is None:
            self._start()
        self._let_go()
        if self._list is not None and self.active.layer != self._list.layer:
            self.viewer.layers.selection.active = self._list.layer
        if self._list is not None and self.viewer.dims.ndisplay != 2:
            self.view.set_status(f"Nuclei are reviewed plane by plane; switch to the 2D view ({CTRL}+Y).")
            return None
        try:
            if self._list is not None:
                check_to_edit(self._list.layer)
        except PlaneError as error:
            self.view.set_status(f"Not done: {error}.")
            return None
        return self._list

    def _step(self, by: int, said: str = "") -> None:
        review = self._ready()
        if review is None:
            return
        if not self._present.shown:
            self._forget()
            self.view.set_status(f"{said} {texts.NOTHING_LEFT}".strip())
            return
        self._go_to(review, self._present.following(by), said)

    def _forget(self) -> None:
        self._brush.let_go()
        self._present.forget()
        if self._layers:
            self._layers.mark(None)

    def _show_candidates(self, keys: list[Key]) -> None:
        if self._layers:
            self._layers.follow(keys)
        self._list_again()

    def _go_back(self, step: DoneStep) -> None:
        """What was undone or redone is the present row again, if it is listed."""
        review = self._list
        key = review.meant_by(step, self._present.key) if review is not None else None
        if review is not None and key in self._present.shown and key != self._present.key:
            self._point_at(review, self._present.shown.index(key))

    def _switch(self, layer: Labels | None) -> None:
        """Review the layer that is selected; while another kind of layer is, the list stays."""
        review = self._list
        if not self._open or (self._layers and self._layers.owns(layer)):
            return
        self._brush.let_go()
        if layer is None and review is not None and review.layer in self.viewer.layers:
            self._layer_connections.close()
            return
        again = review is not None and layer == review.layer
        key, row = self._present.key, self._present.row
        self._start()
        if again:
            self._present.key, self._present.row = key, row
            self._list_again()

    def _removed(self, _event: Any) -> None:
        # later: where two Labels layers are removed before the next draw, napari 0.9 may crash in OpenGL
        self.view.call_later(self._let_go)

    def _let_go(self) -> None:
        """End the review if its layer is gone."""
        if self._list is not None and self._list.layer not in self.viewer.layers:
            self._start()

    def _start(self, _event: Any = None) -> None:
        """Build the list of the selected layer, if the review is open."""
        self._stop()
        layer = self.active.layer
        if not self._open:
            return
        if layer is None:
            self.view.set_status(NO_LAYER)
            return
        plane = self._plane(layer)
        if plane is None:
            return
        calibration = self.calibration()
        self._list = ReviewList(plane, self.insight(layer, plane), calibration.apply if calibration else None)
        self._candidates.begin(self._list)
        self._layers = ReviewLayers(self.viewer, self._list)
        self._counts.begin(self._list)
        self._connect_layer(layer)
        self.view.set_network(self._list.insight is not None)
        self._list_again()
        self._outline()
        self.view.set_status(texts.started(self._list, bool(self._present.shown)))

    def _plane(self, layer: Labels) -> LabelPlane | None:
        """Return the plane in view; None, and the reason as status, if it cannot be reviewed."""
        try:
            return plane_to_edit(layer, self.viewer.dims)
        except PlaneError as error:
            self.view.set_status(f"Not done: {error}.")
            return None

    def _release(self) -> None:
        """Let go of the layer and take the review's own layers away; the view may be gone already."""
        self._layer_connections.close()
        if self._layers:
            self._layers.remove()
        self._list = self._layers = None
        self._candidates.begin(None)
        self._present.shown = []
        self._forget()

    def _stop(self) -> None:
        self._release()
        self.view.set_disagreement(False)
        self.view.set_rows(pd.DataFrame(columns=[*COLUMNS, "plane"]))
        self.view.set_counts("")
        self.view.set_network(False)

    def _connect_layer(self, layer: Labels) -> None:
        self._layer_connections.close()
        assert self.active.rows is not None
        self._layer_connections = Connections(
            (self.active.rows.changed, self._follow),
            (self.active.rows.turned, self._go_back),
            (layer.events.features, self._rescore),
            (layer.events.data, self._start_afresh),
        )

    def _start_afresh(self, _event: Any = None) -> None:
        """The layer got other labels: review these."""
        if self.active.layer is not None:
            self._counts.forget(self.active.layer)
        self._start()

    def _follow(self, change: RowsChange) -> None:
        if self._list is None:
            return
        told = self._list.rescore()
        touched = self._list.follow(change.writes)
        if not told and not touched:
            return
        if self._layers:
            self._layers.follow(touched)
            if self._present.key in touched:
                self._layers.mark(self._present.key, change.writes)
        self._list_again()

    def _rescore(self, _event: Any = None) -> None:
        if self._list is not None and self._list.rescore():
            self._list_again()

    def _list_again(self) -> None:
        """Show the rows that are wanted."""
        review = self._list
        if review is None:
            return
        rows = review.shown(self.view.wanted())
        place = self._present.show(rows, review)
        self.view.set_rows(rows)
        self.view.set_current(place)
        self.view.set_counts(self._counts.text(review))
        nuclei = review.nuclei()
        self.view.set_values(nuclei["area"].to_numpy(), nuclei["mask_score"].to_numpy())

    def _follow_theme(self, _event: Any = None) -> None:
        self.view.set_theme(self.viewer.theme)

    def _show_keys(self, _name: str = "") -> None:
        self.view.set_keys({name: self.keys.key(f"review_{name}") for name in KEYS})
