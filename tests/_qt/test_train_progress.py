"""Curves and time left from the events of a run."""

import numpy as np
import pytest

from fake_training import LOSSES, events, step
from napari_pffnet._qt.train.progress import POINTS, TOTAL, Progress


def gathered(wanted):
    progress = Progress()
    progress.add(wanted)
    return progress


def test_nothing_told_is_no_curve_and_no_time():
    progress = Progress()
    progress.tick(0, running=True)
    assert progress.losses() == progress.metrics() == {}
    assert progress.seconds_left() is None


def test_the_total_is_the_sum_of_the_nine_losses():
    curves = gathered(events(20)).losses()
    assert list(curves) == [TOTAL, *LOSSES]
    np.testing.assert_allclose(curves[TOTAL][1], sum(curves[name][1] for name in LOSSES))
    np.testing.assert_array_equal(curves[TOTAL][0], np.arange(1, 21))


def test_metrics_over_steps():
    curves = gathered(events(20)).metrics()
    assert {name: steps.tolist() for name, (steps, _) in curves.items()} == {"AP50": [10, 20], "PQ": [10, 20]}


def test_steps_done_again_replace_the_former():
    progress = gathered([*events(20), *(step(number, 20) for number in (11, 12))])
    assert progress.losses()[TOTAL][0].tolist() == list(range(1, 13))
    assert progress.step == 12


def test_a_loss_that_comes_later_starts_later():
    first, second = step(1, 2), step(2, 2)
    del first["losses"]["loss_quality"]
    values = gathered([first, second]).losses()["loss_quality"][1]
    assert np.isnan(values[0])
    assert values[1] > 0


def test_long_curves_are_thinned_and_keep_their_mean():
    _, values = gathered(step(number, 4000) for number in range(1, 4001)).losses()["loss_box"]
    assert len(values) <= POINTS
    assert values.mean() == pytest.approx(np.mean([1 / (n + 1 + LOSSES.index("loss_box")) for n in range(1, 4001)]))


def test_time_left_comes_from_the_plan_and_then_from_what_is_seen():
    progress = gathered([{"kind": "plan", "steps": 100, "seconds_per_step": 0.5}])
    assert progress.seconds_left() == 50
    for second in range(3):
        progress.add([step(10 * second + 10, 100)])
        progress.tick(second, running=True)
    assert progress.seconds_left() == pytest.approx(7)
    progress.tick(3, running=False)
    assert progress.seconds_left() == 35


def test_the_time_is_told_as_soon_as_steps_were_measured():
    progress = Progress()
    assert progress.expected() == ""
    progress.add([{"kind": "plan", "steps": 100, "seconds_per_step": 1.5}])
    assert progress.expected() == "2 min at most: 100 steps of 1.5 s, measured here"


def test_how_far_it_is_is_said_in_a_line():
    progress = Progress()
    assert progress.sentence(paused=False, stopping=False).startswith("Preparing")
    progress.add([{"kind": "plan", "steps": 100, "seconds_per_step": 2}])
    assert progress.sentence(paused=True, stopping=False).endswith("measured here · pauses after the first step")
    progress.add([{"kind": "step", "step": 40, "steps": 100, "losses": {}, "crops_per_second": 2.5}])
    assert progress.sentence(paused=False, stopping=False) == "step 40 of 100 · 2 min left · 2.5 crops/s"
    assert progress.sentence(paused=True, stopping=False) == "step 40 of 100 · paused"
    assert "comparing with the old model" in progress.sentence(paused=False, stopping=True)
    progress.add([step(100, 100)])
    assert "comparing with the old model" in progress.sentence(paused=True, stopping=False)


def test_memory_and_the_latest_picture_are_known():
    progress = Progress()
    step = {"kind": "step", "step": 1, "steps": 9, "losses": {}, "memory": 7}
    progress.add(
        [step, {"kind": "preview", "step": 1, "path": "a.png"}, {"kind": "preview", "step": 2, "path": "b.png"}]
    )
    assert (progress.memory, progress.preview.name) == (7, "b.png")
