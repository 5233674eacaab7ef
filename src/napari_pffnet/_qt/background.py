"""Long work in another thread, with its progress in napari's activity dock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from napari.qt.threading import create_worker
from napari.utils import cancelable_progress
from qtpy.QtCore import QObject, Signal

T = TypeVar("T")
Report = Callable[[int, int], None]


class Background(Protocol):
    """Runs ``job(report)`` somewhere; ``report(done, total)`` tells its progress, `cancel` is offered to the user."""

    def __call__(
        self,
        title: str,
        job: Callable[[Report], T],
        *,
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        progressed: Report,
        cancel: Callable[[], None],
    ) -> None:
        """Call `done` with the job's result, or `failed` with its error."""


class _Reporter(QObject):
    """Carries progress from the worker's thread to the main thread."""

    progressed = Signal(int, int)


def in_thread(
    title: str,
    job: Callable[[Report], T],
    *,
    done: Callable[[T], None],
    failed: Callable[[Exception], None],
    progressed: Report,
    cancel: Callable[[], None],
) -> None:
    """Run a job in a napari worker; all callbacks come in the main thread."""
    bar = cancelable_progress(total=0, desc=title, cancel_callback=cancel)
    reporter = _Reporter()
    reporter.progressed.connect(lambda step, total: _advance(bar, step, total))
    reporter.progressed.connect(progressed)

    def finish() -> None:
        bar.close()
        reporter.deleteLater()  # named here, it also lives as long as the worker

    create_worker(
        job,
        reporter.progressed.emit,
        _ignore_errors=True,
        _connect={"returned": done, "errored": failed, "finished": finish},
    )


class Threads:
    """`in_thread`, counting the jobs that run."""

    def __init__(self) -> None:
        self.running = 0

    def __call__(
        self,
        title: str,
        job: Callable[[Report], T],
        *,
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        progressed: Report,
        cancel: Callable[[], None],
    ) -> None:
        """Run a job; see `in_thread`."""

        def ended(callback: Callable[[Any], None], result: Any) -> None:
            self.running -= 1
            callback(result)

        self.running += 1
        in_thread(
            title, job, done=partial(ended, done), failed=partial(ended, failed), progressed=progressed, cancel=cancel
        )


def _advance(bar: Any, step: int, total: int) -> None:
    if bar.total != total:
        bar.total = total
    bar.update(step - bar.n)
