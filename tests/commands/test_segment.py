from io import StringIO
from time import sleep

import numcodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image
from skimage.segmentation import relabel_sequential
from tqdm import tqdm

from fakes import BrightSquares, fake_model, squares_image
from napari_pffnet import library
from napari_pffnet.cli import main
from napari_pffnet.commands.segment import _begin
from napari_pffnet.commands.segment_files import protect
from napari_pffnet.data.sizes import suitable_level, typical_diameter
from napari_pffnet.io import lazy
from napari_pffnet.io.images import pixel_sizes_of, read_image
from napari_pffnet.io.lazy import read_plane
from napari_pffnet.io.ome_zarr import describe
from napari_pffnet.io.terminal import IN_FILES
from napari_pffnet.labels import areas
from napari_pffnet.library import load_model
from napari_pffnet.samples import u2os
from napari_pffnet.segment.large import LargeResult
from projects import project

IMAGE, COUNT = squares_image((200, 240))
SUFFIXES = ("_labels.tif", "_semantic.tif", ".csv", "_overlay.png")


@pytest.fixture
def segment(monkeypatch, tmp_path):
    """Run the command with the fake network, writing to ``tmp_path/out``."""
    monkeypatch.setattr(library, "load_model", lambda name, device: fake_model(diameter=12))
    return lambda *arguments: main(["segment", "--output", str(tmp_path / "out"), *map(str, arguments)])


def write(path, image=IMAGE):
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image)
    return path


def test_results_agree_with_each_other(segment, tmp_path, capsys):
    assert segment(write(tmp_path / "a.tif")) == 0
    labels, semantic = (tifffile.imread(tmp_path / "out" / f"a{suffix}") for suffix in SUFFIXES[:2])
    table = pd.read_csv(tmp_path / "out" / "a.csv")
    assert table["index"].tolist() == list(range(1, COUNT + 1))
    assert table["area"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    np.testing.assert_array_equal(semantic, labels > 0)
    with Image.open(tmp_path / "out" / "a_overlay.png") as overlay:
        assert overlay.size == (240, 200)
    assert f"a.tif: {COUNT} nuclei in" in capsys.readouterr().out


def test_files_and_folders_go_on_after_bad_ones(segment, tmp_path, capsys):
    good = [write(tmp_path / "folder" / "b.tif"), write(tmp_path / "c.tif", IMAGE[:100])]
    (tmp_path / "folder" / "bad.png").write_bytes(b"no image")
    (tmp_path / "folder" / "notes.txt").write_text("not an image")
    stack = write(tmp_path / "stack.tif", np.zeros((9, 40, 50), np.uint8))
    assert segment(tmp_path / "nowhere.tif", tmp_path / "folder", stack, good[1]) == 1
    printed = capsys.readouterr()
    assert [line.split(":")[0] for line in printed.out.splitlines()] == list(map(str, good))
    failed = printed.err.splitlines()
    assert failed[0] == f"failed: {tmp_path / 'nowhere.tif'}: no such file"
    assert failed[1].startswith(f"failed: {tmp_path / 'folder' / 'bad.png'}: ")
    assert "choose plane 0 to 8 with --plane N, or all with --all-planes" in failed[2]
    assert failed[3] == "3 of 5 files failed"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{n}{s}" for n in "bc" for s in SUFFIXES}


def test_options_reach_the_core(segment, tmp_path):
    def count(*arguments):
        assert segment(path, *arguments) == 0
        return len(pd.read_csv(tmp_path / "out" / "a.csv"))

    path = write(tmp_path / "a.tif")
    assert 0 < count("--score", 0.8) < count("--score", 0.1) == COUNT
    assert count("--min-area", 145) == 0
    assert count("--scale", 0.1) < COUNT
    assert count("--diameter", 240) < COUNT
    path = write(tmp_path / "a.tif", np.stack([0 * IMAGE, IMAGE]))
    assert [count("--channel", channel) for channel in (0, 1)] == [0, COUNT]
    tifffile.imwrite(path, np.stack([0 * IMAGE, IMAGE, 0 * IMAGE], -1), photometric="rgb")
    assert [count("--channel", channel) for channel in (0, 1)] == [0, COUNT]


def test_inputs_are_never_overwritten(segment, tmp_path, capsys):
    images = [write(tmp_path / "out" / name) for name in ("a.tif", "a_labels.tif")]
    before = [path.read_bytes() for path in images]
    assert segment(*images) == 2
    assert f"overwrite the input {images[1]}; choose another --output" in capsys.readouterr().err
    assert segment(tmp_path / "out") == 2, "of a folder results are no images, but these labels are not from here"
    assert f"{images[1]} was changed since it was written, or is not" in capsys.readouterr().err
    assert [path.read_bytes() for path in images] == before
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_folder_with_its_results_can_be_segmented_again_until_they_are_corrected(segment, tmp_path, capsys):
    path = write(tmp_path / "out" / "a.tif")
    for _ in range(2):
        assert segment(path.parent) == 0
    names = {file.name for file in path.parent.iterdir()}
    assert names == {"a.tif", "a.csv", "a_labels.tif", "a_semantic.tif", "a_overlay.png"}
    labels = path.with_name("a_labels.tif")
    corrected = tifffile.imread(labels) * 2
    with tifffile.TiffFile(labels) as file:
        software = file.pages.first.software
    tifffile.imwrite(labels, corrected, software=software)  # as by programs that keep what they find
    capsys.readouterr()
    assert segment(path) == 2
    assert "a_labels.tif was changed since" in capsys.readouterr().err
    np.testing.assert_array_equal(tifffile.imread(labels), corrected)
    assert segment(path, "--overwrite") == 0
    assert tifffile.imread(labels).max() == COUNT


def test_a_level_is_refused_for_an_image_that_has_none(segment, tmp_path, capsys):
    assert segment(write(tmp_path / "a.tif"), "--level", "1") == 1
    assert "a.tif: --level 1 is for OME-Zarr folders and TIFFs over 64 Mpx; leave it out" in capsys.readouterr().err
    assert segment(tmp_path / "a.tif", "--level", "auto", "--restart") == 0


def test_links_are_written_through_and_folders_named_like_images_are_none(segment, tmp_path):
    path = write(tmp_path / "images" / "a.tif")
    (tmp_path / "images" / "b.tif").mkdir()
    assert segment(path.parent) == 0
    table = tmp_path / "out" / "a.csv"
    table.rename(tmp_path / "kept.csv")
    table.symlink_to("../kept.csv")
    (tmp_path / "kept.csv").write_text(table.read_text().splitlines()[0])
    assert segment(path.parent) == 0
    assert table.is_symlink()
    assert len(pd.read_csv(tmp_path / "kept.csv")) == COUNT


def test_links_to_one_file_are_images_of_their_own(segment, tmp_path):
    path = write(tmp_path / "store.tif")
    (tmp_path / "links").mkdir()
    for name in "ab":
        (tmp_path / "links" / f"{name}.tif").symlink_to(path)
    assert segment(tmp_path / "links") == 0
    assert {"a_labels.tif", "b_labels.tif"} <= {file.name for file in (tmp_path / "out").iterdir()}


def test_an_output_that_is_a_file_and_a_zoom_that_is_absurd_are_refused(segment, tmp_path, capsys):
    path = write(tmp_path / "a.tif")
    assert segment(path, "--scale", 1000) == 2
    assert "the image would be zoomed by 1e+03 before the network, 1/32 to 32 are possible" in capsys.readouterr().err
    (tmp_path / "out").write_bytes(b"")
    assert segment(path) == 2
    assert "out is a file; give a folder" in capsys.readouterr().err


def test_the_images_of_a_project_are_segmented(segment, tmp_path, capsys):
    folder = project(tmp_path, copy=False).folder
    (tmp_path / "raw" / "b.tif").unlink()
    assert segment(folder) == 1
    printed = capsys.readouterr()
    assert [line.split(":")[0][-5:] for line in printed.out.splitlines()] == ["a.tif", "c.tif"]
    assert "b.tif: no such file" in printed.err


def test_an_image_given_twice_is_segmented_once(segment, tmp_path, capsys):
    path = write(tmp_path / "images" / "a.tif")
    assert segment(path, path.parent, path.parent / ".." / "images" / "a.tif") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_zarr_images_become_label_pyramids(segment, tmp_path, capsys):
    zarr.save_array(tmp_path / "images" / "a.zarr", IMAGE)
    write(tmp_path / "images" / "b.tif")
    assert segment(tmp_path / "images") == 0
    assert f"a.zarr: {COUNT} nuclei in" in capsys.readouterr().out
    labels = zarr.open(tmp_path / "out" / "a.zarr", mode="r")["labels/nuclei/0"][:]
    assert labels.max() == len(pd.read_csv(tmp_path / "out" / "a.csv")) == COUNT
    small = tifffile.imread(tmp_path / "out" / "b_labels.tif")
    np.testing.assert_array_equal(labels > 0, small > 0)


def test_large_tiffs_are_read_part_by_part(segment, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_pffnet.io.lazy.LARGE", 100 * 100)
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, tile=(64, 64), compression="zlib")
    assert segment(tmp_path / "a.tif") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.zarr", "a.csv"}


def test_a_result_is_never_written_over_its_own_image(segment, tmp_path, capsys):
    zarr.save_array(tmp_path / "out" / "a.zarr", IMAGE)
    assert segment(tmp_path / "out" / "a.zarr") == 2
    assert "choose another --output folder" in capsys.readouterr().err
    np.testing.assert_array_equal(zarr.open(tmp_path / "out" / "a.zarr", mode="r")[:], IMAGE)


def own_column(file):
    pd.read_csv(file).assign(kind="tumour").to_csv(file, index=False)


def other_picture(file):
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(file)


@pytest.mark.parametrize(
    ("suffix", "change"),
    [
        (".csv", own_column),
        (".csv", lambda file: file.write_text("index,slide\n1,a\n")),
        ("_overlay.png", other_picture),
        ("_semantic.tif", lambda file: tifffile.imwrite(file, IMAGE)),
    ],
)
def test_files_that_were_changed_or_are_no_results_are_replaced_only_if_wished(
    segment, tmp_path, capsys, suffix, change
):
    path, file = write(tmp_path / "a.tif"), tmp_path / "out" / f"a{suffix}"
    assert segment(path) == segment(path) == 0
    change(file)
    before = file.read_bytes()
    assert segment(path) == 2
    assert f"{file} was changed since it was written, or is not from here, and is not rep" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert segment(path, "--overwrite") == 0
    assert file.read_bytes() != before


def test_whether_an_image_is_large_is_found_out_once(segment, tmp_path, monkeypatch):
    asked, is_lazy = [], lazy.is_lazy
    monkeypatch.setattr(lazy, "is_lazy", lambda path, above: asked.append(path.name) or is_lazy(path, above))
    for name in "ab":
        write(tmp_path / "images" / f"{name}.tif")
    assert segment(tmp_path / "images") == 0
    assert sorted(asked) == ["a.tif", "b.tif"]


def test_labels_that_are_corrected_while_a_run_goes_on_are_not_replaced(segment, tmp_path, capsys, monkeypatch):
    for name in "ab":
        write(tmp_path / "images" / f"{name}.tif")
    assert segment(tmp_path / "images") == 0
    labels = tmp_path / "out" / "a_labels.tif"

    def protect_then_correct(*arguments):
        protect(*arguments)
        tifffile.imwrite(labels, np.zeros(IMAGE.shape, np.uint16))

    monkeypatch.setattr("napari_pffnet.commands.segment.protect", protect_then_correct)
    capsys.readouterr()
    assert segment(tmp_path / "images") == 1
    printed = capsys.readouterr()
    assert f"b.tif: {COUNT} nuclei" in printed.out
    assert f"a.tif: {labels} was changed since it was written, or is not from here, and is not" in printed.err
    assert not tifffile.imread(labels).any()


def test_results_are_no_images_where_the_labels_are_gone(segment, tmp_path, capsys):
    write(tmp_path / "out" / "a.tif")
    assert segment(tmp_path / "out") == 0
    (tmp_path / "out" / "a_labels.tif").unlink()
    capsys.readouterr()
    assert segment(tmp_path / "out") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_results_of_large_images_are_no_images(segment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("napari_pffnet.io.lazy.LARGE", 100 * 100)
    tifffile.imwrite(write(tmp_path / "out" / "a.tif"), IMAGE, tile=(64, 64))
    for _ in range(2):
        assert segment(tmp_path / "out") == 0
        assert len(capsys.readouterr().out.splitlines()) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.tif", "a.zarr", "a.csv"}


def test_help_documents_the_files(segment, capsys):
    with pytest.raises(SystemExit, match="0"):
        segment("--help")
    text = capsys.readouterr().out
    assert all(f"NAME{suffix}" in text for suffix in SUFFIXES)


def moving(count=3):
    """The squares, one pixel further down on each plane; the last plane is empty."""
    return np.stack([np.roll(IMAGE, i, 0) if i < count - 1 else IMAGE * 0 for i in range(count)])


def test_all_planes_of_a_stack_in_zarr(segment, tmp_path):
    zarr.save_array(tmp_path / "z.zarr", moving(5))
    assert segment(tmp_path / "z.zarr", "--all-planes", "--link", "--scale", 1) == 0
    labels = tifffile.imread(tmp_path / "out" / "z_labels.tif")
    np.testing.assert_array_equal(np.roll(labels[0], 1, 0)[1:], labels[1][1:])
    assert labels[0].any()
    assert (tmp_path / "out" / "z_linked.csv").is_file()
    for level in (1, "auto"):
        assert segment(tmp_path / "z.zarr", "--all-planes", "--level", level) == 1
    assert segment(tmp_path / "z.zarr", "--plane", 1, "--scale", 1) == 0
    assert (tmp_path / "out" / "z_plane1.zarr").is_dir()


@pytest.mark.parametrize("linked", [True, False])
def test_all_planes_of_a_stack(segment, tmp_path, linked):
    stack = moving()
    tifffile.imwrite(tmp_path / "z.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    assert segment(tmp_path / "z.tif", "--all-planes", *["--link"] * linked, "--scale", 1) == 0
    with tifffile.TiffFile(tmp_path / "out" / "z_labels.tif") as file:
        assert file.series[0].axes == "ZYX"
        labels = file.asarray()
    table = pd.read_csv(tmp_path / "out" / "z.csv")
    assert labels.shape == stack.shape
    assert (labels[0] > 0).sum() == (labels[1] > 0).sum() > 0
    assert not labels[2].any()
    assert (len(table), table["z"].tolist()) == (2 * COUNT, [0] * COUNT + [1] * COUNT)
    for z in (0, 1):
        rows = table[table["z"] == z]
        assert rows["index"].tolist() == np.unique(labels[z])[1:].tolist()
        assert rows["area"].tolist() == np.bincount(labels[z].ravel())[rows["index"]].tolist()
    if linked:
        np.testing.assert_array_equal(np.roll(labels[0], 1, 0)[1:], labels[1][1:])
        nuclei = pd.read_csv(tmp_path / "out" / "z_linked.csv")
        assert (len(nuclei), nuclei["area"].tolist()) == (COUNT, np.bincount(labels.ravel())[1:].tolist())
        assert set(zip(nuclei["z_first"], nuclei["z_last"], nuclei["planes"], strict=True)) == {(0, 1, 2)}
    else:
        assert not set(np.unique(labels[0])) & set(np.unique(labels[1])) - {0}
        assert not (tmp_path / "out" / "z_linked.csv").exists()
    assert tifffile.imread(tmp_path / "out" / "z_semantic.tif").shape == stack.shape
    with Image.open(tmp_path / "out" / "z_overlay.png") as overlay:
        assert overlay.size == (240, 200)


def test_a_short_stack_without_names_of_axes_is_told_to_be_taken_for_colours_or_planes(segment, tmp_path, capsys):
    path = tmp_path / "z.tif"
    tifffile.imwrite(path, moving(), photometric="rgb", planarconfig="separate")
    assert segment(path) == 0
    assert f"note: {path}: its first axis (3) is taken for colours; if it is planes or chan" in capsys.readouterr().err
    assert segment(path, "--all-planes") == 0
    assert "is taken for planes, though the file says colours" in capsys.readouterr().err
    assert tifffile.imread(tmp_path / "out" / "z_labels.tif").shape == (3, 200, 240)
    assert segment(path, "--axes", "zyx", "--all-planes") == 0
    assert "note" not in capsys.readouterr().err
    with tifffile.TiffFile(tmp_path / "out" / "z_labels.tif") as file:
        assert file.series[0].axes == "ZYX"
    assert segment(path, write(tmp_path / "b.tif"), "--axes", "TZYX") == 1
    printed = capsys.readouterr().err
    assert f"failed: {path}: axes=TZYX names 4 axes, but the image has 3 (3×200×240)" in printed
    assert f"failed: {tmp_path / 'b.tif'}: axes=TZYX names 4 axes, but the image has 2" in printed
    with pytest.raises(SystemExit, match="2"):
        segment(path, "--axes", "ZX")
    assert "'ZX' are no axes; give Y, X and the others" in capsys.readouterr().err


def test_of_a_tiff_of_several_images_the_first_is_segmented_and_told(segment, tmp_path, capsys):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(IMAGE)
        file.write(IMAGE[:50])
    assert segment(tmp_path / "a.tif") == 0
    assert "a.tif: holds 2 images; only the first is segmented" in capsys.readouterr().err
    assert tifffile.imread(tmp_path / "out" / "a_labels.tif").shape == IMAGE.shape


def test_series_of_stacks_is_linked_within_each(segment, tmp_path):
    tifffile.imwrite(
        tmp_path / "tz.tif", np.stack([moving(2), moving(2)]), photometric="minisblack", metadata={"axes": "TZYX"}
    )
    assert segment(tmp_path / "tz.tif", "--all-planes", "--link", "--scale", 1) == 0
    labels = tifffile.imread(tmp_path / "out" / "tz_labels.tif")
    assert labels.shape == (2, 2, 200, 240)
    assert not set(np.unique(labels[0])) & set(np.unique(labels[1])) - {0}


@pytest.mark.parametrize(("axes", "shape"), [("TZYX", (2, 1)), ("ZTYX", (1, 2))])
def test_axes_of_length_one_do_not_part_a_series(segment, tmp_path, axes, shape):
    stack = moving(3)[:2].reshape(*shape, 200, 240)
    tifffile.imwrite(tmp_path / "t.tif", stack, photometric="minisblack", metadata={"axes": axes})
    assert segment(tmp_path / "t.tif", "--all-planes", "--link", "--scale", 1) == 0
    with tifffile.TiffFile(tmp_path / "out" / "t_labels.tif") as file:
        assert (file.series[0].axes, file.series[0].shape) == (axes, stack.shape)
    table = pd.read_csv(tmp_path / "out" / "t.csv")
    assert (list(table)[:4], len(table)) == (["index", axes[stack.shape.index(2)].lower(), "y", "x"], 2 * COUNT)
    assert len(pd.read_csv(tmp_path / "out" / "t_linked.csv")) == COUNT


def test_stacks_keep_the_size_of_pixels(segment, tmp_path):
    facts = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "z.tif", moving(), photometric="minisblack", metadata=facts, ome=True)
    assert segment(tmp_path / "z.tif", "--all-planes") == 0
    for suffix in SUFFIXES[:2]:
        array, axes, size = read_image(tmp_path / "out" / f"z{suffix}")
        assert (array.shape, axes, size) == ((3, 200, 240), "ZYX", 0.25)


def test_results_keep_the_place_of_their_image(segment, tmp_path):
    facts = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    tifffile.imwrite(tmp_path / "z.tif", moving(), photometric="minisblack", metadata=facts, ome=True)
    for choice, name in ((["--all-planes"], "z"), (["--plane", 1], "z_plane1")):
        assert segment(tmp_path / "z.tif", "--scale", 1, *choice) == 0
        for suffix in SUFFIXES[:2]:
            with tifffile.TiffFile(tmp_path / "out" / f"{name}{suffix}") as file:
                assert pixel_sizes_of(file) == {"X": 0.25, "Y": 0.5, "Z": 2}
    path = pyramid(tmp_path / "a.zarr", IMAGE, 2)
    multiscales = zarr.open(path).attrs["multiscales"]
    steps = [{"type": "scale", "scale": [4, 2]}, {"type": "translation", "translation": [100, 200]}]
    multiscales[0]["datasets"][1]["coordinateTransformations"] = steps
    zarr.open(path).attrs["multiscales"] = multiscales
    assert segment(path, "--scale", 1, "--level", 1) == 0
    for name in ("nuclei", "semantic"):
        facts = describe(zarr.open(tmp_path / "out" / "a.zarr", mode="r")[f"labels/{name}"])
        assert facts.placements[0] == ((4, 2), (100, 200), (None, None))


@pytest.mark.parametrize("name", ["a.zarr", "a.tif"])
def test_large_stacks_are_not_segmented_in_one_run(segment, tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("napari_pffnet.io.lazy.LARGE", 100 * 100)
    stack = moving(5)
    if name == "a.zarr":
        zarr.save_array(tmp_path / name, stack)
    else:
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    assert segment(tmp_path / name, "--all-planes") == 1
    assert (
        "--all-planes is not for planes of over 64 Mpx; choose one of the 5 planes with --plane N"
        in capsys.readouterr().err
    )
    assert not list((tmp_path / "out").iterdir())
    for plane in (0, 1):
        assert segment(tmp_path / name, "--plane", plane) == 0
        table = pd.read_csv(tmp_path / "out" / f"a_plane{plane}.csv")
        assert (len(table), set(table["z" if name == "a.tif" else "plane"])) == (COUNT, {plane})
    made = {f"a_plane{plane}.{kind}" for plane in (0, 1) for kind in ("zarr", "csv")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == made


def test_all_planes_of_a_single_one_is_that_one(segment, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE[None], photometric="minisblack", metadata={"axes": "ZYX"})
    assert segment(tmp_path / "a.tif", "--all-planes", "--link") == 0
    assert tifffile.imread(tmp_path / "out" / "a_labels.tif").shape == IMAGE.shape
    assert list(pd.read_csv(tmp_path / "out" / "a.csv"))[:4] == ["index", "y", "x", "area"]
    assert set(pd.read_csv(tmp_path / "out" / "a_linked.csv")["planes"]) == {1}


def test_files_are_not_linked_to_each_other_and_that_is_said(segment, tmp_path, capsys):
    paths = [write(tmp_path / name) for name in ("a.tif", "b.tif")]
    assert segment(*paths, "--all-planes", "--link") == 0
    assert capsys.readouterr().err.count("files are not linked to each other") == 1
    assert segment(paths[0], "--all-planes", "--link", "--overwrite") == 0
    assert "not linked" not in capsys.readouterr().err


def test_linking_needs_all_planes(segment, tmp_path, capsys):
    path = write(tmp_path / "a.tif")
    assert segment(path, "--link") != 0
    assert "--link needs --all-planes" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        segment(path, "--all-planes", "--plane", 1)


def pyramid(folder, image, count, size=None):
    """An OME-Zarr with smaller copies."""
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    unit = {"unit": "micrometer"} if size else {}
    levels = []
    for level in range(count):
        part = image[:: 2**level, :: 2**level]
        group.create_array(str(level), shape=part.shape, chunks=(64, 64), dtype=part.dtype)[:] = part
        scale = [(size or 1) * 2**level] * 2
        levels.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    axes = [{"name": name, "type": "space", **unit} for name in "yx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    return folder


def test_the_size_of_pixels_is_used_and_handed_on(segment, tmp_path, monkeypatch):
    sizes = []

    def estimate(segmenter, image, pixel_size, _cancelled):
        sizes.append(pixel_size)

    monkeypatch.setattr("napari_pffnet.segment.size.estimate_diameter", estimate)
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.25})
    assert segment(tmp_path / "a.ome.tif") == 0
    assert sizes == [0.25]
    for kind in ("labels", "semantic"):
        assert read_image(tmp_path / "out" / f"a.ome_{kind}.tif")[2] == 0.25


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_areas_are_in_square_micrometres_too_where_pixels_have_a_size(segment, tmp_path, kind):
    if kind == "tif":
        facts = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tifffile.imwrite(tmp_path / "a.tif", IMAGE, ome=True, metadata=facts)
    else:
        pyramid(tmp_path / "a.zarr", IMAGE, 1, 0.5)
    assert segment(tmp_path / f"a.{kind}") == 0
    table = pd.read_csv(tmp_path / "out" / "a.csv")
    np.testing.assert_allclose(table["area_um2"], table["area"] / 4)


def test_tables_of_stacks_agree_with_counted_voxels(segment, tmp_path):
    facts = {"axes": "TZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2}
    shrinking = moving()
    shrinking[1] *= np.arange(240) % 17 < 9  # the nuclei of the second plane are smaller, and elsewhere
    tifffile.imwrite(tmp_path / "a.tif", np.stack([moving(), shrinking]), ome=True, metadata=facts)
    assert segment(tmp_path / "a.tif", "--all-planes", "--link", "--scale", 1) == 0
    labels = tifffile.imread(tmp_path / "out" / "a_labels.tif")
    rows = pd.read_csv(tmp_path / "out" / "a.csv")
    assert list(rows)[:7] == ["index", "t", "z", "y", "x", "area", "area_um2"]
    assert len(rows) == sum(len(np.unique(plane)) - 1 for plane in labels.reshape(-1, 200, 240))
    for row in rows.sample(40, random_state=0).itertuples():
        y, x = np.nonzero(labels[row.t, row.z] == row.index)
        assert (row.area, row.area_um2) == (len(y), len(y) / 8)
        np.testing.assert_allclose((row.y, row.x), (y.mean(), x.mean()), atol=1e-4)
    nuclei = pd.read_csv(tmp_path / "out" / "a_linked.csv")
    assert nuclei["index"].tolist() == np.unique(labels)[1:].tolist()
    for row in nuclei.sample(40, random_state=0).itertuples():
        t, z, y, x = np.nonzero(labels == row.index)
        assert (row.area, row.volume_um3, row.planes) == (len(y), len(y) / 4, np.ptp(z) + 1)
        assert (row.t_first, row.t_last, row.z_first, row.z_last) == (t.min(), t.max(), z.min(), z.max())
        np.testing.assert_allclose((row.z, row.y, row.x), (z.mean(), y.mean(), x.mean()), atol=1e-4)
        np.testing.assert_allclose(row.score, rows["score"][rows["index"] == row.index].mean(), atol=1e-4)


def test_a_plane_is_part_of_the_names_of_its_results(segment, tmp_path, capsys):
    path = write(tmp_path / "out" / "a.tif", np.stack([0 * IMAGE, IMAGE, IMAGE[::-1], 0 * IMAGE, IMAGE]))
    for plane, count in ((0, 0), (1, COUNT), (2, COUNT)):
        assert segment(path, "--plane", plane) == 0
        assert f"a_plane{plane}_labels.tif" in capsys.readouterr().out
        table = pd.read_csv(tmp_path / "out" / f"a_plane{plane}.csv")
        assert (list(table)[:3], table["plane"].tolist()) == (["index", "plane", "y"], [plane] * count)
    assert segment(path.parent, "--plane", 1) == 0, "results are no images"
    assert len(capsys.readouterr().out.splitlines()) == 1
    tifffile.imwrite(path.with_name("a_plane1_labels.tif"), IMAGE.astype(np.uint16))
    assert segment(path.parent, "--plane", 2) == 0, "nor are those that were corrected"
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert segment(path.parent, "--plane", 1) == 2
    assert "a_plane1_labels.tif was changed since" in capsys.readouterr().err


def test_links_of_an_earlier_run_do_not_stay_beside_other_labels(segment, tmp_path):
    path = write(tmp_path / "a.tif", np.stack([IMAGE] * 5))
    linked = tmp_path / "out" / "a_linked.csv"
    assert segment(path, "--all-planes", "--link") == segment(path, "--all-planes", "--link") == 0
    assert linked.exists()
    assert segment(path, "--all-planes") == 0
    assert not linked.exists()
    linked.write_text("notes\n")
    assert segment(path, "--all-planes") == 1, "it would be taken for that of the new labels"
    assert linked.read_text() == "notes\n"
    assert segment(path, "--all-planes", "--link") == 2
    assert segment(path, "--all-planes", "--overwrite") == 0
    assert not linked.exists()
    beside = write(tmp_path / "b.tif", IMAGE).name.replace(".tif", "_linked.csv")
    (tmp_path / "out" / beside).write_text("mine\n")
    assert segment(tmp_path / "b.tif", "--overwrite") == 0
    assert (tmp_path / "out" / beside).read_text() == "mine\n", "of no stack it says nothing"


def test_blank_planes_of_a_stack_are_not_looked_at_and_progress_counts_planes(segment, tmp_path, monkeypatch, capsys):
    looked, find = [], BrightSquares.predict
    monkeypatch.setattr(BrightSquares, "predict", lambda self, features: looked.append(1) or find(self, features))
    monkeypatch.setitem(IN_FILES, "delay", 0)
    monkeypatch.setitem(IN_FILES, "mininterval", 0)
    path = write(tmp_path / "a.tif", np.stack([0 * IMAGE + 7, IMAGE, IMAGE, 0 * IMAGE, 0 * IMAGE]))
    assert segment(path, "--all-planes", "--scale", 1) == 0
    assert len(looked) == 2
    assert "3/5" in (told := capsys.readouterr().err)
    assert "plane" in told
    blank = write(tmp_path / "b.tif", np.zeros((5, 200, 240), np.uint8))
    assert segment(blank, "--all-planes", "--link", "--scale", 1) == 0
    assert len(pd.read_csv(tmp_path / "out" / "b.csv")) == len(pd.read_csv(tmp_path / "out" / "b_linked.csv")) == 0
    assert tifffile.imread(tmp_path / "out" / "b_labels.tif").shape == (5, 200, 240)


@pytest.mark.parametrize("known", [True, False])
def test_level_is_chosen_by_the_size_of_the_nuclei(segment, tmp_path, capsys, monkeypatch, known):
    monkeypatch.setattr("napari_pffnet.segment.levels.estimate_diameter", lambda segmenter, part, size: 25.0)
    path = pyramid(tmp_path / "a.zarr", np.kron(IMAGE, np.ones((2, 2), IMAGE.dtype)), 3)
    given = ("--diameter", 25) if known else ()
    assert segment(path, "--level", "auto", *given) == 0
    printed = capsys.readouterr()
    assert "a.zarr: level 1 of 0 to 2, 200 × 240 (nuclei of about 25 pixels at level 0)" in printed.err
    assert zarr.open(tmp_path / "out" / "a.zarr")["labels/nuclei/0"].shape == IMAGE.shape
    assert len(pd.read_csv(tmp_path / "out" / "a.csv")) == COUNT


def test_quick_look_is_made_where_the_pixels_have_the_usual_size(segment, tmp_path, monkeypatch, capsys):
    looked = []

    def estimate(segmenter, part, pixel_size):
        looked.append(part.shape)
        return 12.0

    monkeypatch.setattr("napari_pffnet.segment.levels.estimate_diameter", estimate)
    path = pyramid(tmp_path / "a.zarr", np.kron(IMAGE, np.ones((2, 2), IMAGE.dtype)), 3, size=0.15)
    assert segment(path, "--level", "auto") == 0
    assert looked == [(200, 240)]
    assert "nuclei of about 24 pixels at level 0" in capsys.readouterr().err


def test_nuclei_that_are_very_large_at_level_0_are_seen_at_a_smaller_one(tmp_path, capsys):
    image = u2os()[0][0][:256, :256]
    truth = relabel_sequential(u2os()[1][0][:256, :256])[0]
    size, trained = typical_diameter(areas(truth)), load_model().config.diameter
    path = pyramid(tmp_path / "a.zarr", np.kron(image, np.ones((4, 4), image.dtype)), 4)
    arguments = ["segment", str(path), "--output", str(tmp_path / "out"), "--device", "cpu", "--level", "auto"]
    assert main(arguments) == 0
    level = suitable_level([1, 2, 4, 8], 4 * size, trained)
    assert level > 0
    assert f"a.zarr: level {level} of 0 to 3" in capsys.readouterr().err
    labels = zarr.open(tmp_path / "out" / "a.zarr", mode="r")["labels/nuclei/0"][:]
    assert labels.shape == (1024 // 2**level,) * 2
    assert labels.max() == pytest.approx(truth.max(), rel=0.3)


def test_a_diameter_at_level_0_becomes_that_of_the_level_that_is_chosen(segment, tmp_path, monkeypatch):
    seen = []

    def segment_large(plane, segmenter, *_, **__):
        seen.append((plane.shape, segmenter.config.diameter))
        return LargeResult(None, None, 0, 1.0)

    monkeypatch.setattr("napari_pffnet.segment.large.segment_large", segment_large)
    path = pyramid(tmp_path / "a.zarr", np.kron(IMAGE, np.ones((2, 2), IMAGE.dtype)), 3)
    assert segment(path, "--level", "auto", "--diameter", 30) == 0
    assert segment(path, "--level", 1, "--diameter", 30) == 0
    assert seen == [((200, 240), 15), ((200, 240), 30)]


def test_a_pyramid_that_is_broken_is_reported_and_the_rest_goes_on(segment, tmp_path, capsys):
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).attrs["multiscales"] = [{"version": "0.4"}]
    zarr.save_array(tmp_path / "b.zarr", IMAGE)
    assert segment(tmp_path / "a.zarr", tmp_path / "b.zarr", "--level", "auto") == 1
    printed = capsys.readouterr()
    assert f"failed: {tmp_path / 'a.zarr'}: cannot be read" in printed.err
    assert f"b.zarr: {COUNT} nuclei in" in printed.out


def test_a_damaged_chunk_is_reported_and_the_rest_goes_on(segment, tmp_path, capsys):
    zarr.create_array(tmp_path / "a.zarr", data=IMAGE, zarr_format=2, compressors=numcodecs.GZip())
    chunk = next(path for path in (tmp_path / "a.zarr").iterdir() if path.name.startswith("0"))
    chunk.write_bytes(chunk.read_bytes()[:40])
    zarr.save_array(tmp_path / "b.zarr", IMAGE)
    assert segment(tmp_path / "a.zarr", tmp_path / "b.zarr") == 1
    printed = capsys.readouterr()
    assert f"failed: {tmp_path / 'a.zarr'}: cannot be read" in printed.err
    assert f"b.zarr: {COUNT} nuclei in" in printed.out


@pytest.mark.parametrize("text", ["x", "-1", "1.5"])
def test_a_level_is_a_number_or_auto(segment, tmp_path, capsys, text):
    with pytest.raises(SystemExit, match="2"):
        segment(write(tmp_path / "a.tif"), f"--level={text}")
    assert f"'{text}' is no level; give a number, 0 is the largest, or auto" in capsys.readouterr().err


@pytest.mark.parametrize(("where", "given"), [("image.zarr", "."), ("image.zarr/0", "..")])
def test_a_folder_given_as_a_dot_has_its_own_name(segment, tmp_path, monkeypatch, where, given):
    pyramid(tmp_path / "image.zarr", IMAGE, 1)
    monkeypatch.chdir(tmp_path / where)
    assert segment(given) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"image.zarr", "image.csv"}
    assert {path.name for path in tmp_path.iterdir()} == {"image.zarr", "out"}


def test_whatever_is_wrong_with_an_image_the_rest_goes_on(segment, tmp_path, capsys, monkeypatch):
    def strange(path, *_choice):
        if path.name == "a.tif":
            raise KeyError("strange")
        return read_plane(path)

    monkeypatch.setattr(lazy, "read_plane", strange)
    paths = [write(tmp_path / name, IMAGE.astype(kind)) for name, kind in (("a.tif", "f4"), ("b.tif", "c8"))]
    assert segment(*paths, write(tmp_path / "c.tif"), "--scale", 1) == 1
    printed = capsys.readouterr()
    assert f"failed: {paths[0]}: KeyError('strange')" in printed.err
    assert f"failed: {paths[1]}: expected an image of real numbers, given complex64" in printed.err
    assert f"c.tif: {COUNT} nuclei in" in printed.out


def test_levels_are_for_large_pyramids(segment, tmp_path, capsys):
    zarr.save_array(tmp_path / "b.zarr", IMAGE)
    assert segment(write(tmp_path / "a.tif"), tmp_path / "b.zarr", "--level", 1) == 1
    printed = capsys.readouterr().err
    assert "a.tif: --level 1 is for OME-Zarr folders and TIFFs over 64 Mpx; leave it out" in printed
    assert "b.zarr: has no level 1; it is no pyramid, its only level is 0" in printed
    assert segment(tmp_path / "b.zarr", "--level", "auto") == 0


def test_tiles_of_an_earlier_run_do_not_count_as_speed():
    with tqdm(file=StringIO(), mininterval=0) as bar:
        _begin(bar, 100, 200)
        sleep(0.02)
        bar.update(1)
        assert (bar.n, bar.total) == (101, 200)
        assert bar.format_dict["rate"] < 60, "a tile in 0.02 s, not 101"
