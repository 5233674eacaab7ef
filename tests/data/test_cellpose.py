"""Cellpose's NAME_seg.npy as annotation."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pffnet.data.cellpose import read_seg
from napari_pffnet.data.opening import check, open_source
from napari_pffnet.data.sources import DataError

MASKS = np.zeros((30, 40), np.uint16)
MASKS[2:9, 3:12], MASKS[16:, 30:] = 7, 2


def save_seg(path, masks=MASKS, **more):
    """A file as Cellpose's window saves it (cellpose 4.2, gui/io.py)."""
    facts = {
        "outlines": masks,
        "colors": np.ones((2, 3), np.uint8),
        "filename": "cells.tif",
        "flows": [[], np.zeros((1, 2, 2), np.float32), None],
        "manual_changes": [["now", "added mask", [1]]],
        "model_path": Path("cpsam"),
        "diameter": np.float64(30),
        "normalize_params": {"lowhigh": None, "percentile": [1.0, 99.0]},
    }
    np.save(path, {**facts, "masks": masks, **more})
    return path


def test_masks_are_read_whatever_else_is_in_the_file(tmp_path):
    labels = read_seg(save_seg(tmp_path / "cells_seg.npy"))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, MASKS)
    for masks in (np.stack([MASKS] * 3), np.asfortranarray(MASKS), MASKS.astype(">i4"), MASKS.astype(np.uint8)[::2]):
        np.testing.assert_array_equal(read_seg(save_seg(tmp_path / "z_seg.npy", masks)), masks)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)  # a plain function: NumPy before 2 would write a method as a call of getattr


def test_nothing_in_the_file_is_run(tmp_path):
    path = save_seg(tmp_path / "cells_seg.npy", flows=Evil(tmp_path / "made"))
    np.testing.assert_array_equal(read_seg(path), MASKS)
    assert not (tmp_path / "made").exists()
    np.load(path, allow_pickle=True)
    assert (tmp_path / "made").exists(), "NumPy itself would have run it"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"no numpy", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "cells_seg.npy"
    if content is None:
        np.save(path, MASKS)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"cells_seg.npy: not a file of Cellpose, or damaged"):
        read_seg(path)
    for masks in (MASKS / 2, MASKS.astype(object), MASKS[0], None):
        with pytest.raises(DataError, match=r"cells_seg.npy: not a file of Cellpose, or damaged"):
            read_seg(save_seg(path, masks))


def test_one_plane_is_no_stack_and_ids_are_positive(tmp_path):
    np.testing.assert_array_equal(read_seg(save_seg(tmp_path / "a_seg.npy", MASKS[None]), MASKS.shape), MASKS)
    with pytest.raises(DataError, match=r"a_seg.npy: labels are negative"):
        read_seg(save_seg(tmp_path / "a_seg.npy", -MASKS.astype(np.int32)))


def test_a_folder_trains_on_them(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "images" / "cells.tif", MASKS)
    save_seg(tmp_path / "labels" / "cells_seg.npy")
    source = open_source(tmp_path)
    check([source])
    np.testing.assert_array_equal(source.read(0).labels > 0, MASKS > 0)
    save_seg(tmp_path / "labels" / "cells_seg.npy", MASKS[1:])
    with pytest.raises(DataError, match="masks are 29×40 but the image is 30×40"):
        check([open_source(tmp_path)])
