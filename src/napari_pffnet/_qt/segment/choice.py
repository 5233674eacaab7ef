"""The image that is chosen for the step *Segment*, and what the view offers for it. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.engine import Request
from napari_pffnet._qt.layers.axes import (
    axis_names,
    channel_axis,
    channels,
    is_image,
    is_unnamed,
    level_count,
    name_as_in_file,
    pixel_size,
)
from napari_pffnet._qt.layers.planes import Part, Plane, PlaneError, on_screen, plane_count, take_plane, whole
from napari_pffnet._qt.segment.facts import describe, level_titles
from napari_pffnet._qt.segment.protocol import View


class ImageChoice:
    """Follows the viewer's image layers and the user's choice among them.

    Parameters
    ----------
    viewer : ViewerModel
        Its image layers are offered.
    view : View
        Where they are offered.
    changed : callable
        Called with whether another image was chosen.

    Attributes
    ----------
    image : Image or None
        The chosen one.
    """

    def __init__(self, viewer: ViewerModel, view: View, changed: Callable[[bool], None]) -> None:
        self.viewer, self.view, self.changed = viewer, view, changed
        self.image: Image | None = None
        self._images: list[Image] = []
        self._connections = self._connect()

    def close(self) -> None:
        """Let go of the viewer."""
        self._listen(None)
        self._connections.close()

    def refresh(self, _event: Any = None) -> None:
        """Offer the image layers; keep the chosen one, else take the active or the topmost."""
        before, self._images = self._images, [layer for layer in self.viewer.layers if is_image(layer)]
        for image in self._images:
            if image not in before:
                name_as_in_file(image)
        active = self.viewer.layers.selection.active
        preferred = [self.image, active, *reversed(self._images)]
        self.choose(next((layer for layer in preferred if layer in self._images), None))

    def choose(self, image: Image | None) -> None:
        """Choose one of the images that are offered, or none."""
        another = image is not self.image
        self._listen(image)
        self.image = image
        self.view.set_images([layer.name for layer in self._images], self._images.index(image) if image else -1)
        if another:
            self._offer()
        self._update_facts()
        self.changed(another)

    def plane(self, image: Image, part: Part | None = None) -> Plane:
        """Take the plane in view of the channel that the user wants; see `take_plane`."""
        dims = self.viewer.dims
        return take_plane(image, dims.point, dims.order, self.view.options().channel, part)

    def slice_in_view(self, image: Image) -> dict[str, int]:
        """Return where the sliders are along the image's stack axes, by name; empty if they are off it."""
        colours = channel_axis(image)
        try:
            position = self.plane(image).position
        except PlaneError:
            return {}
        return {name: i for name, i in position.items() if colours is None or name != axis_names(image)[colours]}

    def levels(self, image: Image) -> list[Plane]:
        """Take the plane in view on each level of a pyramid, the largest first; PlaneError if there is none."""
        shown = on_screen(image, self.viewer.dims.order)
        return [self.plane(image, whole(image, shown, level)) for level in range(level_count(image))]

    def request(self, image: Image, part: Part) -> Request:
        """Return the run of a part of an image as the view has it now; PlaneError if no plane of it is in view."""
        options = self.view.options()
        return Request(self.plane(image, part), options.model, options.device, options.config)

    def _connect(self) -> Connections:
        layers, dims = self.viewer.layers.events, self.viewer.dims.events
        return Connections(
            (layers.inserted, self.refresh),
            (layers.removed, self.refresh),
            (layers.reordered, self.refresh),
            (layers.renamed, self.refresh),
            (self.viewer.layers.selection.events.active, self._follow_active),
            (dims.current_step, self._update_facts),
            (dims.order, self._update_facts),
            (dims.axis_labels, self._name_axes),
            (dims.ndisplay, self._update_facts),
            (self.view.image_chosen, self._choose),
        )

    def _follow_active(self, _event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active in self._images:
            self.choose(active)

    def _choose(self, index: int) -> None:
        self.choose(self._images[index] if 0 <= index < len(self._images) else None)

    def _listen(self, image: Image | None) -> None:
        """Hear of changes of this image instead of the one before."""
        if self.image is not None:
            self.image.events.axis_labels.disconnect(self._offer)
        if image is not None:
            image.events.axis_labels.connect(self._offer)

    def _offer(self, _event: Any = None) -> None:
        """Offer channels, levels and planes of the chosen image."""
        self.view.set_channels(channels(self.image) if self.image else [])
        self.view.set_levels(level_titles(self.image) if self.image else [])
        self._update_facts()

    def _name_axes(self, _event: Any = None) -> None:
        """Name the axes of unnamed images like the sliders; napari keeps names given there in the viewer only.

        Names that sliders have of another layer are not meant.
        """
        for image in self._images:
            names = tuple(self.viewer.dims.axis_labels[-image.ndim :])
            if any(tuple(layer.axis_labels[-image.ndim :]) == names for layer in self.viewer.layers):
                continue
            if is_unnamed(image.axis_labels) and len(names) == image.ndim and not is_unnamed(names):
                image.axis_labels = names

    def _update_facts(self, _event: Any = None) -> None:
        if self.image is None:
            self.view.set_facts("", None)
            self.view.set_planes(0)
            return
        self.view.set_planes(plane_count(self.image, self.viewer.dims.order))
        try:
            text = describe(self.image, self.plane(self.image))
            size = pixel_size(self.image, on_screen(self.image, self.viewer.dims.order))
        except PlaneError:
            text, size = "not in view", None
        self.view.set_facts(text, size)
