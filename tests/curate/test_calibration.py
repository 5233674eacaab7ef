import json

import numpy as np
import pytest

from napari_pffnet.curate.calibration import (
    FEWEST,
    Calibration,
    Pairs,
    calibrate,
    fit_calibration,
    keep_prediction,
    measured_fit,
    project_pairs,
    read_calibration,
)
from napari_pffnet.curate.intake import NewImage
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.work import Annotation
from napari_pffnet.io.regions import Area, Regions

GRID = np.linspace(0, 1, 101)


def overconfident(count, seed=0):
    """A network that promises too much: a fit of p turns out as p² on average."""
    rng = np.random.default_rng(seed)
    predicted = rng.random(count)
    return Pairs(predicted, np.clip(predicted**2 + 0.1 * rng.standard_normal(count), 0, 1))


def test_with_few_pairs_nothing_is_said():
    assert fit_calibration(overconfident(FEWEST - 1)) is None
    assert fit_calibration(Pairs(np.zeros(0), np.zeros(0))) is None


def test_the_curve_never_falls_and_comes_nearer_to_the_truth_with_more_pairs():
    curves = [fit_calibration(overconfident(count)) for count in (40, 400, 4000)]
    errors = [np.abs(curve.apply(GRID) - GRID**2).mean() for curve in curves]
    assert all((np.diff(curve.apply(GRID)) >= 0).all() for curve in curves)
    assert np.abs(GRID - GRID**2).mean() > errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


def test_few_pairs_change_little():
    never = Pairs(np.linspace(0.5, 1, 40), np.zeros(40))
    assert fit_calibration(never).apply([0.9]) == pytest.approx(0.9 * 60 / 100)


def test_odd_values_are_taken():
    pairs = Pairs(np.r_[np.full(40, 0.8), np.nan], np.r_[np.tile([0.0, 1.0], 20), 1.0])
    curve = fit_calibration(pairs)
    assert curve.pairs == 40
    assert curve.y == (0.5,)
    assert np.isnan(curve.apply([np.nan])).all()
    assert curve.apply([]).shape == (0,)


def test_it_is_read_as_it_was_written(tmp_path):
    curve = fit_calibration(overconfident(100))
    curve.write(tmp_path)
    assert read_calibration(tmp_path) == curve


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[1]",
        json.dumps({"pairs": 9, "x": [0.5, 0.1], "y": [0.1, 0.2]}),
        json.dumps({"pairs": 9, "x": [0.1, 0.5], "y": [0.1, 2]}),
        json.dumps({"pairs": 9, "x": [], "y": []}),
    ],
)
def test_a_missing_or_damaged_file_is_no_calibration(tmp_path, content):
    if content is not None:
        (tmp_path / "calibration.json").write_text(content)
    assert read_calibration(tmp_path) is None


def grid(rows=6, columns=8):
    """48 nuclei of 4×4 pixels."""
    labels = np.zeros((rows * 6, columns * 6), np.int32)
    for number in range(rows * columns):
        y, x = 6 * (number // columns), 6 * (number % columns)
        labels[y : y + 4, x : x + 4] = number + 1
    return labels


def test_the_measure_is_what_the_user_made_of_a_nucleus():
    predicted = grid()
    corrected = predicted + 100 * (predicted > 0)
    corrected[predicted == 2] = 0
    corrected[0:2, 12:16] = 0
    fits = measured_fit(predicted, corrected)
    assert [fits[label] for label in (1, 2, 3, 4)] == [1, 0, 0.5, 1]


@pytest.fixture
def project(tmp_path):
    """A project with one image, whose odd nuclei were predicted with 0.9 and even ones, all deleted, with 0.6."""
    project = Project.create(tmp_path / "project")
    project.take(project.gather_pixels([NewImage("cells", lambda: np.zeros(grid().shape, np.uint8))]))
    rows = {n: {"index": n, "state": "", "mask_score": 0.9 if n % 2 else 0.6} for n in range(1, 49)}
    assert keep_prediction(project.folder, "cells", grid(), rows)
    work = project.work("cells", grid().shape)
    work.save(Annotation(np.where(grid() % 2, grid(), 0)))
    work.close()
    yield project
    project.close()


def test_an_image_that_is_done_tells_of_all_its_nuclei(project):
    assert len(project_pairs(project.folder).predicted) == 0
    assert calibrate(project.folder) is None
    project.set_state("cells", "done")
    pairs = project_pairs(project.folder)
    assert sorted(set(zip(*pairs, strict=True))) == [(0.6, 0), (0.9, 1)]
    assert len(pairs.predicted) == 48
    curve = calibrate(project.folder)
    assert read_calibration(project.folder) == curve
    assert curve.apply([0.6])[0] < 0.6 < 0.9 < curve.apply([0.9])[0]


def test_only_complete_areas_tell_of_an_image_in_work(project):
    corners = ((-0.5, -0.5), (-0.5, 60.0), (5.5, 60.0), (5.5, -0.5))
    project.write_regions("cells", Regions(areas=(Area(kind="rectangle", corners=corners),)))
    assert len(project_pairs(project.folder).predicted) == 8


def test_only_what_a_model_found_is_a_prediction(tmp_path):
    painted = {1: {"index": 1, "state": "", "mask_score": ""}, 2: {"index": 2, "state": "edited", "mask_score": 0.5}}
    assert not keep_prediction(tmp_path, "cells", grid(), painted)
    assert not list(tmp_path.iterdir())


def test_damaged_files_give_no_pairs(project):
    project.set_state("cells", "done")
    (project.folder / "journal" / "cells" / "predicted.tif").write_bytes(b"no image")
    assert len(project_pairs(project.folder).predicted) == 0


def test_a_curve_of_one_corner_works():
    assert Calibration((0.5,), (0.5,), 60).apply([0.0, 1.0]).tolist() == [0.25, 0.75]
