"""When training counts as gone wrong."""

import pytest

from napari_pffnet.train.divergence import Watch


def follow(*totals):
    watch = Watch()
    return [watch.fault({"loss": total}) for total in totals]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_is_named(value):
    assert Watch().fault({"loss_mask": value, "loss_box": 1.0}) == "loss_mask is not finite"


def test_losses_that_grow_many_times_over_are_noticed():
    assert "grown" in follow(*[1.0] * 10, *[9.0] * 6)[-1]


def test_a_single_bad_step_and_noise_are_not():
    assert not any(follow(*[1.0] * 10, 9.0, *[1.0, 3.0] * 20))


def test_losses_from_nothing_may_grow_a_little_at_the_start():
    assert not any(follow(*[0.5, 3.0, 2.0, 2.5, 2.0] * 2, 3.0))
