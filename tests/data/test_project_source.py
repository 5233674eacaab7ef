"""A project is a training folder."""

import shutil

import numpy as np
import pytest

from helpers import tiny
from napari_pffnet.config import AugmentConfig, DataConfig, ScheduleConfig, TrainConfig, dump
from napari_pffnet.curate.project import Project
from napari_pffnet.data.opening import check, open_source
from napari_pffnet.data.project import within
from napari_pffnet.data.sources import DataError
from napari_pffnet.io.regions import Area, Regions
from napari_pffnet.io.results import write_labels, write_semantic
from napari_pffnet.train.__main__ import main
from projects import SHAPE, project

LEFT = Regions(areas=(Area(kind="rectangle", corners=((-0.5, -0.5), (-0.5, 31.5), (47.5, 31.5), (47.5, -0.5))),))


def annotated(tmp_path, **arguments):
    """a: complete on the left half; b: complete without a nucleus; c: not looked at."""
    made = project(tmp_path, **arguments)
    labels = np.zeros(SHAPE, np.int32)
    labels[4:10, 4:10], labels[20:26, 28:34], labels[30:36, 30:36], labels[4:10, 50:56] = 1, 4, 5, 9
    write_labels(made.folder / "labels" / "a.tif", labels)
    made.write_regions("a", LEFT)
    made.write_regions("b", Regions(whole=True))
    made.close()
    return made.folder


def test_only_complete_areas_count(tmp_path):
    source = open_source(annotated(tmp_path))
    check([source])
    assert [source.name(i) for i in range(len(source))] == ["a", "b"]
    sample = source.read(0)
    assert np.unique(sample.labels).tolist() == [0, 1, 2]
    assert (sample.semantic[sample.labels > 0] == 1).all()
    assert (sample.semantic[:, 34:] == 255).all()
    assert (sample.semantic[:20, :32][sample.labels[:20, :32] == 0] == 0).all()


def test_an_area_without_nuclei_is_a_negative(tmp_path):
    sample = open_source(annotated(tmp_path)).read(1)
    assert not sample.labels.any()
    assert (sample.semantic == 0).all()


def test_nuclei_across_the_edge_are_true_or_ignored_but_never_false():
    labels = np.zeros((8, 12), np.int32)
    labels[1:3, 4:8], labels[5:7, 5:9] = 1, 2
    complete = np.zeros((8, 12), bool)
    complete[:, :6] = True
    kept, semantic = within(labels, complete, np.zeros((8, 12), bool))
    np.testing.assert_array_equal(kept, labels * (labels == 1))
    assert (semantic[labels == 1] == 1).all(), "half of it inside: true as a whole"
    assert (semantic[labels == 2] == 255).all(), "less than half inside: nobody may have looked at it"
    assert (semantic[complete & (labels == 0)] == 0).all()
    assert (semantic[~complete & (labels != 1)] == 255).all()


def test_ignored_pixels_count_and_the_rest_of_the_semantic_map_does_not(tmp_path):
    folder = annotated(tmp_path)
    semantic = np.ones(SHAPE, np.uint8)
    semantic[40:] = 255
    write_semantic(folder / "semantic" / "b.tif", semantic)
    sample = open_source(folder).read(1)
    np.testing.assert_array_equal(sample.semantic, np.where(semantic == 255, 255, 0))


def test_faults_are_one_line_each(tmp_path):
    folder = annotated(tmp_path, copy=False)
    (tmp_path / "raw" / "a.tif").unlink()
    (folder / "labels" / "b.tif").write_bytes(b"")
    with pytest.raises(DataError) as error:
        check([open_source(folder)])
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "image 'a' is not at" in lines[1]
    assert "or train without it: finetune.images=[NAME, …], or mark it as not done in" in lines[1]
    assert "b.tif: " in lines[2]
    (folder / "regions" / "b.json").write_text("{")
    with pytest.raises(DataError, match=r"b.json: cannot be read"):
        check([open_source(folder)])


def test_what_cannot_train_is_said_when_opening(tmp_path):
    folder = project(tmp_path).folder
    with pytest.raises(DataError, match="no image of the project is complete anywhere; open it in napari and mark"):
        open_source(folder)
    (folder / "project.json").write_text("{")
    with pytest.raises(DataError, match=r"project.json: damaged .* correct that place"):
        open_source(folder)


def test_trains_from_the_command_line_also_after_it_was_moved(tmp_path, capsys):
    folder = annotated(tmp_path)
    Project.open(folder).close()
    moved = shutil.move(folder, tmp_path / "another machine")
    recipe = TrainConfig(
        model=tiny(),
        data=DataConfig(augment=AugmentConfig(crop=64)),
        schedule=ScheduleConfig(steps=2, warmup_steps=1),
        validate_every=0,
    )
    (tmp_path / "recipe.yaml").write_text(dump(recipe))
    command = ["--quiet", "--device", "cpu", "--data", str(moved), "--config", str(tmp_path / "recipe.yaml")]
    assert main([*command, "--output", str(tmp_path / "model")]) == 0
    assert (tmp_path / "model" / "last.safetensors").exists()
    (tmp_path / "another machine" / "images" / "a.tif").unlink()
    assert main([*command, "--output", str(tmp_path / "other")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: 1 problem in the data:"
    assert "image 'a' is not at" in lines[1]
    assert len(lines) == 2
