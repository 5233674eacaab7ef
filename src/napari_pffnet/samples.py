"""Sample data for napari's *File > Open Sample > PFFNet*: layers as (data, arguments, type)."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

import numpy as np

Layer = tuple[np.ndarray[Any, Any], dict[str, Any], str]


def u2os() -> list[Layer]:
    """U2OS nuclei (fluorescence, 16 bit) with their annotation."""
    return _shipped("u2os", "U2OS nuclei")


def rpe1() -> list[Layer]:
    """RPE1 nuclei (fluorescence, 16 bit) with their annotation."""
    return _shipped("rpe1", "RPE1 nuclei")


def histology() -> list[Layer]:
    """Immunohistochemistry of colon tissue (RGB), from scikit-image."""
    from skimage.data import immunohistochemistry

    return [(immunohistochemistry(), {"name": "Immunohistochemistry", "rgb": True}, "image")]


def synthetic() -> list[Layer]:
    """Synthetic nuclei with known truth."""
    from napari_pffnet.synthetic import synthetic_nuclei

    image, labels = synthetic_nuclei((512, 512), 120)
    return _with_annotation(image, labels, "Synthetic nuclei")


def _shipped(name: str, title: str) -> list[Layer]:
    from napari_pffnet.io.images import read_image

    with as_file(files("napari_pffnet") / "sample_data") as folder:
        image, labels = (read_image(folder / kind / f"{name}.tif")[0] for kind in ("images", "labels"))
    return _with_annotation(image, labels.astype(np.int32), title)


def _with_annotation(image: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], title: str) -> list[Layer]:
    """The annotation starts hidden: the image is what one wants to see and segment."""
    limits = np.percentile(image, (1, 99.8)).tolist()
    return [
        (image, {"name": title, "contrast_limits": limits}, "image"),
        (labels, {"name": f"{title} (annotation)", "visible": False, "opacity": 0.5}, "labels"),
    ]
