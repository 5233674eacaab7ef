"""The network: PFFNet on torchvision's detection parts."""

from napari_pffnet.model.pffnet import Features, PFFNet

__all__ = ["Features", "PFFNet"]
