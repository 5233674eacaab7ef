"""Weights between those of the base model and those of the trained one: less is forgotten.

After Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022 (doi 10.1109/CVPR52688.2022.00780).
"""

from __future__ import annotations

import copy

from napari_pffnet.model import PFFNet


def blend(base: PFFNet, trained: PFFNet, part: float) -> PFFNet:
    """Return a network with `part` (in [0, 1]) of the weights of `trained` and the rest of `base`."""
    result = copy.deepcopy(trained)
    wanted = base.state_dict()
    mixed = {
        name: wanted[name].to(value).lerp(value, part) if value.is_floating_point() else value
        for name, value in trained.state_dict().items()
    }
    result.load_state_dict(mixed)
    return result
