"""Labels layers that cannot be edited as they are, and copies of them that can. No Qt in here."""

from __future__ import annotations

import math

import numpy as np
from napari.layers import Labels

from napari_pffnet._qt.layers.planes import PlaneError
from napari_pffnet.readers import IN_PROJECT

LARGEST = 2**28
TOO_LARGE = "'{}' has {:.0f} million pixels, too many to correct at once; segment what is in view (Area)"


def hindrance(layer: Labels) -> str:
    """Return why nothing can be painted in a layer, a sentence without its full stop; "" if it can be edited."""
    if layer.multiscale:
        return f"'{layer.name}' has several resolutions"
    if not isinstance(layer.data, np.ndarray):
        return f"'{layer.name}' is not in memory"
    if not layer.editable or not layer.data.flags.writeable:
        return f"'{layer.name}' is locked"
    return ""


def editable_copy(layer: Labels) -> Labels:
    """Return a copy that can be edited: the largest resolution, in memory, int32 or int64, with table and place.

    Raises
    ------
    PlaneError
        It has more than 268 million pixels.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if math.prod(data.shape) > LARGEST:
        raise PlaneError(TOO_LARGE.format(layer.name, math.prod(data.shape) / 1e6))
    pixels = np.asarray(data)
    kind = np.int32 if int(pixels.max(initial=0)) <= np.iinfo(np.int32).max else np.int64
    _, state, _ = layer.as_layer_data_tuple()
    facts = {key: value for key, value in layer.metadata.items() if key != IN_PROJECT}
    name = f"{layer.name} copy"
    return Labels(pixels.astype(kind), **{**state, "multiscale": False, "metadata": facts, "name": name})
