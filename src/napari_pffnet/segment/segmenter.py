"""Running a model over an image of any size."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import apply_limits, limits
from napari_pffnet.library import Model
from napari_pffnet.model import Features
from napari_pffnet.segment.features import TileFeatures, Window
from napari_pffnet.segment.prediction import Prediction
from napari_pffnet.segment.tiles import Tile, make_tiles

Array = np.ndarray[Any, Any]
SMALLEST_TILE = 256
TILES_ON_GPU = 8
SEAM_IOU = 0.5
MEMORY_ERRORS = ("out of memory", "allocate memory", "not enough memory")


class Cancelled(Exception):
    """The user stopped the segmentation."""


class Segmenter:
    """Segments images with one model and one configuration.

    Parameters
    ----------
    model : Model
        See `library.load_model`; the network stays on its device.
    config : SegmentConfig
        Scale and tiling; thresholds are those of the prediction's `compose`.

    Raises
    ------
    ValueError
        A diameter is given, but the model does not say which one it was trained on.
    """

    def __init__(self, model: Model, config: SegmentConfig = SegmentConfig()) -> None:
        self.model = model
        self.config = config
        self.scale = _scale(model, config)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.network.parameters()).device

    def predict(
        self,
        image: Array,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        keep: Callable[[TileFeatures], None] | None = None,
    ) -> Prediction:
        """Find the nuclei of an image.

        Parameters
        ----------
        image : ndarray
            H×W or H×W×3/4, any type, as stored; it is normalised by percentiles of the whole image.
        progress : callable, optional
            Called with (tiles done, tiles in all).
        cancelled : callable, optional
            Asked before each batch of tiles.
        keep : callable, optional
            Given the features of each tile, to look at places again (`Pointer`).

        Raises
        ------
        Cancelled
            `cancelled` returned True.
        ValueError
            The array is not one plane, or has no pixels.
        MemoryError
            Not even the smallest tile fits on the CPU.

        Notes
        -----
        Where memory is short, one tile at a time is tried, then smaller ones, then the CPU, to which the model's
        network is moved. Each step is a warning, and holds for later images too.
        """
        while True:
            try:
                return self._predict(image, progress or _ignore, cancelled or _never, keep or _ignore)
            except RuntimeError as error:
                if not any(text in str(error) for text in MEMORY_ERRORS):
                    raise
            # outside the handler: the error's traceback holds the tensors that are to be freed
            self._use_less_memory()

    def _predict(
        self,
        image: Array,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
        keep: Callable[[TileFeatures], None],
    ) -> Prediction:
        bounds = limits(image, self.model.config.input.percentiles)
        shape = (image.shape[0], image.shape[1])
        if 0 in shape:
            raise ValueError(f"the image has no pixels (shape {shape[0]}×{shape[1]})")
        side, overlap = (max(1, round(n / self.scale)) for n in (self.config.tile, self.config.tile_overlap))
        overlap = min(overlap, side // 2)
        tiles = make_tiles(shape, side, overlap)
        semantic = np.zeros(shape, np.float16)
        found: list[dict[str, Array]] = []
        for batch in _batches(tiles, self._tiles_at_once()):
            progress(len(found), len(tiles))
            if cancelled():
                raise Cancelled
            for tile, result in zip(batch, self._look(image, [t.window for t in batch], bounds, keep), strict=True):
                semantic[tile.core] = result.pop("semantic")[tile.core_in_tile]
                found.append(_in_image(result, tile, margin=overlap // 8))
        progress(len(tiles), len(tiles))
        parts = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        once = _once(parts, max(SEAM_IOU, self.model.config.roi.nms)) if len(tiles) > 1 else slice(None)
        return Prediction(**{name: values[once] for name, values in parts.items()}, semantic=semantic)

    def encode(self, image: Array, window: Window, bounds: tuple[float, float]) -> TileFeatures:
        """Run body and pyramid on a window of an image, normalised with `bounds` (`data.normalize.limits`)."""
        features, zoom = self._encode(image, [window], bounds)
        return TileFeatures(window, zoom, features)

    @torch.inference_mode()
    def _encode(
        self, image: Array, windows: list[Window], bounds: tuple[float, float]
    ) -> tuple[Features, tuple[float, float]]:
        """Features of windows of one shape as one batch, and how much larger the network sees them, along y and x."""
        pixels = np.stack([apply_limits(image[window], bounds) for window in windows])
        height, width = pixels.shape[2:]
        zoomed = [max(1, round(n * self.scale)) for n in (height, width)]
        tiles = _resize(torch.from_numpy(pixels).to(self.device), zoomed)
        with self.autocast():
            features = self.model.network.encode(list(tiles))
        return features, (zoomed[0] / height, zoomed[1] / width)

    def autocast(self) -> torch.autocast:
        """Short floats as the configuration says; by itself where the device computes with them."""
        kind, precision = self.device.type, self.config.precision
        dtype = _short_float(self.device) if precision == "auto" else getattr(torch, precision)
        short = dtype != torch.float32
        return torch.autocast(kind, dtype if short else None, enabled=short)

    def _look(
        self, image: Array, windows: list[Window], bounds: tuple[float, float], keep: Callable[[TileFeatures], None]
    ) -> list[dict[str, Array]]:
        """Detections and semantic map of each window, in its pixels."""
        features, zoom = self._encode(image, windows, bounds)
        if keep is not _ignore:
            parts = [features] if len(windows) == 1 else [features.of_image(i) for i in range(len(windows))]
            for window, part in zip(windows, parts, strict=True):
                keep(TileFeatures(window, zoom, part))
        return self._run(features, zoom, [part.stop - part.start for part in windows[0]])

    @torch.inference_mode()
    def _run(self, features: Features, zoom: tuple[float, float], size: list[int]) -> list[dict[str, Array]]:
        """Detections and semantic map of each tile of a batch; all leave the device together."""
        with self.autocast():
            results: list[dict[str, Tensor]] = self.model.network.predict(features)
        whole = {
            name: torch.cat([result[key] for result in results])
            for name, key in (("boxes", "boxes"), ("scores", "scores"), ("quality", "mask_quality"), ("masks", "masks"))
        }
        whole["boxes"] = whole["boxes"] / torch.tensor([zoom[1], zoom[0]] * 2, device=self.device)
        whole["masks"] = whole["masks"].half()
        semantic = _resize(torch.stack([1 - result["semantic"][:1] for result in results]), size)[:, 0].half()
        ends = np.cumsum([len(result["boxes"]) for result in results])[:-1]
        parts = {name: np.split(values.cpu().numpy(), ends) for name, values in whole.items()}
        parts["semantic"] = list(semantic.cpu().numpy())
        return [{name: values[i] for name, values in parts.items()} for i in range(len(results))]

    def _tiles_at_once(self) -> int:
        return self.config.tile_batch or (TILES_ON_GPU if self.device.type == "cuda" else 1)

    def _use_less_memory(self) -> None:
        device = self.device
        if self._tiles_at_once() > 1:
            self.config = self.config.model_copy(update={"tile_batch": 1})
            warnings.warn("not enough memory: going on with one tile at a time", stacklevel=3)
        elif self.config.tile > SMALLEST_TILE:
            tile = max(SMALLEST_TILE, self.config.tile // 2)
            self.config = self.config.model_copy(update={"tile": tile})
            warnings.warn(f"not enough memory: going on with tiles of {tile} pixels", stacklevel=3)
        elif device.type != "cpu":
            self.model.network.to("cpu")
            warnings.warn(f"not enough memory on {device} for the smallest tiles: going on with the CPU", stacklevel=3)
        else:
            raise MemoryError(f"not enough memory for a tile of {self.config.tile} pixels; close other programs")
        if device.type != "cpu":
            getattr(torch, device.type).empty_cache()


def _scale(model: Model, config: SegmentConfig) -> float:
    """Zoom between the image and the network's input."""
    if config.scale is not None:
        return config.scale
    if config.diameter is None:
        return 1.0
    if model.config.diameter is None:
        raise ValueError(
            f"the model {model.path.stem} does not say which nucleus diameter it was trained on;"
            " give the scale (zoom before the network) instead of the diameter"
        )
    return model.config.diameter / config.diameter


def _short_float(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes with it, else float16 on CUDA, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _cpu_has_short_floats() else torch.float32


def _cpu_has_short_floats() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _resize(image: Tensor, size: list[int]) -> Tensor:
    if list(image.shape[2:]) == size:
        return image
    return F.interpolate(image, size, mode="bilinear", antialias=True)


def _in_image(result: dict[str, Array], tile: Tile, margin: int) -> dict[str, Array]:
    """Move a tile's detections into the image; keep those centred in its core or at most `margin` pixels beyond.

    The two tiles of a seam place a nucleus slightly differently; without the margin both could leave it to the other.
    """
    boxes = result["boxes"] + np.array([tile.x.start, tile.y.start] * 2, np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    low = np.array([tile.x.core_start, tile.y.core_start]) - margin
    high = np.array([tile.x.core_stop, tile.y.core_stop]) + margin
    keep = ((centres >= low) & (centres < high)).all(1)
    return {name: (boxes if name == "boxes" else values)[keep] for name, values in result.items()}


def _once(parts: dict[str, Array], iou: float) -> Array:
    """Rows to keep so that a nucleus seen in two tiles counts once, best first."""
    scores = torch.from_numpy(parts["scores"] * parts["quality"])
    return np.asarray(nms(torch.from_numpy(parts["boxes"]), scores, iou).numpy())


def _batches(tiles: list[Tile], size: int) -> Iterator[list[Tile]]:
    for start in range(0, len(tiles), size):
        yield tiles[start : start + size]


def _ignore(*_arguments: object) -> None:
    pass


def _never() -> bool:
    return False
