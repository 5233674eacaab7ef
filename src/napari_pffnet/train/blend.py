"""Weights between those of the base model and those of the trained one: less is forgotten.

After Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022 (doi 10.1109/CVPR52688.2022.00780).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from napari_pffnet.model import PFFNet

PARTS = (0.25, 0.5, 0.75)


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


def choose_part(
    base: PFFNet, trained: PFFNet, score: Callable[[PFFNet], float], tolerance: float
) -> tuple[float, dict[float, float]]:
    """Choose how much of the trained weights is needed.

    Parameters
    ----------
    base, trained : PFFNet
        The two ends.
    score : callable
        Figure of a network on held-out images, more is better.
    tolerance : float
        What may be given up of the best figure to stay nearer to the base model.

    Returns
    -------
    part : float
        The smallest of 0.25, 0.5, 0.75 and 1 within the tolerance.
    scores : dict
        Figure of each.
    """
    scores = {part: score(blend(base, trained, part)) for part in PARTS}
    scores[1.0] = score(trained)
    enough = max(scores.values()) - tolerance
    return min(part for part, value in scores.items() if value >= enough), scores
