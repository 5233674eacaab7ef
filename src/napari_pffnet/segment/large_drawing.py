"""Blocks of a large image are drawn while the network looks at the next tiles."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Self

from napari_pffnet.segment.features import Window
from napari_pffnet.segment.large_blocks import Blocks

ASK_EVERY = 0.1


class Drawing:
    """Draws what can be drawn, in one thread of its own; leaving the context ends it after the block at hand.

    Parameters
    ----------
    blocks : Blocks
        Nobody else may use them until the context is left.
    show : callable
        Called in that thread with the window of each block that was drawn.
    """

    def __init__(self, blocks: Blocks, show: Callable[[Window], None]) -> None:
        self._blocks, self._show = blocks, show
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] = Future()
        self._last.set_result(None)
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._left = True
        self._thread.shutdown()

    def go_on(self, tiles: set[int]) -> None:
        """Draw what needs no other tiles, unless the thread is at work; raises what went wrong in it before."""
        if self._last.done():
            self._last.result()
            self._last = self._thread.submit(self._draw, set(tiles))

    def finish(self, tiles: set[int], ask: Callable[[], None]) -> None:
        """Draw what needs no other tiles, all of it; `ask` is called meanwhile, and may raise."""
        self._wait(ask)
        self.go_on(tiles)
        self._wait(ask)
        self._last.result()

    def _wait(self, ask: Callable[[], None]) -> None:
        while not self._last.done():
            wait([self._last], ASK_EVERY)
            ask()

    def _draw(self, tiles: set[int]) -> None:
        blocks = self._blocks
        while not self._left and blocks.next < len(blocks.windows) and blocks.needed() <= tiles:
            self._show(blocks.draw())
