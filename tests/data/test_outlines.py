"""Outlines of QuPath and ImageJ, drawn as labels."""

import json
from zipfile import ZipFile

import numpy as np
import pytest
import roifile
import tifffile

from napari_pffnet.data.folder import FolderSource
from napari_pffnet.data.outline_files import Where
from napari_pffnet.data.outlines import draw_planes, read_objects, read_outlines
from napari_pffnet.data.sources import DataError
from napari_pffnet.io.export import write_geojson, write_rois
from napari_pffnet.io.place import Place, Spot
from napari_pffnet.io.regions import Regions
from napari_pffnet.labels import IGNORE
from napari_pffnet.synthetic import synthetic_nuclei

SHAPE = (30, 40)
LABELS = np.zeros(SHAPE, np.int32)
LABELS[2:9, 3:12] = 70000
LABELS[15, 15] = LABELS[17, 17] = LABELS[16:, 30:] = 4  # in pieces, at the edge


def square(y, x, size):
    return [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]


def feature(*rings, kind="detection", **more):
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {"objectType": kind},
        **more,
    }


def geojson(path, *features, together=True):
    features = list(features)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features} if together else features))
    return path


def roi(corners, kind=roifile.ROI_TYPE.TRACED, **facts):
    made = roifile.ImagejRoi.frompoints(np.array(corners), **facts)
    made.roitype = kind
    return made


@pytest.mark.parametrize("labels", [LABELS, synthetic_nuclei((90, 120), 12, 3)[1], 0 * LABELS])
def test_what_is_exported_is_read_back_pixel_by_pixel(labels, tmp_path):
    write_geojson(tmp_path / "a.geojson", labels)
    write_rois(tmp_path / "a.zip", labels)
    np.testing.assert_array_equal(read_outlines(tmp_path / "a.geojson", labels.shape)[0], labels)
    np.testing.assert_array_equal(read_outlines(tmp_path / "a.zip", labels.shape)[0], labels)


@pytest.mark.parametrize("axes", ["TZYX", "ZTYX", "ZYX", "TYX", "IQYX"])
def test_stacks_are_read_back_with_their_planes(axes, tmp_path):
    stack = np.zeros((2, 3, *SHAPE), np.int32)
    stack[:, 1], stack[1, 2, 20:25, 3:9] = LABELS, 9
    stack = stack[1] if len(axes) == 3 else stack
    place = Place.of_all(stack.shape, axes)
    write_geojson(tmp_path / "a.geojson", stack, place=place)
    write_rois(tmp_path / "a.zip", stack, place)
    for file in (tmp_path / "a.geojson", tmp_path / "a.zip"):
        np.testing.assert_array_equal(draw_planes(file, read_objects(file), stack.shape, place), stack)
        with pytest.raises(DataError, match=r"of [23] planes of a stack; save those of one plane"):
            read_outlines(file, SHAPE)


def test_outlines_that_name_no_plane_lie_on_the_one_in_view(tmp_path):
    rois = [roi(square(2, 2, 3), name="a", position=2), roi(square(9, 9, 3), name="b")]
    roifile.roiwrite(tmp_path / "a.zip", rois, mode="w")
    found, place = read_objects(tmp_path / "a.zip"), Place.of_all((4, *SHAPE))
    labels = draw_planes(tmp_path / "a.zip", found, place.whole, place, Spot(1, 0))
    assert [np.unique(plane).tolist() for plane in labels] == [[0], [0, 2], [0, 1], [0]]
    with pytest.raises(DataError, match="1 of 2 outlines name no plane"):
        draw_planes(tmp_path / "a.zip", found, place.whole, place)
    with pytest.raises(DataError, match="outlines on plane z=2 t=0, but the image has z=0 to 1, t=0 to 0"):
        draw_planes(tmp_path / "a.zip", found, (2, *SHAPE), Place.of_all((2, *SHAPE)), Spot(0, 0))


def test_qupath_leaves_out_the_first_plane(tmp_path):
    objects = [feature(square(2, 2, 3)), feature(square(9, 9, 3))]
    objects[1]["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    found = read_objects(geojson(tmp_path / "a.geojson", *objects))
    assert [each.where for each in found] == [Where(0, 0), Where(3, 0)]


def test_holes_are_empty_and_the_smaller_of_two_is_in_front(tmp_path):
    file = geojson(tmp_path / "a.geojson", feature(square(9, 9, 2)), feature(square(1, 1, 10), square(2, 2, 3)))
    labels, _ = read_outlines(file, SHAPE)
    assert not labels[2:5, 2:5].any()
    assert (labels[9:11, 9:11] == 1).all()
    assert np.count_nonzero(labels == 2) == 100 - 9 - 4


def test_of_cells_the_nucleus_counts_and_regions_lines_and_points_do_not(tmp_path):
    inner = {"type": "Polygon", "coordinates": [square(4, 4, 3)]}
    cell = feature(square(2, 2, 9), kind="cell", nucleusGeometry=inner)
    point = feature(kind="annotation") | {"geometry": {"type": "Point", "coordinates": [3, 3]}}
    region = feature(square(0, 0, 29), kind="annotation")
    tile = feature(square(20, 20, 3), kind="tile")
    by_hand = feature(square(15, 15, 5), kind="annotation")
    file = geojson(tmp_path / "a.geojson", region, cell, point, tile, by_hand, together=False)
    labels, regions = read_outlines(file, SHAPE)
    expected = np.zeros(SHAPE, int)
    expected[4:7, 4:7], expected[15:20, 15:20] = 1, 2
    np.testing.assert_array_equal(labels, expected)
    inside = np.zeros(SHAPE, bool)
    inside[:29, :29] = True
    np.testing.assert_array_equal(Regions(areas=regions).mask(SHAPE), inside)


@pytest.mark.parametrize(
    ("objects", "nuclei", "regions"),
    [
        ([feature(square(0, 0, 20), kind="annotation"), feature(square(4, 4, 3))], 1, 1),
        ([feature(square(0, 0, 20), kind="annotation"), feature(square(25, 25, 3))], 1, 1),  # without nuclei
        ([feature(square(0, 0, 4), kind="annotation"), feature(square(25, 25, 3))], 2, 0),  # drawn by hand
        ([feature(square(0, 0, 9), kind="annotation"), feature(square(2, 2, 2), kind="annotation")], 2, 0),
        ([{**feature(square(0, 0, 9), kind="annotation"), "id": "x"}], 1, 0),
    ],
)
def test_what_is_a_region(tmp_path, objects, nuclei, regions):
    labels, found = read_outlines(geojson(tmp_path / "a.geojson", *objects), SHAPE)
    assert (len(np.unique(labels)) - 1, len(found)) == (nuclei, regions)


def test_a_class_of_regions_is_one_whatever_it_holds(tmp_path):
    region = feature(square(0, 0, 9), kind="annotation")
    region["properties"]["classification"] = {"name": "Region*"}
    labels, found = read_outlines(geojson(tmp_path / "a.geojson", region), SHAPE)
    assert not labels.any()
    assert len(found) == 1


def test_what_qupath_ignores_is_neither_a_region_nor_a_nucleus(tmp_path):
    ignored = feature(square(0, 0, 20), kind="annotation")
    ignored["properties"]["classification"] = {"name": "Ignore*"}
    labels, regions = read_outlines(geojson(tmp_path / "a.geojson", ignored, feature(square(4, 4, 3))), SHAPE)
    assert np.count_nonzero(labels) == 9
    assert regions == ()


def test_a_class_that_is_a_text_is_one(tmp_path):
    region = feature(square(0, 0, 9), kind="annotation")
    region["properties"]["classification"] = "Region*"
    assert len(read_outlines(geojson(tmp_path / "a.geojson", region), SHAPE)[1]) == 1


def test_names_that_qupath_had_before_for_kinds_of_objects(tmp_path):
    cell = {**feature(square(2, 2, 9)), "nucleusGeometry": {"type": "Polygon", "coordinates": [square(4, 4, 3)]}}
    cell["properties"] = {}
    old = [{**cell, "id": "PathCellObject"}, {**feature(square(20, 20, 3)), "properties": {}, "id": "PathTileObject"}]
    core = feature(square(0, 0, 20))
    core["properties"] = {"object_type": "tma_core"}
    nothing = {"type": "Feature", "geometry": None, "properties": {}}
    labels, _ = read_outlines(geojson(tmp_path / "a.geojson", *old, core, nothing), SHAPE)
    assert np.count_nonzero(labels) == 9


def test_sets_of_rois_that_were_packed_anew(tmp_path):
    content = roi(square(2, 3, 4), name="7").tobytes()
    with ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("RoiSet/", "__MACOSX/RoiSet/._7.roi", "RoiSet/._7.roi", "notes.txt"):
            file.writestr(name, b"rubbish")
        file.writestr("RoiSet/7.roi", content)
    assert np.count_nonzero(read_outlines(tmp_path / "a.zip", SHAPE)[0] == 7) == 16


def test_pieces_are_told_from_two_rois_of_one_name(tmp_path):
    def areas(*names):
        rois = [roi(square(3 * i, 5 * i, 2), name=name) for i, name in enumerate(names)]
        roifile.roiwrite(tmp_path / "a.zip", rois, mode="w")
        return np.bincount(read_outlines(tmp_path / "a.zip", SHAPE)[0].ravel())[1:].tolist()

    assert areas("7", "7-2", "7-3") == [0] * 6 + [12]
    assert areas("7", "7-1") == [4, 4]
    assert areas("7", "7-1", "7-2") == [4, 4, 4]
    assert areas("7", "7-3") == [4, 4]


def test_text_on_an_image_is_no_nucleus(tmp_path):
    text = roi(square(2, 2, 9), roifile.ROI_TYPE.RECT, name="text")
    text.subtype = roifile.ROI_SUBTYPE.TEXT
    roifile.roiwrite(tmp_path / "a.zip", [text, roi(square(20, 20, 3), name="1")])
    assert np.count_nonzero(read_outlines(tmp_path / "a.zip", SHAPE)[0]) == 9


def test_outlines_beside_label_images_and_without_images_are_left_alone(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", LABELS.astype(np.uint32))
    write_geojson(tmp_path / "labels" / "a.geojson", 0 * LABELS)
    (tmp_path / "labels" / "backup.zip").write_bytes(b"anything")
    source = FolderSource(tmp_path)
    assert source.faults() == []
    assert source.read(0).labels.max() == 2


def test_rois_of_each_kind_with_names_of_imagej(tmp_path):
    kinds = roifile.ROI_TYPE
    rois = [
        roi(square(2, 3, 4), name="0004-0005"),
        roi(square(10, 10, 4)[:4], kinds.POLYGON, name="0012-0012"),
        roi([[20, 5], [30, 5]], kinds.LINE, name="line"),
        roi(square(20, 20, 5), name="0012-0012-1"),
    ]
    oval = roifile.ImagejRoi(roitype=kinds.OVAL, top=2, left=25, bottom=12, right=35, name="oval")
    roifile.roiwrite(tmp_path / "RoiSet.zip", [*rois, oval])
    labels, _ = read_outlines(tmp_path / "RoiSet.zip", SHAPE)
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes[:3].tolist() == [16, 16, 25]
    assert sizes[3] == pytest.approx(np.pi * 25, rel=0.05)
    rois[0].tofile(tmp_path / "one.roi")
    assert np.count_nonzero(read_outlines(tmp_path / "one.roi", SHAPE)[0]) == 16


def test_faults_name_the_file_and_what_to_do(tmp_path):
    far = geojson(tmp_path / "far.geojson", feature(square(2, 2, 3)), feature(square(400, 400, 9)))
    line = feature() | {"geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}}
    roifile.roiwrite(
        tmp_path / "stack.zip", [roi(square(2, 2, 3), name=n, position=p) for n, p in (("a", 1), ("b", 2))]
    )
    (tmp_path / "broken.zip").write_bytes(b"PK rubbish")
    with ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a.tif", b"pixels")
    planes = [feature(square(2, 2, 3)), feature(square(9, 9, 3))]
    planes[1]["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    (tmp_path / "other.geojson").write_text('{"a": 1}')
    for file, message in (
        (far, "1 of 2 outlines lie outside the image of 30×40 pixels .* at its full resolution"),
        (geojson(tmp_path / "line.geojson", line), "1 objects, but none of them is an area"),
        (geojson(tmp_path / "odd.geojson", feature([[1, "x"]])), "object 1 has a damaged outline"),
        (geojson(tmp_path / "facts.geojson", feature(square(2, 2, 3)) | {"properties": [1]}), "object 1 has a damaged"),
        (tmp_path / "stack.zip", "ROIs of 2 planes of a stack; save those of one plane"),
        (tmp_path / "broken.zip", "no ROIs of ImageJ, or damaged"),
        (tmp_path / "other.zip", "no ROIs of ImageJ, or damaged .1 other files"),
        (geojson(tmp_path / "planes.geojson", *planes), "objects of 2 planes of a stack"),
        (tmp_path / "other.geojson", "no GeoJSON of objects"),
    ):
        with pytest.raises(DataError, match=f"{file.name}: {message}"):
            read_outlines(file, SHAPE)


def test_a_folder_of_images_and_outlines_is_trained_on(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", np.ones(SHAPE, np.uint8))
    write_geojson(tmp_path / "labels" / "a.geojson", LABELS)
    write_rois(tmp_path / "labels" / "b_rois.zip", LABELS)
    source = FolderSource(tmp_path)
    assert source.faults() == []
    for index in range(2):
        labels = source.read(index).labels
        assert labels.max() == 2
        np.testing.assert_array_equal(labels > 0, LABELS > 0)


def test_outside_of_regions_nothing_is_learnt(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", np.ones(SHAPE, np.uint8))
    region = feature(square(0, 0, 20), kind="annotation")
    nuclei = [feature(square(y, x, 4)) for y, x in ((2, 2), (10, 10), (24, 30))]
    geojson(tmp_path / "labels" / "a.geojson", region, *nuclei)
    sample = FolderSource(tmp_path).read(0)
    assert [bool(sample.labels[place]) for place in ((3, 3), (11, 11), (25, 31))] == [True, True, False]
    assert [sample.semantic[place] for place in ((0, 0), (3, 3), (0, 25), (25, 31))] == [0, 1, IGNORE, IGNORE]
