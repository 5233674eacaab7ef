"""Tiles and files over an existing dask.distributed cluster. The package `distributed` is imported when asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from napari_pffnet.config import SegmentConfig
from napari_pffnet.io.lazy import FilePlane, LazyPlane, open_plane
from napari_pffnet.library import load_model, pick_device
from napari_pffnet.segment.large_tiles import Setting, compute, read
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.segment.tiles import Tile

T = TypeVar("T")
R = TypeVar("R")
PER_WORKER = 3
CONNECT_S = 30


class ClusterError(ValueError):
    """The cluster cannot be used; the message names the fix."""


def connect(address: str) -> Any:
    """Return a client of the dask scheduler at an address (``tcp://HOST:8786``).

    Raises
    ------
    ClusterError
        The package `distributed` is missing, or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError("--scheduler needs the package distributed: pip install 'napari-pffnet[cluster]'") from None
    try:
        return Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no dask scheduler at {address} ({error}); start one with 'dask scheduler' and give its address"
        ) from None


class SpreadTiles:
    """Computes the tiles of a large image on a cluster; for `segment_large`.

    Workers read the image and the model themselves, so both must lie where every machine sees them. Results come back
    over the network. The tiles of a worker that dies are given to another one.

    Parameters
    ----------
    client : distributed.Client
        See `connect`.
    source : FilePlane
        The image.
    model, device : str
        As of `library.load_model` and `library.pick_device`; looked up by each worker.
    """

    def __init__(self, client: Any, source: FilePlane, model: str, device: str) -> None:
        self.client, self.source, self.model, self.device = client, source, model, device
        self.run = new_run()

    def __call__(
        self, plane: LazyPlane, segmenter: Segmenter, setting: Setting, tiles: dict[int, Tile]
    ) -> Generator[tuple[int, bytes]]:
        """Yield number and file content of each tile as they come."""
        statistics = {name: (mean.cpu(), variance.cpu()) for name, (mean, variance) in setting.statistics.items()}
        place = (self.source, self.model, self.device, segmenter.config, self.run)
        common = (*place, replace(setting, statistics=statistics))
        for (number, _), content in spread(self.client, tiles.items(), _compute, common):
            yield number, content


def spread(
    client: Any, items: Iterable[T], work: Callable[..., R], arguments: tuple[Any, ...]
) -> Iterator[tuple[T, R]]:
    """Call ``work(item, *arguments)`` on the cluster for each item; yield item and result as they come.

    A few tasks per worker are under way at a time, so that no results pile up.
    """
    from distributed import as_completed

    waiting, under_way = iter(items), {}
    queue = as_completed()

    def submit(count: int) -> None:
        for item in islice(waiting, count):
            future = client.submit(work, item, *arguments, pure=False, retries=2)
            under_way[future.key] = item
            queue.add(future)

    submit(PER_WORKER * max(1, len(client.scheduler_info(n_workers=-1)["workers"])))
    for future in queue:
        result = future.result()
        yield under_way.pop(future.key), result
        submit(1)


def new_run() -> str:
    """Return a name of a run: workers outlive it, and images and models may change before the next one."""
    return uuid.uuid4().hex


@lru_cache(maxsize=1)
def worker_segmenter(model: str, device: str, config: SegmentConfig, _run: str) -> Segmenter:
    """Return this process's own segmenter, loaded anew for each run."""
    return Segmenter(load_model(model, pick_device(device)), config)


@lru_cache(maxsize=4)
def _worker_plane(source: FilePlane, _run: str) -> LazyPlane:
    return open_plane(source)


def _compute(
    task: tuple[int, Tile],
    source: FilePlane,
    model: str,
    device: str,
    config: SegmentConfig,
    run: str,
    setting: Setting,
) -> bytes:
    with one_at_a_time():
        segmenter, tile = worker_segmenter(model, device, config, run), task[1]
        return compute(segmenter, [tile], [read(segmenter, _worker_plane(source, run), tile, setting)], setting)[0]


@lru_cache(maxsize=1)
def one_at_a_time() -> Any:
    """Lock of this process: the threads of a worker share one network."""
    from threading import RLock

    return RLock()
