"""What the network knows of the images, for the layers that lie on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pffnet._qt.layers.axes import axis_names, channel_axis
from napari_pffnet._qt.layers.image_under import image_elsewhere, images_under
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.planes import Part, Plane
from napari_pffnet.typing import Array

if TYPE_CHECKING:
    from napari_pffnet._qt.engine import Outcome
    from napari_pffnet.curate.candidates import Candidate

KEPT_PLANES = 32
Place = tuple[Part, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class Insight:
    """What a run found in the image under a plane of labels, in its pixels.

    Attributes
    ----------
    outcome : Outcome
        Prediction and pointer of the run.
    overlaps : dict
        Label id to the fraction of its mask that better nuclei took, where known.
    """

    outcome: Outcome
    overlaps: dict[int, float]

    @cached_property
    def semantic(self) -> Array:
        """Probability of nucleus, float16 H×W; 0 outside of what was wanted."""
        semantic, inside = self.outcome.prediction.semantic, self.outcome.request.plane.inside
        return semantic if inside is None else semantic * inside

    def candidates(self, labels: Array) -> list[Candidate]:
        """Return likely misses of labels (int H×W), the most likely first; none mostly outside of what was wanted."""
        from napari_pffnet.curate.candidates import candidates

        p, inside = self.outcome.prediction, self.outcome.request.plane.inside
        threshold = p.config.mask_threshold
        found = candidates(labels, p.boxes, p.masks, p.mask_scores, p.semantic, mask_threshold=threshold)
        return [each for each in found if inside is None or inside[each.indices].mean() >= 0.5]


@dataclass(frozen=True)
class PartInsight:
    """What runs found in parts of the image under a plane of labels, in its pixels.

    Attributes
    ----------
    parts : list of (Insight, (slice, slice))
        Each with its rows and columns of the plane, the latest first.
    overlaps : dict
        As of `Insight`.
    """

    parts: list[tuple[Insight, tuple[slice, slice]]]
    overlaps: dict[int, float]

    @property
    def semantic(self) -> None:
        """There is no map of the whole plane."""

    def candidates(self, labels: Array) -> list[Candidate]:
        """Return likely misses of labels (int H×W), the most likely first; where parts overlap, those of the latest."""
        found: list[Candidate] = []
        taken = np.zeros(labels.shape, bool)
        for insight, (rows, columns) in self.parts:
            before = taken.copy()
            for each in insight.candidates(labels[rows, columns]):
                place = each.indices[0] + rows.start, each.indices[1] + columns.start
                if not before[place].any():
                    taken[place] = True
                    found.append(replace(each, indices=place))
        return sorted(found, key=lambda each: -each.score)


class Insights:
    """Keeps the outcomes of runs, the latest of each plane.

    Parameters
    ----------
    viewer : ViewerModel
        Its images are meant.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._pixels: WeakKeyDictionary[Image, Any] = WeakKeyDictionary()
        self._outcomes: WeakKeyDictionary[Image, OrderedDict[Place, Outcome]] = WeakKeyDictionary()

    def remember(self, image: Image, outcome: Outcome) -> None:
        """Keep a run's outcome."""
        if self._pixels.get(image) is not image.data:
            self._outcomes.pop(image, None)
        self._pixels[image] = image.data
        planes = self._outcomes.setdefault(image, OrderedDict())
        place = _place(image, outcome.request.plane)
        planes.pop(place, None)
        planes[place] = outcome
        if len(planes) > KEPT_PLANES:
            planes.popitem(last=False)

    def of(self, layer: Labels, plane: LabelPlane) -> Insight | PartInsight | None:
        """Return what is known of a plane of labels; None if no run was made there."""
        under = self.image_under(plane)
        if under is None:
            return None
        outcome, overlaps = self._known(*under), _overlaps(layer)
        if outcome:
            return Insight(outcome, overlaps)
        parts = [(Insight(each, overlaps), window) for each, window in self._parts(*under)]
        return PartInsight(parts, overlaps) if parts else None

    def image_under(self, plane: LabelPlane) -> tuple[Image, Plane] | None:
        """Return the image under a plane of labels, and its plane in view: one with an outcome, else the first."""
        found = list(images_under(self.viewer, plane))
        known = [pair for pair in found if self._known(*pair)]
        return next(iter(known or found), None)

    def image_elsewhere(self, plane: LabelPlane) -> Image | None:
        """Return a visible image of the plane's size that need not lie under it."""
        return image_elsewhere(self.viewer, plane)

    def _parts(self, image: Image, plane: Plane) -> Iterator[tuple[Outcome, tuple[slice, slice]]]:
        """Outcomes of parts of a plane, the latest first, with their rows and columns of it."""
        outcomes = self._outcomes.get(image, OrderedDict()) if self._pixels.get(image) is image.data else {}
        whole, stack = _place(image, plane)
        for (part, where), outcome in reversed(list(outcomes.items())):
            y, x = part.y - whole.y, part.x - whole.x
            inside = 0 <= y <= whole.height - part.height and 0 <= x <= whole.width - part.width
            if where == stack and part.level == whole.level and inside:
                yield outcome, (slice(y, y + part.height), slice(x, x + part.width))

    def _known(self, image: Image, plane: Plane) -> Outcome | None:
        if self._pixels.get(image) is not image.data:  # the layer shows another image since
            return None
        return self._outcomes.get(image, OrderedDict()).get(_place(image, plane))


def _place(image: Image, plane: Plane) -> Place:
    """Return what part of the image a plane is, and where it lies in its stack, whatever its channel."""
    channel = channel_axis(image)
    names = axis_names(image)
    stack = tuple((name, i) for name, i in plane.position.items() if channel is None or name != names[channel])
    return plane.part, stack


def _overlaps(layer: Labels) -> dict[int, float]:
    table = layer.features
    if "overlap" not in table or "index" not in table:
        return {}
    known = table.dropna(subset=["overlap"])
    return dict(zip(known["index"].tolist(), known["overlap"].tolist(), strict=True))
