"""Label pyramids as other programs read them."""

import numpy as np
import pytest
import zarr

from napari_pffnet.io import ome_zarr
from napari_pffnet.io.ome_zarr import LabelPyramid, Placement, blocks, describe

PLACED = Placement((0.25, 0.5), (10.0, 0.0), ("micrometer", "micrometer"))
LABELS = np.random.default_rng(0).integers(0, 9, (70, 100)).astype(np.uint32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(ome_zarr, "BLOCK", 32)


def test_levels_are_samples_of_the_labels_and_metadata_says_what_they_are(tmp_path):
    for name in ("nuclei", "semantic"):
        pyramid = LabelPyramid(tmp_path / "a.zarr", name, LABELS.shape, "uint32", PLACED)
        for window in blocks(LABELS.shape):
            pyramid.write(window[0].start, window[1].start, LABELS[window])
    root = zarr.open(tmp_path / "a.zarr", mode="r")
    assert root.metadata.zarr_format == 3
    for level in range(3):
        np.testing.assert_array_equal(root[f"labels/nuclei/{level}"][:], LABELS[:: 2**level, :: 2**level])
    facts = describe(root["labels/nuclei"])
    assert (facts.axes, facts.paths, facts.pixel_sizes) == ("YX", ("0", "1", "2"), (0.5, 1.0, 2.0))
    assert facts.placements == tuple(PLACED._replace(scale=(0.25 * 2**i, 0.5 * 2**i)) for i in range(3))
    listed, image = (root[path].attrs["ome"] for path in ("labels", "labels/nuclei"))
    assert (listed["version"], listed["labels"]) == ("0.5", ["nuclei", "semantic"])
    assert image["version"] == image["image-label"]["version"] == "0.5"
    before = {"multiscales": [{"version": "0.4", **image["multiscales"][0]}]}
    assert describe(zarr.create_group(tmp_path / "b.zarr", zarr_format=2, attributes=before)) == facts
