"""What a project offers to training."""

import numpy as np
import pytest
import tifffile

from napari_pffnet.curate.calibration import calibrate
from napari_pffnet.curate.material import material
from napari_pffnet.io.regions import Area, Regions
from projects import paint, painted, project


def test_only_nuclei_in_complete_areas_count(tmp_path):
    made = project(tmp_path)
    labels = painted(paint(2, 2, 1), paint(20, 20, 2), paint(20, 40, 7))
    for name in ("a", "b"):
        tifffile.imwrite(made.folder / "labels" / f"{name}.tif", labels.astype(np.uint16))
    made.write_regions("a", Regions(whole=True))
    corners = ((-0.5, -0.5), (-0.5, 31.5), (47.5, 31.5), (47.5, -0.5))
    made.write_regions("b", Regions(areas=(Area(corners=corners),)))
    made.set_state("a", "done")
    made.close()
    whole, half, nothing = material(made.folder)
    assert (whole.nuclei, whole.whole, whole.state, whole.share) == (3, True, "done", 1.0)
    assert (half.nuclei, half.areas, half.share) == (2, 1, 0.5)
    assert [each.trains for each in (whole, half, nothing)] == [True, True, False]


def test_a_complete_image_without_nuclei_is_material(tmp_path):
    made = project(tmp_path, ("a",))
    made.write_regions("a", Regions(whole=True))
    made.close()
    [only] = material(made.folder)
    assert only.trains
    assert only.nuclei == 0


def test_a_damaged_file_is_named_and_the_others_count(tmp_path):
    made = project(tmp_path, ("a", "b"))
    made.write_regions("b", Regions(whole=True))
    (made.folder / "regions" / "a.json").write_text("{")
    made.close()
    broken, good = material(made.folder)
    assert "a.json" in broken.fault
    assert not broken.trains
    assert good.trains


@pytest.mark.parametrize("fault", ["cut", "float", "huge id"])
def test_labels_that_training_refuses_are_a_fault_and_never_an_end(tmp_path, fault):
    made = project(tmp_path, ("a", "b"))
    for name in ("a", "b"):
        made.write_regions(name, Regions(whole=True))
    labels = painted(paint(2, 2, 1), paint(20, 20, 2))
    file = made.folder / "labels" / "a.tif"
    if fault == "huge id":
        tifffile.imwrite(file, np.where(labels == 2, 10**13, labels).astype(np.int64))
    else:
        saved = labels / np.float32(4) if fault == "float" else labels.astype(np.uint16)
        tifffile.imwrite(file, saved, compression="zlib")
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    made.close()
    first, second = material(made.folder)
    assert first.nuclei == (2 if fault == "huge id" else 0)
    assert ("a.tif" in first.fault) == (fault != "huge id")
    assert second.trains
    assert calibrate(made.folder) is None
