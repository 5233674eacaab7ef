"""Long work in another thread, with its progress in napari's activity dock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from napari.qt.threading import create_worker
from napari.utils import cancelable_progress
from qtpy.QtCore import QObject, QThreadPool, Signal

T = TypeVar("T")
Report = Callable[[int, int], None]
#: bytes that the functions of a thread may use
STACK = 16 * 2**20


class Background(Protocol):
    """Runs ``job(report)`` somewhere; ``report(done, total)`` tells its progress, `cancel` is offered to the user."""

    def __call__(
        self,
        title: str,
        job: Callable[[Report], T],
        *,
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        progressed: Report = lambda _done, _total: None,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """Call `done` with the job's result, or `failed` with its error."""


class _Reporter(QObject):
    """Carries progress from the worker's thread to the main thread."""

    progressed = Signal(int, int)


class Threads:
    """Runs jobs in napari workers; all callbacks come in the main thread. `running` counts those under way."""

    def __init__(self) -> None:
        self.running = 0
        self._closed = False

    def close(self) -> None:
        """Call nobody back from now on: those who wait are gone. Jobs under way go on to their end."""
        self._closed = True

    def _unless_closed(self, callback: Callable[..., None]) -> Callable[..., None]:
        return lambda *results: None if self._closed else callback(*results)

    def __call__(
        self,
        title: str,
        job: Callable[[Report], T],
        *,
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        progressed: Report = lambda _done, _total: None,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a job; see `Background`."""
        if sys.platform == "darwin":  # its threads have 512 kB otherwise, which does not suffice for all of PyTorch
            QThreadPool.globalInstance().setStackSize(STACK)
        bar = cancelable_progress(total=0, desc=title, cancel_callback=cancel)
        reporter = _Reporter()
        reporter.progressed.connect(lambda step, total: _advance(bar, step, total))
        reporter.progressed.connect(self._unless_closed(progressed))

        def finish() -> None:
            self.running -= 1
            bar.close()
            reporter.deleteLater()  # named here, it also lives as long as the worker

        self.running += 1
        create_worker(
            job,
            reporter.progressed.emit,
            _ignore_errors=True,
            _connect={
                "returned": self._unless_closed(done),
                "errored": self._unless_closed(failed),
                "finished": finish,
            },
        )


def _advance(bar: Any, step: int, total: int) -> None:
    if bar.total != total:
        bar.total = total
    bar.update(step - bar.n)
