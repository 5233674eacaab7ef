"""Running a model over an image of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import as_image, limits, scaled
from napari_pffnet.data.sizes import spread
from napari_pffnet.io.errors import Cancelled
from napari_pffnet.library import Model
from napari_pffnet.memory import is_out_of_memory
from napari_pffnet.model.pffnet import STRIDE, Features
from napari_pffnet.model.precision import short_float
from napari_pffnet.segment.blank import is_blank, nothing
from napari_pffnet.segment.features import TileFeatures, Window
from napari_pffnet.segment.prediction import Prediction
from napari_pffnet.segment.seams import in_image, merge
from napari_pffnet.segment.shortage import (
    SMALLEST_TILE,
    forget,
    held_to_memory,
    less_for_a_tile,
    one_by_one,
    smaller_tiles,
)
from napari_pffnet.segment.steady import Statistics, measure, steady, whole_map_norms
from napari_pffnet.segment.tiles import Tile, batches, make_tiles
from napari_pffnet.typing import Array

TILES_ON_GPU = 8
#: of nuclei as the network sees them, pixels, where the model does not say
TYPICAL_DIAMETER = 24.0
MOST_ZOOM = 32
LEAST_OVERLAP, DIAMETERS_OF_OVERLAP = 128, 5.3
#: nine places at once must fit where one tile does
MOST_SAMPLES, SAMPLE_SIDE = 3, 768


class Segmenter:
    """Segments images with one model and one configuration.

    Images are seen as they are, unless the configuration says a zoom or a diameter; `sized` finds what suits an image.

    Parameters
    ----------
    model : Model
        See `library.load_model`; the network stays on its device.
    config : SegmentConfig
        Scale and tiling, and the thresholds that the predictions' `compose` takes if it is given no others.

    Raises
    ------
    ValueError
        A diameter is given, but the model does not say which one it was trained on; or the zoom is absurd.
    """

    def __init__(self, model: Model, config: SegmentConfig = SegmentConfig()) -> None:
        self.model = model
        self.config = config
        self.scale = _scale(model, config)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    def predict(
        self,
        image: Array,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        keep: Callable[[TileFeatures], None] | None = None,
        wanted: Array | None = None,
    ) -> Prediction:
        """Find the nuclei of an image; of several tiles the network leaves out those that are blank.

        Parameters
        ----------
        image : ndarray
            H×W or H×W×3/4, of real numbers, as stored; it is normalised by percentiles of the whole image.
        progress : callable, optional
            Called with (tiles done, tiles in all).
        cancelled : callable, optional
            Asked before each batch of tiles.
        keep : callable, optional
            Given the features of each tile, to look at places again (`Pointer`).
        wanted : ndarray, optional
            bool H×W; tiles without a pixel of it are left out.

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
        Where memory is short, kept features are forgotten, then one tile at a time is tried, then smaller ones, then
        fewer proposals at once, then the CPU, to which the model's network is moved. Each step is a warning, and all
        but the first hold for later images of the model too.
        """
        image = as_image(image)
        bounds = limits(image, self.model.config.input.percentiles)
        forgotten = False
        while True:
            self.config = held_to_memory(self.config, self.model)
            try:
                return self._predict(image, bounds, progress or ignore, cancelled or never, keep or ignore, wanted)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # outside the handler: the error's traceback holds the tensors that are to be freed
            if forgotten:
                self.model.allowed.forget()  # what was tried since has filled it again
            if forgotten or not forget(self.model):
                self._use_less_memory()
            forgotten = True

    def _predict(
        self,
        image: Array,
        bounds: tuple[float, float],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
        keep: Callable[[TileFeatures], None],
        wanted: Array | None,
    ) -> Prediction:
        shape = (image.shape[0], image.shape[1])
        if 0 in shape:
            raise ValueError(f"the image has no pixels (shape {shape[0]}×{shape[1]})")
        tiles = self.tiles(shape)
        semantic = np.zeros(shape, np.float16)
        seen = tiles if len(tiles) == 1 else [tile for tile in tiles if self._may_hold(image, tile, bounds, wanted)]
        found: dict[Tile, dict[str, Array]] = {}
        with steady(self.model.network, self.statistics(image, bounds) if len(tiles) > 1 else {}):
            for batch in batches(seen, self.tiles_at_once):
                progress(len(found), len(seen))
                if cancelled():
                    raise Cancelled
                for tile, result in zip(batch, self._look(image, [t.window for t in batch], bounds, keep), strict=True):
                    semantic[tile.core] = result.pop("semantic")[tile.core_in_tile]
                    found[tile] = in_image(result, tile, self.margin)
        progress(max(len(seen), 1), max(len(seen), 1))
        whole = merge([found.get(tile) or nothing() for tile in tiles], tiles) if len(tiles) > 1 else found[tiles[0]]
        return Prediction(**whole, semantic=semantic, config=self.config, bounds=bounds)

    def _may_hold(self, image: Array, tile: Tile, bounds: tuple[float, float], wanted: Array | None) -> bool:
        """Whether a tile of several may hold nuclei that are wanted."""
        if wanted is not None and not wanted[tile.window].any():
            return False
        return not is_blank(image[tile.window], bounds, self.typical_diameter)

    def tiles(self, shape: tuple[int, int]) -> list[Tile]:
        """Return the tiles of an image of that height and width, those of one shape together."""
        overlap = min(max(1, round(self.overlap / self.scale)), self.side // 2)
        tiles = make_tiles(shape, self.side, overlap, self._step())
        return sorted(tiles, key=lambda tile: tile.shape, reverse=True)

    @property
    def side(self) -> int:
        """Side of a tile, pixels of the image."""
        return max(1, round(self.config.tile / self.scale))

    @property
    def sample_side(self) -> int:
        """Side of the places that `statistics` are measured on, pixels of the image."""
        return min(self.side, max(1, round(SAMPLE_SIDE / self.scale)))

    @property
    def overlap(self) -> int:
        """Overlap of tiles, pixels of the scaled image: room for large nuclei on both sides of a seam."""
        if self.config.tile_overlap is not None:
            return self.config.tile_overlap
        return max(LEAST_OVERLAP, round(DIAMETERS_OF_OVERLAP * (self.model.config.diameter or 0)))

    @property
    def typical_diameter(self) -> float:
        """Diameter of the nuclei that are looked for, pixels of the image."""
        return (self.model.config.diameter or TYPICAL_DIAMETER) / self.scale

    @property
    def margin(self) -> float:
        """How far beyond its core a tile's nuclei are kept for comparison with the neighbour's, pixels of the image."""
        return self.overlap / self.scale / 8

    def _step(self) -> float:
        """Largest stride of the network, in pixels of the image; 1 for tiles too small to be cut that way."""
        step = STRIDE / self.scale
        return step if self.side >= 4 * step else 1

    def statistics(self, image: Array, bounds: tuple[float, float]) -> Statistics:
        """Measure what the network's norms see, on places spread over the image; see `steady`."""
        places = sample_windows((image.shape[0], image.shape[1]), self.sample_side)
        return self.statistics_of((image[place] for place in places), bounds)

    @torch.inference_mode()
    def statistics_of(self, places: Iterable[Array], bounds: tuple[float, float]) -> Statistics:
        """Measure what the network's norms see on parts of an image of one shape, H×W or H×W×3.

        A network without such norms needs none, and no part is read.
        """
        network = self.model.network
        pixels = [scaled(place, bounds) for place in places] if whole_map_norms(network) else []
        if not pixels:
            return {}

        def run() -> None:
            features = self._encode_pixels(np.stack(pixels))[0]
            with self.autocast():
                network.semantic_branch(features.body)

        return measure(network, run)

    def look(self, parts: Sequence[Array], bounds: tuple[float, float]) -> list[dict[str, Array]]:
        """Run the network on tiles of one shape (H×W or H×W×3).

        Returns, for each, `boxes`, `scores`, `quality`, `masks` and `semantic` as `Prediction` has them, in the tile's
        pixels. Where memory is short, it does as `predict`, but leaves the tiles as they are.
        """
        if len(parts) > self.tiles_at_once:
            return [result for part in parts for result in self.look([part], bounds)]
        try:
            features, zoom = self._encode_pixels(np.stack([scaled(part, bounds) for part in parts]))
            return self._run(features, zoom, list(parts[0].shape[:2]))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler: the error's traceback holds the tensors that are to be freed
        if not forget(self.model):
            if len(parts) > 1:
                one_by_one(self.model)
            else:
                less_for_a_tile(self.model, max(parts[0].shape[:2]))
        return self.look(parts, bounds)

    def encode(self, image: Array, window: Window, bounds: tuple[float, float]) -> TileFeatures:
        """Run body and pyramid on a window of an image, normalised with `bounds` (`data.normalize.limits`).

        Where memory is short, it does as `look`.
        """
        try:
            features, zoom = self._encode(image, [window], bounds)
            return TileFeatures(window, zoom, features.of_image(0))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler: the error's traceback holds the tensors that are to be freed
        if not forget(self.model):
            less_for_a_tile(self.model, max(part.stop - part.start for part in window))
        return self.encode(image, window, bounds)

    def _encode(
        self, image: Array, windows: list[Window], bounds: tuple[float, float]
    ) -> tuple[Features, tuple[float, float]]:
        """Features of windows of one shape as one batch, and how much larger the network sees them, along y and x."""
        return self._encode_pixels(np.stack([scaled(image[window], bounds) for window in windows]))

    @torch.inference_mode()
    def _encode_pixels(self, pixels: Array) -> tuple[Features, tuple[float, float]]:
        """Features of N×C×H×W float32 in [0, 1], of grey (C 1) or colours (C 3), and the zoom."""
        height, width = pixels.shape[2:]
        zoomed = [max(1, round(n * self.scale)) for n in (height, width)]
        tiles = _resize(torch.from_numpy(pixels).to(self.device), zoomed).expand(-1, 3, -1, -1)
        with self.autocast():
            features = self.model.network.encode(list(tiles))
        return features, (zoomed[0] / height, zoomed[1] / width)

    def autocast(self) -> torch.autocast:
        """Short floats as the configuration says; by itself where the device computes with them."""
        kind, precision = self.device.type, self.config.precision
        dtype = short_float(self.device) if precision == "auto" else getattr(torch, precision)
        short = dtype != torch.float32
        return torch.autocast(kind, dtype if short else None, enabled=short)

    def _look(
        self, image: Array, windows: list[Window], bounds: tuple[float, float], keep: Callable[[TileFeatures], None]
    ) -> list[dict[str, Array]]:
        """Detections and semantic map of each window, in its pixels."""
        features, zoom = self._encode(image, windows, bounds)
        if keep is not ignore:
            for i, window in enumerate(windows):
                keep(TileFeatures(window, zoom, features.of_image(i)))
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

    @property
    def tiles_at_once(self) -> int:
        """How many tiles the network looks at together."""
        wanted = self.config.tile_batch or (TILES_ON_GPU if self.device.type == "cuda" else 1)
        return min(wanted, self.model.allowed.tile_batch or wanted)

    def _use_less_memory(self) -> None:
        if self.tiles_at_once > 1:
            one_by_one(self.model)
        elif self.config.tile > SMALLEST_TILE:
            smaller_tiles(self.model, self.config.tile)
        else:
            less_for_a_tile(self.model, self.config.tile)


def sample_windows(shape: tuple[int, int], side: int, most: int = MOST_SAMPLES) -> list[Window]:
    """Return windows of at most `side` pixels spread evenly over an image, at most so many along each axis.

    They overlap no more than it takes to make them a multiple of the network's largest stride long.
    """
    starts, lengths = [], []
    for length in shape:
        count = min(most, -(-length // side))
        lengths.append(min(side, -(-length // (count * STRIDE)) * STRIDE))
        starts.append(spread(length, lengths[-1], count))
    return [(slice(y, y + lengths[0]), slice(x, x + lengths[1])) for y in starts[0] for x in starts[1]]


def _scale(model: Model, config: SegmentConfig) -> float:
    """Zoom between the image and the network's input."""
    zoom = _wanted_scale(model, config)
    if not 1 / MOST_ZOOM <= zoom <= MOST_ZOOM:
        raise ValueError(
            f"the image would be zoomed by {zoom:.3g} before the network, 1/{MOST_ZOOM} to {MOST_ZOOM} are possible;"
            f" correct the {'diameter' if config.scale is None else 'scale'}"
        )
    return zoom


def _wanted_scale(model: Model, config: SegmentConfig) -> float:
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


def _resize(image: Tensor, size: list[int]) -> Tensor:
    if list(image.shape[2:]) == size:
        return image
    try:
        return F.interpolate(image, size, mode="bilinear", antialias=True)
    except NotImplementedError:  # on Apple's GPUs before PyTorch 2.7
        return F.interpolate(image.cpu(), size, mode="bilinear", antialias=True).to(image.device)


def ignore(*_arguments: object) -> None:
    """Tell nobody."""


def never() -> bool:
    """Ask nobody whether to stop."""
    return False
