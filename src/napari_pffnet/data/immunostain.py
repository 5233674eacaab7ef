"""Images in hematoxylin and eosin as if an antibody had been made visible with DAB, a brown, in place of the eosin.

Optical densities of stains add up (Beer-Lambert), so a stain is exchanged by telling its share apart and giving it
another colour. Vectors of the stains: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23, 2001, as in scikit-image.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from skimage.color.colorconv import rgb_from_hed
from torch import Tensor
from torchvision.transforms.v2 import functional as V

#: how often DAB is in the nuclei instead of what lies around them
IN_NUCLEI = 0.4
#: ranges: DAB for each hematoxylin of a nucleus, DAB where there is a mean of eosin, shares of eosin and hematoxylin
IN_PLACE_OF_H, IN_PLACE_OF_E, EOSIN_LEFT, HEMATOXYLIN = (0.3, 3.0), (0.0, 1.8), (0.0, 0.3), (0.4, 1.3)
#: ranges: how much of the hematoxylin a brown nucleus loses, how much of the DAB around them the nuclei are spared
HIDDEN, SPARED = (0.4, 1.0), (0.0, 1.0)
#: most eosin that counts, times the mean
MOST_EOSIN = 2.0
#: largest change of each component of a stain's vector
JITTER = 0.08
#: squares along each side in which DAB is as frequent
PATCHES = 4
DARKEST = 1 / 255
KERNEL = 5


def immunostain(image: Tensor, labels: Tensor, generator: np.random.Generator) -> Tensor:
    """Exchange the eosin for DAB, in patches around the nuclei or in some of the nuclei.

    Parameters
    ----------
    image : Tensor
        float 3×H×W in [0, 1], RGB, in hematoxylin and eosin.
    labels : Tensor
        integer H×W, 0 is background.
    generator : numpy.random.Generator
        The only source of chance.

    Returns
    -------
    Tensor
        float 3×H×W in [0, 1].
    """
    known = torch.tensor(rgb_from_hed, dtype=image.dtype)
    density = -image.clamp(min=DARKEST).log()
    h, e, _ = (known.inverse().T @ density.flatten(1)).clamp(min=0).unflatten(1, image.shape[1:])
    if generator.random() < IN_NUCLEI:
        brown = _some(labels, generator)
        dab = float(generator.uniform(*IN_PLACE_OF_H)) * brown * h
        h = h * (1 - brown * float(generator.uniform(*HIDDEN)))
    else:
        eosin = (_smooth(e) / e.mean().clamp(min=DARKEST)).clamp(max=MOST_EOSIN)
        around = 1 - float(generator.uniform(*SPARED)) * _smooth((labels > 0).float())
        where = _patches(image.shape[1:], generator).to(image) * around
        dab = float(generator.uniform(*IN_PLACE_OF_E)) * where * eosin
    stains = torch.stack((h * float(generator.uniform(*HEMATOXYLIN)), e * float(generator.uniform(*EOSIN_LEFT)), dab))
    colours = (known + torch.from_numpy(generator.uniform(-JITTER, JITTER, (3, 3))).to(known)).clamp(min=0)
    return (-(colours.T @ stains.flatten(1))).exp().view_as(image)


def _some(labels: Tensor, generator: np.random.Generator) -> Tensor:
    """Some of the nuclei as a soft mask in [0, 1]."""
    chosen = torch.from_numpy(generator.random(int(labels.max()) + 1) < generator.random())
    chosen[0] = False
    return _smooth(chosen[labels.long()].float())


def _patches(shape: torch.Size, generator: np.random.Generator) -> Tensor:
    """Where DAB is: smooth in [0, 1], all or nothing in most places."""
    field = torch.from_numpy(generator.normal(generator.uniform(-1, 2), 1.5, (1, 1, PATCHES, PATCHES)))
    return F.interpolate(field, tuple(shape), mode="bicubic")[0, 0].mul(3).sigmoid()


def _smooth(plane: Tensor) -> Tensor:
    """Without the edges of masks and of the squares of JPEG."""
    smooth: Tensor = V.gaussian_blur(plane[None], [KERNEL, KERNEL])[0] if min(plane.shape) > KERNEL // 2 else plane
    return smooth
