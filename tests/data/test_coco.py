import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from napari_pffnet.data.coco import decode, encode
from napari_pffnet.data.opening import check, open_source
from napari_pffnet.data.sources import DataError

SHAPE = (20, 30)
SQUARE = [[4, 3, 10, 3, 10, 8, 4, 8]]


def rectangle(y0, y1, x0, x1):
    mask = np.zeros(SHAPE, np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def compressed(mask):
    runs = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(SHAPE), "counts": runs["counts"].decode()}


def uncompressed(mask):
    changes = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel(order="F")])))
    return {"size": list(SHAPE), "counts": np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()}


def write_coco(folder, annotations, image=SHAPE, place="images", name="data.json", **entry):
    (folder / place).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(image, np.uint8)).save(folder / place / "a.png")
    images = [{"id": 7, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1], **entry}]
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    annotations = [{"id": i, "image_id": 7, **annotation} for i, annotation in enumerate(annotations)]
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


def test_polygons_and_run_lengths_become_labels(tmp_path):
    one, two = rectangle(10, 14, 2, 9), rectangle(12, 18, 20, 28)
    segmentations = [SQUARE, compressed(one), uncompressed(two)]
    source = open_source(write_coco(tmp_path, [{"segmentation": s} for s in segmentations]))
    check([source])
    sample = source.read(0)
    assert (len(source), sample.name, sample.semantic) == (1, "a", None)
    np.testing.assert_array_equal(sample.labels, rectangle(3, 8, 4, 10) + 2 * one + 3 * two)


def test_the_smaller_nucleus_is_in_front(tmp_path):
    small, large = rectangle(5, 8, 5, 8), rectangle(2, 15, 2, 15)
    annotations = [{"segmentation": compressed(mask)} for mask in (small, large)]
    labels = open_source(write_coco(tmp_path, annotations)).read(0).labels
    np.testing.assert_array_equal(labels, np.where(small, 1, 2 * large))


def test_crowds_are_ignored(tmp_path):
    crowd = {"segmentation": uncompressed(rectangle(0, 6, 0, 30)), "iscrowd": 1}
    sample = open_source(write_coco(tmp_path, [{"segmentation": SQUARE}, crowd])).read(0)
    nucleus = rectangle(3, 8, 4, 10)
    np.testing.assert_array_equal(sample.labels, nucleus)
    np.testing.assert_array_equal(sample.semantic, np.where(nucleus, 1, 255 * rectangle(0, 6, 0, 30)))


def test_semantic_folder_is_used(tmp_path):
    write_coco(tmp_path, [{"segmentation": SQUARE}])
    (tmp_path / "semantic").mkdir()
    Image.fromarray(rectangle(0, 20, 0, 15)).save(tmp_path / "semantic" / "a.png")
    np.testing.assert_array_equal(open_source(tmp_path).read(0).semantic, rectangle(0, 20, 0, 15))


def with_two(folder, *files):
    """Images of these names, bright as 1, 2, …, without nuclei."""
    for value, file in enumerate(files, start=1):
        (folder / file).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full(SHAPE, value, np.uint8)).save(folder / file)
    images = [{"id": i, "file_name": file} for i, file in enumerate(files)]
    (folder / "data.json").write_text(json.dumps({"images": images, "annotations": []}))
    return open_source(folder / "data.json")


def test_files_of_one_name_in_different_folders_are_different_images(tmp_path):
    source = with_two(tmp_path, "one/a.png", "two/a.png", "two/b.png")
    for folder, value in (("one", 255), ("two", 0)):
        (tmp_path / "semantic" / folder).mkdir(parents=True)
        Image.fromarray(np.full(SHAPE, value, np.uint8)).save(tmp_path / "semantic" / folder / "a.png")
    check([source])
    samples = [source.read(i) for i in range(3)]
    assert [sample.name for sample in samples] == ["one-a", "two-a", "b"]
    assert [int(sample.image[0, 0]) for sample in samples] == [1, 2, 3]
    assert [sample.semantic is not None and int(sample.semantic[0, 0]) for sample in samples] == [255, 0, False]


def test_absolute_names_are_no_semantic_maps(tmp_path):
    source = with_two(tmp_path, str(tmp_path / "one" / "a.png"), str(tmp_path / "two" / "a.png"))
    check([source])
    names = [source.name(i) for i in range(2)]
    assert all(name.endswith(f"-{folder}-a") for name, folder in zip(names, ("one", "two"), strict=True))
    assert not names[0].startswith(("/", "-"))
    assert source.read(0).semantic is None


def test_images_that_cannot_be_told_apart_are_named(tmp_path):
    with pytest.raises(DataError, match="2 images are named a; give each file its own name"):
        check([with_two(tmp_path, "a.png", "a.tif")])


@pytest.mark.parametrize(
    ("place", "name"), [("", "x.json"), ("images", "x.json"), ("train", "annotations/instances_train.json")]
)
def test_images_are_found_in_the_usual_places(tmp_path, place, name):
    check([open_source(write_coco(tmp_path, [], place=place, name=name))])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"annotations": [{"segmentation": []}]}, "annotation 0 of a.png: no segmentation"),
        ({"annotations": [{}]}, "annotation 0 of a.png: no segmentation"),
        ({"annotations": [{"segmentation": [[1, 2, 3, 4]]}]}, "at least three points"),
        ({"annotations": [{"segmentation": [["x", 2, 3, 4, 5, 6]]}]}, "annotation 0 of a.png"),
        ({"annotations": [{"segmentation": {"size": [4, 4], "counts": [16]}}]}, "run lengths for 4×4, but .* 20×30"),
        ({"annotations": [{"segmentation": {"size": [20, 30], "counts": [5, 9]}}]}, "cover 14 pixels of 600"),
        ({"annotations": [], "image": (20, 31)}, "the image is 20×31 but data.json says 20×30"),
        ({"annotations": [], "file_name": "b.png"}, "image b.png not found in"),
        ({"annotations": [], "id": 8}, None),
        ({"annotations": [{}], "id": 8}, "image_id 7 of 1 annotations is not in 'images'"),
    ],
)
def test_faults_are_named(tmp_path, arguments, message):
    source = open_source(write_coco(tmp_path, **arguments))
    if message is None:
        check([source])
    else:
        with pytest.raises(DataError, match=message):
            check([source])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged JSON"),
        ("[]", "no list 'images'"),
        ('{"images": [{"id": 1}], "annotations": []}', "an entry of 'images' lacks"),
        ('{"images": [], "annotations": []}', "'images' is empty"),
        (
            '{"images": [{"id": 1, "file_name": "s.tif", "plane": {"z": 0, "t": 0}}], "annotations": []}',
            r"1 of 1 images are planes of stacks \(s.tif\); save each plane as an image of its own",
        ),
        ('{"images": [{"id": 1, "file_name": 5}], "annotations": []}', "ids are numbers, file names are text"),
        ('{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": [1]}]}', "ids are numbers"),
    ],
)
def test_what_is_no_coco_file_is_said_when_opening(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / "a.json")


def test_compressed_runs_are_those_of_pycocotools_and_damage_is_found():
    mask = np.random.default_rng(0).random(SHAPE) < 0.2
    mask[5:15, 4:26] = True
    runs = compressed(mask.astype(np.uint8))
    np.testing.assert_array_equal(decode(encode(runs, SHAPE), SHAPE), mask)
    with pytest.raises(ValueError, match="damaged run lengths"):
        encode({**runs, "counts": runs["counts"][:-4]}, SHAPE)
