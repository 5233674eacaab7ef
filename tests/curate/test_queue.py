"""The order of the review queue and the reasons it gives."""

import numpy as np
import pandas as pd
import pytest

from label_planes import INTEGERS
from napari_pffnet.curate.candidates import Candidate
from napari_pffnet.curate.queue import (
    COLUMNS,
    candidate_rows,
    joined,
    judged,
    nucleus_rows,
    rescored,
    usual_area,
)

SHAPE = (60, 80)


def plane(dtype=np.int32):
    """Four nuclei of 10 × 10 pixels; 3 touches the upper edge."""
    labels = np.zeros(SHAPE, dtype)
    labels[10:20, 10:20], labels[10:20, 30:40], labels[0:10, 50:60], labels[40:50, 10:20] = 1, 2, 3, 9
    return labels


def table(**columns):
    return pd.DataFrame({"index": [1, 2, 3, 9], **columns})


def rows_of(labels, table, semantic=None, overlaps=None, window=None, shape=None, calibrate=None):
    """Rows of nuclei; what is not given is not known."""
    shape = shape or labels.shape
    return nucleus_rows(labels, table, semantic, overlaps=overlaps, window=window, shape=shape, calibrate=calibrate)


def review_queue(labels, table, semantic=None, candidates=(), **known):
    """Nuclei and candidates as the panel lists them, the worst first."""
    nuclei = rows_of(labels, table, semantic, **known)
    usual = usual_area(nuclei)
    rows = joined(judged(nuclei.assign(size=nuclei["area"] / usual)), candidate_rows(candidates, labels.shape, usual))
    return rows.sort_values("priority", ascending=False, kind="stable", ignore_index=True)


def order(queue):
    return queue["index"].tolist()


def reason(queue, label):
    return queue.set_index("index")["reason"][label]


def candidate(score, kind="proposal", corner=(40, 40)):
    rows, columns = (axis.ravel() + start for axis, start in zip(np.indices((10, 10)), corner, strict=True))
    return Candidate((rows, columns), score, kind)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_worst_fit_comes_first_and_is_told(dtype):
    queue = review_queue(plane(dtype), table(mask_score=[0.9, 0.6, 0.95, 0.7]))
    assert order(queue) == [2, 9, 1, 3]
    assert list(queue.columns) == COLUMNS
    assert queue["priority"].is_monotonic_decreasing
    assert queue["priority"].between(0, 1).all()
    assert reason(queue, 2) == "predicted fit 0.60"
    assert reason(queue, 3) == "touches the border"
    assert reason(queue, 1) == "nothing unusual"


def test_fit_is_score_times_quality_where_it_is_not_given():
    queue = review_queue(plane(), table(score=[1.0, 0.5, 1, 1], quality=[0.5, 0.5, 0.9, np.nan]))
    assert queue.set_index("index")["mask_score"].to_dict() == pytest.approx(
        {2: 0.25, 1: 0.5, 3: 0.9, 9: np.nan}, nan_ok=True
    )


def test_rows_tell_place_size_and_border():
    row = review_queue(plane(), table()).set_index("index").loc[3]
    assert (row.y, row.x, row.height, row.width, row.top, row.left) == (4.5, 54.5, 10, 10, 0, 50)
    assert (row["area"], row["size"], row.border, row.kind, row.state) == (100, 1, True, "nucleus", "")


def test_without_scores_the_labels_alone_decide():
    labels = plane()
    labels[30:58, 45:75] = 4
    labels[55, 5] = 5
    queue = review_queue(labels, pd.DataFrame())
    assert order(queue) == [4, 5, 3, 1, 2, 9]
    assert reason(queue, 4) == "8.4 × usual size"
    assert reason(queue, 5) == "0.01 × usual size"


def test_disagreement_with_the_semantic_map_counts():
    semantic = np.zeros(SHAPE, np.float16)
    semantic[:, :35] = 0.9
    queue = review_queue(plane(), table(mask_score=0.9), semantic)
    assert order(queue) == [3, 2, 1, 9]
    assert reason(queue, 2) == "semantic map: 50% nucleus"
    assert queue.set_index("index")["agreement"].to_dict() == {1: 1, 2: 0.5, 3: 0, 9: 1}


def test_what_better_nuclei_took_is_told():
    queue = review_queue(plane(), table(mask_score=0.9, overlap=[0, 0.4, 0, 0]))
    pd.testing.assert_frame_equal(
        queue, review_queue(plane(), table(mask_score=0.9), overlaps={1: 0, 2: 0.4, 3: 0, 9: 0})
    )
    assert set(order(queue)[:2]) == {2, 3}
    assert reason(queue, 2) == "40% taken by better ones"
    assert np.isnan(review_queue(plane(), table(mask_score=0.9))["overlap"]).all()


def test_candidates_stand_among_the_nuclei_by_their_score():
    likely, unlikely = candidate(0.45), candidate(0.12, corner=(25, 60))
    foreground = candidate(0.9, "foreground", (50, 70))
    queue = review_queue(plane(), table(mask_score=[0.9, 0.65, 0.95, 0.8]), None, [likely, unlikely, foreground])
    found = queue[["kind", "index"]].apply(tuple, axis=1).tolist()
    assert found.index(("candidate", 0)) < found.index(("nucleus", 2)) < found.index(("candidate", 1))
    row = queue[queue["kind"] == "candidate"].set_index("index")
    assert row["reason"][0] == "missed? score 0.45"
    assert row["reason"][2] == "missed? foreground only"
    assert row["border"].to_dict() == {0: False, 1: False, 2: True}
    assert (row["y"][0], row["x"][0], row["size"][0]) == (44.5, 44.5, 1)


@pytest.mark.parametrize("state", ["accepted", "edited", "new"])
def test_what_a_person_has_seen_comes_last(state):
    queue = review_queue(plane(), table(mask_score=[0.9, 0.2, 0.9, 0.9], state=["", state, "", None]))
    assert order(queue)[-1] == 2
    assert queue["priority"].iloc[-1] == 0
    assert reason(queue, 2) == state


def test_rows_of_a_window_are_those_of_the_whole_plane():
    labels, semantic = plane(), np.random.default_rng(0).random(SHAPE)
    whole = rows_of(labels, table(mask_score=0.8), semantic).iloc[:2]
    window = (slice(8, 22), slice(5, 45))
    part = rows_of(labels[window], table(mask_score=0.8), semantic, window=window, shape=SHAPE)
    pd.testing.assert_frame_equal(part, whole)


@pytest.mark.parametrize("shape", [(0, 0), (5, 7)])
def test_nothing_to_review(shape):
    queue = review_queue(np.zeros(shape, np.uint8), pd.DataFrame())
    assert len(queue) == 0
    assert list(queue.columns) == COLUMNS
    assert usual_area(queue) == 1


def test_nothing_is_changed():
    labels, features = plane(), table(mask_score=0.9)
    copies = labels.copy(), features.copy()
    review_queue(labels, features, None, [candidate(0.3)])
    np.testing.assert_array_equal(labels, copies[0])
    pd.testing.assert_frame_equal(features, copies[1])


def test_a_calibration_replaces_the_predicted_fit():
    labels = np.zeros((20, 20), int)
    labels[2:6, 2:6], labels[10:14, 10:14] = 1, 2
    table = pd.DataFrame({"index": [1, 2], "mask_score": [0.9, 0.8]})
    plain = review_queue(labels, table)
    halved = review_queue(labels, table, calibrate=lambda fit: fit / 2)
    assert halved["mask_score"].tolist() == [0.4, 0.45]
    assert halved["reason"][0].startswith("predicted fit 0.40")
    assert (halved["priority"] > plain["priority"]).all()
    assert rescored(halved, table, lambda fit: fit / 2) is halved


def test_what_is_no_longer_in_the_table_is_judged_as_unknown():
    known = table(mask_score=0.9, state=["accepted", "", "", ""])
    queue = review_queue(plane(), known)
    again = rescored(queue, known[known["index"] != 1]).set_index("index")
    assert again["state"][1] == ""
    assert np.isnan(again["mask_score"][1])
    assert again["mask_score"][2] == 0.9
