"""Small networks and annotated images that several tests share."""

import numpy as np
import tifffile
import torch

from napari_pffnet.config import BodyConfig, ModelConfig, RoIConfig, RPNConfig
from napari_pffnet.data.targets import to_target

TINY = ModelConfig(
    body=BodyConfig(name="resnet18"),
    fpn_channels=32,
    semantic_channels=32,
    box_channels=64,
    mask_channels=64,
    rpn=RPNConfig(anchor_sizes=(16, 32, 64, 128, 256)),
    roi=RoIConfig(batch=32, detections=20),
)


def tiny(**changes) -> ModelConfig:
    """The smallest PFFNet, with changed settings."""
    return TINY.model_copy(update=changes)


def squares(shape=(96, 128), boxes=((8, 8, 40, 32), (60, 20, 84, 80))):
    """Bright rectangles (xyxy) on noise: image float32 3×H×W in [0, 1], labels int32 H×W."""
    rng = np.random.default_rng(0)
    image = 0.1 * rng.random((3, *shape), np.float32)
    labels = np.zeros(shape, np.int32)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        image[:, y0:y1, x0:x1] += 0.8
        labels[y0:y1, x0:x1] = number
    return torch.from_numpy(image), labels


def annotated(**arguments):
    """Image and target of `squares`."""
    image, labels = squares(**arguments)
    return image, to_target(labels)


def write_folder(path, count=2, shape=(96, 128)):
    """A training folder of `squares`; the rectangles move from image to image."""
    for part in ("images", "labels"):
        (path / part).mkdir(parents=True)
    for i in range(count):
        image, labels = squares(shape, ((8 + i, 8, 40 + i, 32), (60, 20 + i, 84, 80 + i)))
        tifffile.imwrite(path / "images" / f"{i}.tif", (image[0].numpy() * 255).astype(np.uint8))
        tifffile.imwrite(path / "labels" / f"{i}.tif", labels.astype(np.uint16))
    return path
