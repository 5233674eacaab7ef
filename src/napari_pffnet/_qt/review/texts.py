"""What the step Review says. No Qt in here."""

from __future__ import annotations

from napari_pffnet._qt.review.rows import Key, ReviewList

START = "Next goes to the nucleus that most likely needs correction."
NO_NUCLEI = "No nuclei here yet: segment, or add them with the tools of Correct."
LARGE = "A very large stack: only the plane in view is listed."
NOTHING_LEFT = "Nothing left in this list."
SEVERAL = "A nucleus has a row on each of its planes: Accept is for all of them, Delete for the one that is shown."
PLANE = "Candidates are those of plane {}."
OTHER_PLANE = "These are the candidates of plane {}: once more for the one under the cursor."
UNKNOWN_PLANE = "Candidates are those of plane {}; nothing is known of this one: segment it first."


def started(review: ReviewList, any_shown: bool) -> str:
    """Say what to do with a list that was just made."""
    text = LARGE if not review.whole else SEVERAL if review.linked else START if any_shown else NO_NUCLEI
    return f"{text} {PLANE.format(review.here)}" if review.several and review.candidates else text


def row(review: ReviewList, key: Key) -> str:
    """Say what a row is and why it is listed."""
    found = review.row(key)
    where = f", plane {key.plane}" if review.several else ""
    return f"{key.title}{where}: {found['reason']}." if found is not None else ""


def accepted(review: ReviewList, key: Key, state: str) -> str:
    """Say of a nucleus on several planes that it is accepted, or no longer so, on all of them; "" of others.

    Where only the plane in view is listed, it may always lie on others.
    """
    planes = review.planes_of(key.number)
    where = f"its {planes} planes" if review.whole else "all its planes"
    return f"{key.title} is {state or 'open again'} on {where}." if planes > 1 or _may_go_on(review) else ""


def deleted(review: ReviewList, key: Key) -> str:
    """Say of a nucleus that was deleted on one plane that it is still on others, or may be; "" if it is gone."""
    if _may_go_on(review):
        return f"{key.title} is deleted on plane {key.plane} only."
    planes = review.planes_of(key.number)
    others = f"{planes} other plane" + "s" * (planes > 1)
    return f"{key.title} is deleted on plane {key.plane}, and still on {others}." if planes else ""


def _may_go_on(review: ReviewList) -> bool:
    """Whether nuclei may lie on planes that are not listed."""
    return review.several and not review.whole
