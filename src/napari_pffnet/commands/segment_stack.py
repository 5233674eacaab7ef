"""All planes of a stack or series, for ``napari-pffnet segment --all-planes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_pffnet.commands.segment_files import FileResult

if TYPE_CHECKING:
    from napari_pffnet.io.lazy import LazyStack
    from napari_pffnet.segment import Segmenter


def segment_stack(
    segmenter: Segmenter, stack: LazyStack, linked: bool, progress: Callable[[int, int], None]
) -> FileResult:
    """Segment all planes at the zoom of the one that shows most; blank ones are not looked at.

    Parameters
    ----------
    segmenter : Segmenter
        Without a zoom of its own, it takes that of the plane.
    stack : LazyStack
        More than one plane.
    linked : bool
        Whether a nucleus has one number on all planes.
    progress : callable
        Called with (planes done, planes in all).
    """
    from napari_pffnet.data.normalize import apply_limits
    from napari_pffnet.io.tables import linked_nuclei, one_row_per_plane
    from napari_pffnet.segment import sized
    from napari_pffnet.segment.stack import StackComposer, predict_plane, telling_place

    progress(0, len(stack.places))
    telling = telling_place(stack.places, stack.read)
    fitting = sized(segmenter, stack.read(telling), stack.pixel_sizes.get("X"))
    composer = StackComposer(stack.shape, linked)
    for number, place in enumerate(stack.places, start=1):
        image = stack.read(place)
        found = predict_plane(fitting, image)
        composer.add(place, found.compose(segmenter.config), stack.begins(place))
        progress(number, len(stack.places))
        if place == telling:
            seen = apply_limits(image, found.bounds)
    columns = [stack.columns(place) for place in stack.places]
    rows = one_row_per_plane(composer.tables, columns)
    result = composer.result()._replace(table=rows)
    nuclei = linked_nuclei(rows, columns[0], stack.pixel_sizes) if linked else None
    return FileResult(result, f"{stack.axes}YX", stack.pixel_sizes, seen, telling, linked=nuclei)
