"""Edits at full speed, in a process that is going to be killed; no torch in here."""

from itertools import count

import numpy as np

from napari_pffnet.curate.edit import Edit, Pixels
from napari_pffnet.curate.work import Annotation, Work

SHAPE = (64, 80)
SNAPSHOT_EVERY = 7


def edit_number(n):
    """The edit with this number; always the same."""
    rng = np.random.default_rng(n)
    size = int(rng.integers(1, 400))
    indices = tuple(rng.integers(0, side, size) for side in SHAPE)
    label = n % 65_000 + 1
    if n % 3 == 2:
        return Edit((Pixels("semantic", indices, np.full(size, n % 2, np.uint8)),))
    gone = (int(rng.integers(1, label)),) if n % 5 == 4 else ()
    row = {"index": label, "origin": "painted", "state": "new", "parents": "", "area": size}
    return Edit((Pixels("labels", indices, np.full(size, label, np.int32)),), (row,), gone)


def apply(state, edit):
    """Labels, semantic map and rows after an edit; the state is changed."""
    for plane, indices, values in edit.pixels:
        array = state.labels if plane == "labels" else state.semantic
        array[indices] = values
    state.rows.update({row["index"]: row for row in edit.rows})
    for label in edit.gone:
        state.rows.pop(label, None)
    return state


def work_until_killed(folder, first, started):
    """Edit from number `first` on; tell each number after its edit is on the disk."""
    work = Work.open(folder, "a", SHAPE)
    state = Annotation(work.now.labels, work.now.semantic, work.now.rows)
    state.semantic = np.zeros(SHAPE, np.uint8) if state.semantic is None else state.semantic
    started.send(-1)
    for n in count(first):
        edit = edit_number(n)
        work.record(edit)
        started.send(n)
        apply(state, edit)
        if n % SNAPSHOT_EVERY == 0:
            work.save(state)
