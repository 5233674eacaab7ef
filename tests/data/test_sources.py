import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import write_folder
from napari_pffnet.data.annotation import check_pieces
from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.opening import check, open_source
from napari_pffnet.data.sources import DataError


def test_folder_reads_images_labels_and_semantic_maps(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "semantic").mkdir()
    semantic = np.zeros((96, 128), np.uint8)
    semantic[:3], semantic[3:6] = 1, 255
    Image.fromarray(semantic).save(tmp_path / "semantic" / "1.png")
    source = open_source(tmp_path)
    check([source])
    first, second = source.read(0), source.read(1)
    assert (len(source), source.name(1), first.name) == (2, "1", "0")
    assert (first.image.shape, first.image.dtype) == ((96, 128), np.uint8)
    assert (first.labels.dtype, first.labels.max(), first.semantic) == (np.int32, 2, None)
    np.testing.assert_array_equal(second.semantic, semantic)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((96, 128), 0.5, np.float32), "labels are float32; save integers"),
        (np.full((96, 128), np.nan, np.float32), "labels are float32; save integers"),
        (np.ones((96, 128, 3), np.uint8), "labels are a colour image; save one integer id per nucleus"),
        (np.ones((96, 127), np.uint8), "labels are 96×127 but the image is 96×128"),
        (-np.ones((96, 128), np.int16), "labels are negative"),
    ],
)
def test_faulty_labels(tmp_path, labels, message):
    write_folder(tmp_path, count=1)
    photometric = "rgb" if labels.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "labels" / "0.tif", labels, photometric=photometric)
    with pytest.raises(DataError, match=rf"0.tif: {message}"):
        check([open_source(tmp_path)])


def test_ids_may_be_whole_numbers_of_any_type(tmp_path):
    write_folder(tmp_path, count=1)
    file = tmp_path / "labels" / "0.tif"
    before = open_source(tmp_path).read(0).labels
    tifffile.imwrite(file, tifffile.imread(file).astype(np.float32))
    check([open_source(tmp_path)])
    np.testing.assert_array_equal(open_source(tmp_path).read(0).labels, before)


def test_a_mask_instead_of_labels_is_found(tmp_path):
    write_folder(tmp_path, count=1)
    mask = np.zeros((96, 128), np.uint8)
    mask[::8, ::8] = 255
    tifffile.imwrite(tmp_path / "labels" / "0.tif", mask)
    with pytest.raises(DataError, match=r"0.tif: a mask, not labels: 255 is the only id"):
        check([open_source(tmp_path)])


def test_what_is_no_labels_is_refused_and_what_is_stays(tmp_path):
    noise = np.random.default_rng(0).integers(0, 60000, (64, 64)).astype(np.uint16)
    classes = np.kron(np.random.default_rng(1).integers(0, 3, (16, 16)), np.ones((4, 4), int))
    squares = np.kron(np.arange(1, 17).reshape(4, 4), np.pad(np.ones((4, 4), int), 2))
    halves = np.where(squares > 8, 255, 0)
    halves[:, 8:] = 0
    for name, labels, message in (
        ("noise", noise, "an image, not labels: its .* values lie in many pieces"),
        ("grey", noise // 600, "an image, not labels: its 99 values lie"),
        ("classes", classes, "a mask, not labels: its 2 values lie in many pieces"),
        ("saved", halves, "a mask, not labels: 255 is the only id and lies in many pieces .2."),
        ("background", np.where(squares, squares, 17), "17 covers most of it, and nothing is 0"),
        ("nuclei", squares, None),
        ("one", squares == 6, None),
        ("dots", np.where(np.indices((64, 64)).sum(0) % 5 < 2, 0, squares.repeat(2, 0).repeat(2, 1)), None),
        ("none", squares * 0, None),
    ):
        file = tmp_path / f"{name}.tif"
        if message is None:
            check_pieces(file, labels.astype(np.uint16))
        else:
            with pytest.raises(DataError, match=f"{name}.tif: {message}"):
                check_pieces(file, labels.astype(np.uint16))


def test_labels_are_found_by_the_names_that_programs_give_them(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    nuclei = np.zeros((8, 9), np.uint16)
    nuclei[2:5, 2:5] = 3
    for name in ("a", "b", "c.ome", "my_mask", "e"):
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", np.ones((8, 9), np.uint8))
    for name in ("a_labels", "b_cp_masks", "c_seg", "my_mask", "e", "e_mask"):
        tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", nuclei)
    for name in ("a_semantic", "a_overlay"):
        tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", nuclei)
    source = FolderSource(tmp_path)
    assert [source.name(index) for index in range(len(source))] == ["a", "b", "c.ome", "e", "my_mask"]
    assert all(source.read(index).labels.max() == 1 for index in range(len(source)))
    assert source.faults() == [f"{tmp_path / 'labels' / 'e_mask.tif'}: same name as e.tif; remove one of them"]


@pytest.mark.parametrize("values", [(0, 2), (0, 255), (0, 128)])
def test_faulty_semantic_map(tmp_path, values):
    write_folder(tmp_path, count=1)
    (tmp_path / "semantic").mkdir()
    Image.fromarray(np.resize(np.array(values, np.uint8), (96, 128))).save(tmp_path / "semantic" / "0.png")
    with pytest.raises(DataError, match=rf"0.png: the semantic map holds {values[0]}, {values[1]}; save 0 background"):
        check([open_source(tmp_path)])


def test_one_report_lists_every_fault_of_every_folder(tmp_path):
    one, two = write_folder(tmp_path / "one"), write_folder(tmp_path / "two", count=3)
    (one / "labels" / "0.tif").unlink()
    (one / "images" / "1.png").write_bytes(b"")
    (two / "images" / "0.tif").write_bytes(b"no image")
    (two / "images" / "1.tif").unlink()
    tifffile.imwrite(two / "images" / "2.tif", np.zeros((2, 96, 128), np.uint8), metadata={"axes": "CYX"})
    with pytest.raises(DataError) as error:
        check([open_source(one), open_source(two)])
    lines = str(error.value).splitlines()
    assert lines[0] == f"{len(lines) - 1} problems in the data:"
    for start in (
        f"  {one / 'images' / '0.tif'}: no label image of this name",
        f"  {one / 'images' / '1.tif'}: same name as 1.png",
        f"  {two / 'labels' / '1.tif'}: no image of this name",
        f"  {two / 'images' / '0.tif'}: cannot be read",
        f"  {two / 'images' / '2.tif'}: the image has 2 channels (axis C)",
    ):
        assert any(line.startswith(start) for line in lines), start


def test_what_is_no_data_is_said_when_opening(tmp_path):
    with pytest.raises(DataError, match="no such folder; expected images"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="neither images/ with labels/ nor a COCO"):
        open_source(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match=r"several JSON files \(a.json, b.json\)"):
        open_source(tmp_path)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="no image; expected files that end in"):
        open_source(tmp_path)
