"""What the step Review says. No Qt in here."""

from __future__ import annotations

from napari_pffnet._qt.review.rows import Key, ReviewList

START = "Next goes to the nucleus that most likely needs correction."
NO_NUCLEI = "No nuclei here yet: segment, or add them with the tools of Correct."
LARGE = "A very large stack: only the plane in view is listed."
NOTHING_LEFT = "Nothing left in this list."
PLANE = "Candidates are those of plane {}."
OTHER_PLANE = "These are the candidates of plane {}: once more for the one under the cursor."
UNKNOWN_PLANE = "Candidates are those of plane {}; nothing is known of this one: segment it first."


def started(review: ReviewList, any_shown: bool) -> str:
    """Say what to do with a list that was just made."""
    text = LARGE if not review.whole else START if any_shown else NO_NUCLEI
    return f"{text} {PLANE.format(review.here)}" if review.several and review.candidates else text


def row(review: ReviewList, key: Key) -> str:
    """Say what a row is and why it is listed."""
    found = review.row(key)
    where = f", plane {key.plane}" if review.several else ""
    return f"{key.title}{where}: {found['reason']}." if found is not None else ""
