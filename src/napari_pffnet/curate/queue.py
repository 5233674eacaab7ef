"""The review queue: nuclei and candidates of one plane, those that most likely need correction first.

The priority of a row is an estimate of the chance that it needs correction. The numbers below were measured with the
embedded model on annotated validation images (a nucleus needs correction if its IoU with every true one is under 0.7).
By far the strongest sign is the network's own estimate of the fit; the others add little and break ties, and order
labels that have no scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_pffnet.curate.candidates import Candidate
from napari_pffnet.curate.change import Window
from napari_pffnet.typing import Array

#: Gives the fit to expect for predicted ones, float64 N.
Calibrate = Callable[[Array], Array]

NUCLEUS, CANDIDATE = "nucleus", "candidate"
#: States of what a person has seen: such rows come last.
DONE = ("accepted", "edited", "new", "dismissed")

#: Chance per missing unit of fit: of nuclei with fit 0.95, 0.87, 0.72, 0.52, 4 %, 16 %, 43 %, 70 % needed correction.
FIT = 1.4
#: Chance of a nucleus whose fit nobody has estimated.
UNKNOWN = 0.25
#: Added for each factor of e over `LARGE_FROM` (merged nuclei), and under `SMALL_FROM`, times the usual area.
LARGE, LARGE_FROM = 0.3, 1.6
SMALL, SMALL_FROM = 0.1, 0.5
#: Added for each unit of agreement under `AGREES`.
DISAGREEMENT, AGREES = 0.2, 0.8
#: Weak signs: touching the border; each unit of the mask that better nuclei took.
BORDER, OVERLAP = 0.02, 0.05
#: Chance that a candidate is a missed nucleus, per unit of its score.
LIKELY_MISS = {"proposal": 1.35, "foreground": 0.35}
#: Told as a reason from here on.
TELL_FIT, TELL_OVERLAP = 0.85, 0.1

#: `kind` ("nucleus" or "candidate"), `index` (label id, or number of the candidate), `y`, `x` (centre), `height`,
#: `width`, `top`, `left` (of its box), `area`, all in pixels, `priority` in [0, 1] (0 for what a person has seen),
#: `reason` (plain words), `mask_score` (estimated fit; a candidate's score), `agreement` (share of it that the semantic
#: map calls nucleus), `border` (touches the image's edge), `size` (area by the usual area), `overlap`, `state`. What is
#: unknown is NaN.
COLUMNS = [
    *("kind", "index", "y", "x", "height", "width", "top", "left", "area", "priority", "reason"),
    *("mask_score", "agreement", "border", "size", "overlap", "state"),
]


def nucleus_rows(
    labels: Array,
    table: pd.DataFrame,
    semantic: Array | None,
    *,
    overlaps: Mapping[int, float] | None,
    window: Window | None,
    shape: tuple[int, ...],
    calibrate: Calibrate | None,
) -> pd.DataFrame:
    """Return a row for each nucleus of a plane, in the order of their ids; with `size` they can be `judged`.

    Parameters
    ----------
    labels : ndarray
        int H×W, 0 is background.
    table : DataFrame
        Column `index` (label id) and any of `mask_score`, `score`, `quality`, `overlap`, `state`; nuclei without a row
        are taken as unscored.
    semantic : ndarray or None
        float H×W, probability of nucleus.
    overlaps : mapping or None
        Label id to the fraction of its mask that better nuclei took; None: the table's `overlap`.
    window : (slice, slice) or None
        `labels` is only this part of the plane; `semantic` is whole. The nuclei in it must be whole.
    shape : (int, int)
        Height and width of the plane.
    calibrate : callable or None
        Gives the fit to expect for a predicted one (`curate.calibration.Calibration.apply`).
    """
    corner = (window[0].start, window[1].start) if window else (0, 0)
    part = semantic[window] if semantic is not None and window else semantic
    rows = _measured(labels, part, corner, shape)
    rows["kind"] = NUCLEUS
    rows["mask_score"], rows["state"] = _known(table, rows["index"], calibrate)
    if overlaps is None:
        overlaps = dict(zip(table["index"], table["overlap"], strict=True)) if "overlap" in table else {}
    rows["overlap"] = _looked_up(rows["index"], overlaps)
    return rows


def candidate_rows(candidates: Sequence[Candidate], shape: tuple[int, ...], usual: float) -> pd.DataFrame:
    """Return the rows of candidates; `index` counts them from 0."""
    boxes = np.array([each.box for each in candidates], np.int64).reshape(-1, 4)
    centres = np.array([each.centre for each in candidates], np.float64).reshape(-1, 2)
    area = np.array([each.area for each in candidates], np.int64)
    top, left, bottom, right = boxes.T
    chances = [min(each.score * LIKELY_MISS[each.kind], 1.0) for each in candidates]
    return pd.DataFrame(
        {
            "kind": CANDIDATE,
            "index": np.arange(len(candidates)),
            **{"y": centres[:, 0], "x": centres[:, 1], "height": bottom - top, "width": right - left},
            **{"top": top, "left": left, "area": area},
            "priority": np.array(chances, np.float64),
            "reason": [_why_candidate(each) for each in candidates],
            "mask_score": np.array([each.score for each in candidates], np.float64),
            "agreement": np.full(len(area), np.nan),
            "border": (top == 0) | (left == 0) | (bottom == shape[0]) | (right == shape[1]),
            "size": area / usual,
            "overlap": np.full(len(area), np.nan),
            "state": "",
        },
        columns=COLUMNS,
    )


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of nuclei with `priority` and `reason` by their other columns; `COLUMNS` come first."""
    chances, weights = _chances(rows)
    done = rows["state"].isin(DONE).to_numpy()
    result = rows.assign(priority=np.where(done, 0.0, chances.clip(0, 1)))
    result["reason"] = np.array(_why(result, weights), object)
    return result[[*COLUMNS, *(name for name in rows if name not in COLUMNS)]]


def rescored(rows: pd.DataFrame, table: pd.DataFrame, calibrate: Calibrate | None = None) -> pd.DataFrame:
    """Return `rows`, those judged again of which `table` now tells another fit or state; their order stays.

    Of a nucleus without a row in `table` nothing is known any more.
    """
    nuclei = np.flatnonzero(rows["kind"] == NUCLEUS)
    fit, state = _known(table, rows["index"].iloc[nuclei], calibrate)
    old_fit, old_state = (rows[name].to_numpy()[nuclei] for name in ("mask_score", "state"))
    differs = ~((fit == old_fit) | (np.isnan(fit) & np.isnan(old_fit))) | (state != old_state)
    if not differs.any():
        return rows
    changed = rows.iloc[nuclei[differs]]
    again = judged(changed.assign(mask_score=fit[differs], state=state[differs]))
    result = rows.copy()
    for name in ("mask_score", "state", "priority", "reason"):
        values = rows[name].to_numpy(copy=True)
        values[nuclei[differs]] = again[name].to_numpy()
        result[name] = values
    return result


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    """Put rows one under the other; tables without rows do not change the types."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def usual_area(nuclei: pd.DataFrame) -> float:
    """Return the median area, pixels; 1 if there are no nuclei."""
    return float(nuclei["area"].median()) if len(nuclei) else 1.0


def _measured(labels: Array, semantic: Array | None, corner: tuple[int, int], shape: tuple[int, ...]) -> pd.DataFrame:
    """Centre, box, area, agreement, border of each object, by one pass over the pixels that are not background."""
    rows, columns = np.nonzero(labels)
    codes, ids = pd.factorize(labels[rows, columns], sort=True)
    count = len(ids)
    area = np.bincount(codes, minlength=count)
    agreement = np.full(count, np.nan)
    if semantic is not None:
        agreement = np.bincount(codes, weights=semantic[rows, columns] >= 0.5, minlength=count) / area
    low, high = _limits(rows, codes, count), _limits(columns, codes, count)
    top, bottom = (low[0] + corner[0], low[1] + corner[0])
    left, right = (high[0] + corner[1], high[1] + corner[1])
    return pd.DataFrame(
        {
            "index": np.asarray(ids).astype(np.int64),
            "y": np.bincount(codes, weights=rows, minlength=count) / area + corner[0],
            "x": np.bincount(codes, weights=columns, minlength=count) / area + corner[1],
            "height": bottom - top + 1,
            "width": right - left + 1,
            "top": top,
            "left": left,
            "area": area,
            "agreement": agreement,
            "border": (top == 0) | (left == 0) | (bottom == shape[0] - 1) | (right == shape[1] - 1),
        }
    )


def _limits(places: Array, codes: Array, count: int) -> tuple[Array, Array]:
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(low, codes, places)
    np.maximum.at(high, codes, places)
    return low, high


def _known(table: pd.DataFrame, ids: pd.Series[Any], calibrate: Calibrate | None) -> tuple[Array, Array]:
    """Estimated fit and state of the nuclei; NaN and "" of those without a row."""
    known = table.drop_duplicates("index").set_index("index") if "index" in table else pd.DataFrame()
    known = known.reindex(ids)
    fit = _fit(known)
    return calibrate(fit) if calibrate else fit, _texts(known, "state")


def _fit(known: pd.DataFrame) -> Array:
    """Estimated fit: `mask_score`, or as much of score × quality as is there."""
    if "mask_score" in known:
        return known["mask_score"].to_numpy(np.float64)
    parts = [known[name].to_numpy(np.float64) for name in ("score", "quality") if name in known]
    return np.prod(parts, axis=0) if parts else np.full(len(known), np.nan)


def _texts(known: pd.DataFrame, name: str) -> Array:
    if name not in known:
        return np.full(len(known), "", object)
    return known[name].astype(object).where(known[name].notna(), "").to_numpy(object)


def _looked_up(index: pd.Series[Any], values: Mapping[int, float]) -> Array:
    return np.array([values.get(label, np.nan) for label in index.tolist()], np.float64)


def _chances(rows: pd.DataFrame) -> tuple[Array, dict[str, Array]]:
    """Return the chance of each row, and what each sign added to it."""
    fit = FIT * (1 - rows["mask_score"].to_numpy(np.float64))
    size = np.log(rows["size"].to_numpy(np.float64))
    added = {
        "fit": np.nan_to_num(fit, nan=UNKNOWN),
        "agreement": DISAGREEMENT * np.nan_to_num(AGREES - rows["agreement"].to_numpy(np.float64)).clip(0),
        "size": LARGE * (size - np.log(LARGE_FROM)).clip(0, 1) + SMALL * (np.log(SMALL_FROM) - size).clip(0, 1),
        "overlap": OVERLAP * np.nan_to_num(rows["overlap"].to_numpy(np.float64)),
        "border": BORDER * rows["border"].to_numpy(np.float64),
    }
    return np.sum(list(added.values()), axis=0), added


def _why(rows: pd.DataFrame, added: dict[str, Array]) -> list[str]:
    """Say in words what raised each row's priority, the strongest first."""
    facts = {name: rows[name].tolist() for name in ("mask_score", "agreement", "size", "overlap", "border", "state")}
    weights = {name: values.tolist() for name, values in added.items()}
    return [
        _why_nucleus(
            {name: values[row] for name, values in facts.items()},
            {name: values[row] for name, values in weights.items()},
        )
        for row in range(len(rows))
    ]


def _why_nucleus(facts: dict[str, Any], added: dict[str, float]) -> str:
    if facts["state"] in DONE:
        return str(facts["state"])
    texts = {
        "fit": f"predicted fit {facts['mask_score']:.2f}" if facts["mask_score"] < TELL_FIT else "",
        "agreement": f"semantic map: {facts['agreement']:.0%} nucleus" if added["agreement"] else "",
        "size": f"{facts['size']:.{1 if facts['size'] >= 1 else 2}f} × usual size" if added["size"] else "",
        "overlap": f"{facts['overlap']:.0%} taken by better ones" if facts["overlap"] >= TELL_OVERLAP else "",
        "border": "touches the border" if facts["border"] else "",
    }
    told = [texts[name] for name in sorted(texts, key=lambda name: -added[name]) if texts[name]]
    return " · ".join(told) or "nothing unusual"


def _why_candidate(candidate: Candidate) -> str:
    if candidate.kind == "foreground":
        return "missed? foreground only"
    return f"missed? score {candidate.score:.2f}"
