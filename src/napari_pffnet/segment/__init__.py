"""Segmentation of images of any size with a PFFNet model."""

from napari_pffnet.io.errors import Cancelled
from napari_pffnet.segment.features import FeatureCache
from napari_pffnet.segment.pointer import FoundNucleus, Pointer
from napari_pffnet.segment.prediction import Prediction, Segmentation
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.segment.size import estimate_diameter, sized
from napari_pffnet.segment.whole import segment_image

__all__ = [
    "Cancelled",
    "FeatureCache",
    "FoundNucleus",
    "Pointer",
    "Prediction",
    "Segmentation",
    "Segmenter",
    "estimate_diameter",
    "segment_image",
    "sized",
]
