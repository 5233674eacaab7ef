"""Projects as folders; the annotation of one image is in test_work.py."""

import errno
import json
import os
import shutil
import socket

import numpy as np
import pytest
import tifffile

from napari_pffnet.curate.intake import NewImage
from napari_pffnet.curate.project import Project, ProjectError, ProjectLocked
from napari_pffnet.curate.work import Annotation
from napari_pffnet.io.export import write_geojson, write_rois
from napari_pffnet.io.images import ImageError
from napari_pffnet.io.lock import Lock
from napari_pffnet.io.regions import Area, Regions
from projects import SHAPE, images, project


def names(made):
    return [entry.name for entry in made.manifest.images]


def test_a_person_can_read_it(tmp_path):
    project(tmp_path).close()
    folder = tmp_path / "project"
    assert {path.name for path in folder.iterdir()} == {
        *("project.json", "images", "labels", "semantic", "regions", "provenance", "journal")
    }
    entry = json.loads((folder / "project.json").read_text())["images"][0]
    assert (entry["name"], entry["state"], entry["path"]) == ("a", "new", "images/a.tif")
    assert entry["size"] == (folder / "images" / "a.tif").stat().st_size


def test_bad_files_are_named_and_the_rest_goes_in(tmp_path):
    made = Project.create(tmp_path / "project")
    folder = images(tmp_path / "raw")
    (folder / "bad.tif").write_bytes(b"no image")
    (folder / "notes.txt").write_text("skipped without a word, as it lies in a folder")
    images(folder / "deeper", ("A", "d"))
    seen = []
    added = made.add([folder, tmp_path / "gone.png"], report=lambda done, total: seen.append((done, total)))
    assert names(made) == list(added.names) == ["a", "b", "c", "A_2", "d"]
    assert [problem.split(":")[0].rpartition("/")[2] for problem in added.problems] == ["bad.tif", "gone.png"]
    assert seen[-1] == (7, 7)


def test_adding_can_be_stopped(tmp_path):
    made = Project.create(tmp_path / "project")
    answers = iter([False, True])
    added = made.take(made.gather([images(tmp_path / "raw")], cancelled=lambda: next(answers)))
    assert names(made) == list(added.names) == ["a"]


def test_the_same_image_is_taken_once(tmp_path):
    made = project(tmp_path, ("a",))
    added = made.add([tmp_path / "raw"])
    assert (added.names, names(made)) == ((), ["a"])
    assert "is in the project already, as 'a'" in added.problems[0]


def test_of_a_stack_one_plane_is_taken_and_told(tmp_path):
    stack = np.arange(5 * 2 * 9 * 8, dtype=np.uint16).reshape(5, 2, 9, 8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path / "stack.tif"])
    assert added.notes == ("stack.tif: channel 0 and plane 2 (counted from 0) of the file is used",)
    np.testing.assert_array_equal(made.read("stack")[0], stack[2, 0])


@pytest.mark.parametrize("pixels", [np.zeros(SHAPE, np.uint16), np.zeros((*SHAPE, 3), np.uint8)])
def test_an_image_that_is_in_no_file(tmp_path, pixels):
    made = project(tmp_path, ("a",))
    assert made.take(made.gather_pixels([NewImage("my: image", lambda: pixels)])).names == ("my_ image",)
    np.testing.assert_array_equal(made.read("my_ image")[0], pixels)


def test_an_image_that_is_in_no_file_comes_with_its_annotation(tmp_path):
    made = Project.create(tmp_path / "project")
    nuclei = np.zeros(SHAPE, np.int32)
    nuclei[2:5, 2:5] = 7
    area = Area(kind="rectangle", corners=((0.0, 0.0), (0.0, 6.0), (6.0, 6.0), (6.0, 0.0)))
    rows = {7: {"index": 7, "origin": "painted", "state": "accepted", "area": 9}}

    def broken():
        raise OSError("the disk is gone")

    images = [
        NewImage("a", lambda: np.ones(SHAPE), annotation=lambda: Annotation(nuclei, None, rows), areas=(area,)),
        NewImage("b", broken),
        NewImage("a", lambda: np.ones(SHAPE)),
        NewImage("c", lambda: np.zeros(SHAPE)),
    ]
    added = made.take(made.gather_pixels(images))
    assert added.names == ("a", "c")
    assert added.problems == ("the disk is gone", "'a' is in the project already, as 'a'; open that one")
    assert [entry.state for entry in made.manifest.images] == ["in work", "new"]
    assert made.regions("a").areas == (area,)
    now = made.work("a", SHAPE).now
    np.testing.assert_array_equal(now.labels, nuclei)
    assert now.rows[7]["state"] == "accepted"


def test_blank_slices_are_named_as_such(tmp_path):
    made = Project.create(tmp_path / "project")
    images = [NewImage(f"im z{i}", lambda: np.zeros(SHAPE), stack="im") for i in range(3)]
    added = made.take(made.gather_pixels(images))
    assert added.names == ("im z0",)
    assert added.problems[0] == "'im z1' is blank, as 'im z0' is; it is left out"


def test_adding_images_that_are_in_no_file_stops_when_it_is_cancelled(tmp_path):
    made = Project.create(tmp_path / "project")
    asked = iter([False, False, True])
    images = [NewImage(name, lambda i=i: np.full(SHAPE, i)) for i, name in enumerate("abcd")]
    assert made.take(made.gather_pixels(images, cancelled=lambda: next(asked))).names == ("a", "b")


@pytest.mark.parametrize("copied", [False, True])
def test_an_image_that_is_not_listed_any_more_is_not_overwritten(tmp_path, copied):
    made = Project.create(tmp_path / "project")
    pixels = {value: np.full(SHAPE, value, np.uint8) for value in (7, 9)}
    for value, array in pixels.items():
        (tmp_path / str(value)).mkdir()
        tifffile.imwrite(tmp_path / str(value) / "photo.tif", array)

    def add(value):
        if not copied:
            return made.take(made.gather_pixels([NewImage("photo", lambda: pixels[value])])).names[0]
        return made.add([tmp_path / str(value)]).names[0]

    assert add(7) == "photo"
    made.work("photo", SHAPE).save(Annotation(np.eye(*SHAPE, dtype=np.int32)))
    made.close()
    (made.folder / "project.json").write_text("{damaged")
    made = Project.open(made.folder)
    assert names(made) == [], "the list before the last change"
    assert add(9) == "photo_2"
    assert made.work("photo_2", SHAPE).now.labels.max() == 0
    assert add(7) == "photo", "added again, its annotation is still there"
    assert made.work("photo", SHAPE).now.labels.max() == 1
    for name, value in (("photo", 7), ("photo_2", 9)):
        np.testing.assert_array_equal(made.read(name)[0], pixels[value])


def test_labels_beside_images_are_their_annotation(tmp_path):
    nuclei = np.zeros(SHAPE, np.uint16)
    nuclei[:3, :3], nuclei[5:, 5:] = 4, 9
    for folder in ("set/images", "set/labels", "set/semantic", "flat"):
        (tmp_path / folder).mkdir(parents=True)
    for number, name in enumerate(("set/images/a", "set/images/b", "flat/c", "flat/d", "flat/all_labels")):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full(SHAPE, number, np.uint8))
    tifffile.imwrite(tmp_path / "set/labels/a.tif", nuclei)
    tifffile.imwrite(tmp_path / "set/semantic/a.tif", (nuclei > 0).astype(np.uint8))
    tifffile.imwrite(tmp_path / "set/labels/b.tif", nuclei[1:])
    tifffile.imwrite(tmp_path / "flat/c_labels.tif", nuclei)
    for end in ("semantic", "overlay"):
        tifffile.imwrite(tmp_path / f"flat/c_{end}.tif", (nuclei > 0).astype(np.uint8))
    tifffile.imwrite(tmp_path / "flat/d_cp_masks.tif", nuclei)
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path / "set", tmp_path / "flat"])
    assert sorted(added.names) == ["a", "all_labels", "b", "c", "d"]
    assert added.problems == ()
    assert added.notes[0] == "3 of 5 images came with nuclei: check them, then press Mark done"
    assert "labels/b.tif: labels are" in added.notes[1]
    assert "b.tif is added without it" in added.notes[1]
    assert [made.entry(name).state for name in "abcd"] == ["in work", "new", "in work", "in work"]
    for name, has_semantic in (("a", True), ("c", True), ("d", False)):
        work = made.work(name, SHAPE)
        np.testing.assert_array_equal(np.unique(work.now.labels), [0, 1, 2])
        np.testing.assert_array_equal(work.now.labels > 0, nuclei > 0)
        assert (work.now.semantic is not None) == has_semantic
        work.close()


def test_labels_of_dropped_files_are_looked_for_and_each_part_fails_alone(tmp_path):
    nuclei = np.zeros(SHAPE, np.uint16)
    nuclei[:3, :3] = 4
    tifffile.imwrite(tmp_path / "x.tif", np.ones(SHAPE, np.uint8))
    tifffile.imwrite(tmp_path / "x_labels.tif", nuclei)
    tifffile.imwrite(tmp_path / "x_masks.tif", 0 * nuclei)
    tifffile.imwrite(tmp_path / "x_semantic.tif", (nuclei > 0).astype(np.uint8) * 200)
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path / "x.tif"])
    assert (added.names, added.problems) == (("x",), ())
    assert any("x_semantic.tif: the semantic map holds 0, 200" in note for note in added.notes)
    work = made.work("x", SHAPE)
    np.testing.assert_array_equal(work.now.labels > 0, nuclei > 0)
    work.close()
    file = made.folder / "project.json"
    assert '"place"' not in file.read_text(), "earlier versions can read it"
    made.close()
    file.write_text(file.read_text().replace('"state"', '"later": 1, "state"'))
    assert "unknown key images.0.later; did you mean" in Project.open(made.folder).notes[0]


def test_labels_in_folders_are_no_images_whatever_they_are_named(tmp_path):
    nuclei = np.zeros(SHAPE, np.uint16)
    nuclei[:3, :3] = 4
    for folder in ("one/images", "one/labels", "two/images", "two/masks"):
        (tmp_path / folder).mkdir(parents=True)
    for number, name in enumerate(("one/images/a", "one/images/b.ome", "two/images/c", "two/images/d")):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full(SHAPE, number, np.uint8))
    for name in ("one/labels/a_cp_masks", "one/labels/b_labels", "two/masks/c", "two/masks/0f3", "two/masks/1a7"):
        tifffile.imwrite(tmp_path / f"{name}.tif", nuclei)
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path / "one", tmp_path / "two"])
    assert sorted(added.names) == ["a", "b.ome", "c", "d"]
    assert added.notes[0].startswith("3 of 4 images came with nuclei")
    [problem] = added.problems
    assert problem.startswith(f"{tmp_path / 'two/masks'}: of 0f3.tif, 1a7.tif no image of that name is in")


def test_outlines_of_other_programs_are_annotation_too(tmp_path):
    nuclei = np.zeros(SHAPE, np.uint16)
    nuclei[:3, :3], nuclei[5:12, 5:12] = 4, 9
    for folder in ("set/images", "set/labels", "flat"):
        (tmp_path / folder).mkdir(parents=True)
    for number, name in enumerate(("set/images/a", "flat/b", "flat/c")):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full(SHAPE, number, np.uint8))
    write_rois(tmp_path / "set/labels/a_rois.zip", nuclei)
    write_geojson(tmp_path / "flat/b.geojson", nuclei)
    content = json.loads((tmp_path / "flat/b.geojson").read_text())
    corners = [[0, 0], [SHAPE[1], 0], [SHAPE[1], 20], [0, 20], [0, 0]]
    region = {"geometry": {"type": "Polygon", "coordinates": [corners]}, "properties": {"objectType": "annotation"}}
    content["features"].append(region)
    (tmp_path / "flat/b.geojson").write_text(json.dumps(content))
    write_geojson(tmp_path / "flat/c.geojson", 0 * nuclei)
    tifffile.imwrite(tmp_path / "flat/c_labels.tif", nuclei)
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path / "set", tmp_path / "flat/b.tif", tmp_path / "flat/b.geojson", tmp_path / "flat/c.tif"])
    assert (sorted(added.names), added.problems) == (["a", "b", "c"], ())
    for name in added.names:
        work = made.work(name, SHAPE)
        np.testing.assert_array_equal(work.now.labels > 0, nuclei > 0)
        work.close()
    regions = [made.regions(name) for name in "abc"]
    assert [bool(each.areas) for each in regions] == [False, True, False]
    assert regions[1].mask(SHAPE).sum() == 20 * SHAPE[1], "QuPath's region is complete"
    [problem] = made.add([tmp_path / "flat/b.tif"]).problems
    assert problem.endswith("is in the project already, as 'b'; open it, then drop b.geojson onto napari")
    [problem] = made.add([tmp_path / "flat/c.geojson"]).problems
    assert problem.endswith("c.geojson: annotation without its image; choose its image, of the same name, too")


def test_a_folder_may_be_named_like_an_image(tmp_path):
    (tmp_path / "raw" / "scan.tif").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "raw" / "scan.tif" / "a.tif", np.zeros(SHAPE, np.uint8))
    added = Project.create(tmp_path / "project").add([tmp_path / "raw"])
    assert (added.names, added.problems) == (("a",), ())


def test_what_cellpose_saves_beside_an_image_is_annotation_too(tmp_path):
    nuclei = np.zeros(SHAPE, np.uint16)
    nuclei[:3, :3], nuclei[5:12, 5:12] = 4, 9
    for number, name in enumerate("ab"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full(SHAPE, number, np.uint8))
        np.save(tmp_path / f"{name}_seg.npy", {"masks": nuclei * (name == "a"), "filename": f"{name}.tif"})
    tifffile.imwrite(tmp_path / "b_cp_masks.tif", nuclei)
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path])
    assert (sorted(added.names), added.problems) == (["a", "b"], ())
    for name in added.names:  # masks that were saved on purpose go before what Cellpose saves by itself
        work = made.work(name, SHAPE)
        np.testing.assert_array_equal(work.now.labels > 0, nuclei > 0)
        work.close()


def test_outlines_of_a_stack_are_not_taken_for_its_middle_plane(tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((5, *SHAPE), np.uint8), metadata={"axes": "ZYX"}, imagej=True)
    write_rois(tmp_path / "z.zip", np.eye(*SHAPE, dtype=np.uint8))
    made = Project.create(tmp_path / "project")
    added = made.add([tmp_path / "z.tif"])
    assert added.names == ("z",)
    assert "z.zip: one plane of a stack is taken, perhaps another; z.tif is added without it" in added.notes[0]
    assert made.entry("z").state == "new"


def test_a_set_of_rois_that_cannot_be_read_is_told_and_the_image_is_added(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(SHAPE, np.uint8))
    (tmp_path / "a.zip").write_bytes(b"PK rubbish")
    added = Project.create(tmp_path / "project").add([tmp_path / "a.tif"])
    assert added.names == ("a",)
    assert "no ROIs of ImageJ, or damaged" in added.notes[0]


def test_annotation_that_is_there_already_stays(tmp_path):
    made = project(tmp_path, ("a",))
    (tmp_path / "more" / "labels").mkdir(parents=True)
    (tmp_path / "more" / "images").mkdir()
    tifffile.imwrite(tmp_path / "more/images/new.tif", np.ones(SHAPE, np.uint8))
    tifffile.imwrite(tmp_path / "more/labels/new.tif", np.eye(*SHAPE, dtype=np.uint8))
    old = np.full(SHAPE, 3, np.uint16)
    tifffile.imwrite(made.folder / "labels" / "new.tif", old)
    added = made.add([tmp_path / "more"])
    assert (added.names, added.notes) == (("new",), ())
    np.testing.assert_array_equal(tifffile.imread(made.folder / "labels" / "new.tif"), old)


def test_images_elsewhere_are_found_after_either_has_moved(tmp_path):
    made = project(tmp_path, ("a",), copy=False)
    entry = made.entry("a")
    assert (entry.path, entry.elsewhere) == ("../raw/a.tif", str(tmp_path / "raw" / "a.tif"))
    made.close()
    shutil.move(tmp_path / "project", tmp_path / "x" / "y" / "project")
    Project.open(tmp_path / "x" / "y" / "project").read("a")
    shutil.move(tmp_path / "raw", tmp_path / "x" / "y" / "raw")
    again = Project.open(tmp_path / "x" / "y" / "project", take_over=True)
    again.read("a")
    (tmp_path / "x" / "y" / "raw" / "a.tif").unlink()
    with pytest.raises(ProjectError, match=r"image 'a' is not at .*raw/a.tif nor .*; put it back, or correct its path"):
        again.read("a")


def test_a_changed_image_is_told(tmp_path):
    made = project(tmp_path)
    tifffile.imwrite(made.folder / "images" / "a.tif", np.zeros((7, 7), np.uint8))
    made.read("a")
    assert "the file of image 'a' has changed since it was added" in made.notes[0]
    (made.folder / "images" / "b.tif").write_bytes(b"")
    with pytest.raises(ImageError, match=r"b.tif"):
        made.read("b")


def test_states_and_what_is_next(tmp_path):
    made = project(tmp_path)
    assert [made.following(), made.following("a"), made.following("c")] == ["a", "b", "a"]
    made.set_state("b", "done")
    made.set_state("c", "in work")
    assert made.following("a") == "c"
    made.close()
    again = Project.open(tmp_path / "project")
    assert [entry.state for entry in again.manifest.images] == ["new", "done", "in work"]
    again.set_state("a", "done")
    assert again.following("c") is None
    again.set_state("c", "done")
    assert again.following("c") is None


def test_regions_are_kept_and_other_versions_too(tmp_path):
    made = project(tmp_path)
    assert made.regions("a") == Regions()
    made.write_regions("a", Regions(whole=True))
    assert made.regions("a").whole
    (made.folder / "regions" / "a.json").write_text('{"whole": false}')
    made.write_regions("a", Regions(whole=True))
    [kept] = (made.folder / "regions").glob("a.outside-*.json")
    assert kept.read_text() == '{"whole": false}'
    assert made.notes[0].endswith(f"that version is kept as {kept.name}")


def test_save_as_is_a_whole_project_elsewhere(tmp_path):
    made = project(tmp_path, ("a",), copy=False)
    made.add([images(tmp_path / "more", ("b", "c"))])
    made.write_regions("a", Regions(whole=True))
    copy = made.save_as(tmp_path / "far" / "away")
    assert names(copy) == ["a", "b", "c"]
    assert copy.entry("a").path == "../../raw/a.tif"
    assert copy.regions("a").whole
    np.testing.assert_array_equal(copy.read("a")[0], made.read("a")[0])
    made.set_state("a", "done")
    assert copy.entry("a").state == "new"
    (tmp_path / "a file").touch()
    for place, reason in (
        (made.folder / "images" / "x", "inside the project"),
        (copy.folder, "is a project already"),
        (tmp_path / "raw", "is not empty"),
        (tmp_path / "a file", "is a file; choose a new folder"),
    ):
        with pytest.raises(ProjectError, match=reason):
            made.save_as(place)


def test_new_project_never_lands_on_something(tmp_path):
    made = project(tmp_path)
    with pytest.raises(ProjectError, match="is a project already; open it"):
        Project.create(made.folder)
    with pytest.raises(ProjectError, match="is not empty; choose a new folder"):
        Project.create(tmp_path)
    with pytest.raises(ProjectError, match=r"no project here; it has no project.json"):
        Project.open(tmp_path)


def test_opened_twice_is_noticed(tmp_path):
    made = project(tmp_path)
    with pytest.raises(ProjectLocked, match=rf"is open already, by .* on {socket.gethostname()} since"):
        Project.open(made.folder)
    thief = Project.open(made.folder, take_over=True)
    with pytest.raises(ProjectError, match="taken over by another program"):
        made.set_state("a", "done")
    made.close()
    thief.set_state("a", "done")
    thief.close()
    Project.open(made.folder).close()


def test_a_closed_project_is_left_to_others(tmp_path):
    made = project(tmp_path)
    intake = made.gather([images(tmp_path / "more", ("d", "e"))])
    made.close()
    made.check_lock()
    other = Project.open(made.folder)
    with pytest.raises(ProjectError, match="cannot be written"):
        made.take(intake)
    assert len(other.manifest.images) == 3
    other.set_state("a", "done")


def test_broken_list_falls_back_to_the_one_before(tmp_path):
    made = project(tmp_path)
    made.set_state("a", "done")
    made.set_state("b", "done")
    made.close()
    assert [file.name for file in (made.folder / "journal").iterdir()] == ["project.before.json"]
    file = made.folder / "project.json"
    file.write_text(file.read_text()[:-40])
    again = Project.open(made.folder)
    assert [entry.state for entry in again.manifest.images] == ["done", "new", "new"]
    [kept] = made.folder.glob("project.damaged-*.json")
    assert f"{file}: damaged" in again.notes[0]
    assert kept.name in again.notes[0]
    again.close()
    file.unlink()
    Project.open(made.folder).close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "made by a newer version .* update the plugin"),
        ({"image": []}, "unknown key"),
        ({"images": [{"name": "a", "path": "a", "size": 1, "sha256": ""}] * 2}, "lists a twice"),
        ({"images": [{"name": "../a", "path": "a", "size": 1, "sha256": ""}]}, "images.0.name"),
        ({"images": [{"name": "..", "path": "a", "size": 1, "sha256": ""}]}, "images.0.name"),
    ],
)
def test_list_that_cannot_be_used_says_why(tmp_path, change, reason):
    made = Project.create(tmp_path / "project")
    made.close()
    file = made.folder / "project.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ProjectError, match=rf"project.json: .*{reason}"):
        Project.open(made.folder)
    assert not (made.folder / "project.lock").exists()


def test_list_changed_outside_is_kept(tmp_path):
    made = project(tmp_path)
    file = made.folder / "project.json"
    theirs = file.read_text().replace('"new"', '"done"')
    file.write_text(theirs)
    made.set_state("a", "in work")
    [kept] = made.folder.glob("project.outside-*.json")
    assert kept.read_text() == theirs
    assert "changed outside" in made.notes[0]


def test_folder_that_cannot_be_written_is_opened_for_reading(tmp_path, monkeypatch):
    project(tmp_path).close()

    def refuse(self, *_arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Lock, "_write", refuse)
    made = Project.open(tmp_path / "project")
    assert made.readonly
    assert "cannot be written; you can look at it" in made.notes[0]
    assert made.read("a")[0].shape == SHAPE
    work = made.work("a", SHAPE)
    assert not work.now.labels.any()
    for change in (lambda: made.set_state("a", "done"), lambda: made.add([]), lambda: work.save(work.now)):
        with pytest.raises(ProjectError, match="Save As"):
            change()
    assert not (made.folder / "journal" / "a").exists()


def test_full_disk_leaves_the_list_as_it_was(tmp_path, monkeypatch):
    made = project(tmp_path)
    before = (made.folder / "project.json").read_bytes()

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("napari_pffnet.io.own_file.write_atomic", full)
    with pytest.raises(ProjectError, match=r"project.json: not saved \(No space left on device\)"):
        made.set_state("a", "done")
    assert made.entry("a").state == "new"
    assert (made.folder / "project.json").read_bytes() == before
    monkeypatch.setattr("napari_pffnet.curate.intake.write_atomic", full)
    images(tmp_path / "more", ("e", "f"))
    monkeypatch.undo()
    monkeypatch.setattr("napari_pffnet.curate.intake.write_atomic", full)
    added = made.add([tmp_path / "more"])
    assert len(added.problems) == 2
    assert "No space left" in added.problems[0]


@pytest.mark.parametrize("digits", [16, 32])
def test_what_a_killed_program_left_is_tidied(tmp_path, digits):
    made = project(tmp_path)
    made.close()
    left = made.folder / "labels" / f".a-{'0' * digits}.tif"
    left.write_bytes(b"half")
    Project.open(made.folder)
    assert not left.exists()


def test_damaged_regions_are_those_before_the_last_change(tmp_path):
    made = project(tmp_path)
    first, second = Regions(areas=(Area(corners=((0, 0), (0, 5), (5, 0))),)), Regions(whole=True)
    file = made.folder / "regions" / "a.json"
    file.write_text("rubbish")
    with pytest.raises(ProjectError, match="correct that place, or delete the file"):
        made.regions("a")
    file.unlink()
    made.write_regions("a", first)
    made.write_regions("a", second)
    file.write_text("rubbish")
    assert made.regions("a") == first
    assert "Complete areas are those before the last change; the damaged file is kept as a.damaged-" in made.notes[-1]
    assert made.regions("a") == first
    assert len(made.notes) == 1
    [kept] = file.parent.glob("a.damaged-*.json")
    assert kept.read_text() == "rubbish"


def test_an_image_that_is_not_listed_is_named(tmp_path):
    with pytest.raises(ProjectError, match="no image 'nowhere' in this project"):
        project(tmp_path, ("a",)).read("nowhere")


def test_results_of_one_plane_are_neither_images_nor_annotation(tmp_path):
    stack = np.random.default_rng(0).integers(0, 99, (5, *SHAPE), np.uint16)
    tifffile.imwrite(tmp_path / "vol.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    for end in ("labels", "semantic"):
        tifffile.imwrite(tmp_path / f"vol_plane3_{end}.tif", np.ones(SHAPE, np.uint8))
    made = Project.create(tmp_path / "project")
    assert made.add(sorted(tmp_path.glob("*.tif"))).names == ("vol",)
    assert made.work("vol", SHAPE).now.labels.max() == 0
