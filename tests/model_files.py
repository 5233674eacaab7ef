"""Small model files that several tests share."""

import torch

from helpers import tiny
from napari_pffnet.config import BodyConfig
from napari_pffnet.library import save_model
from napari_pffnet.model import PFFNet


def write_model(path, card=None, seed=0):
    """Write a small model file; another seed gives other weights."""
    torch.manual_seed(seed)
    network = PFFNet(tiny(body=BodyConfig(name="mobilenet_v2", norm="frozen_batch")))
    save_model(path, network, {} if card is None else card, half=True)
    return path


def changed_weight(path):
    """Change the last byte of a file: a weight, the header stays."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
