import numpy as np

from napari_pffnet.data.targets import to_target
from napari_pffnet.labels import renumber

LABELS = np.zeros((6, 8), np.int32)
LABELS[1:3, 2:7] = 9
LABELS[5, 0] = 4


def test_rows_describe_the_instances():
    target = to_target(LABELS)
    assert target["boxes"].tolist() == [[0, 5, 1, 6], [2, 1, 7, 3]]
    assert target["labels"].tolist() == [1, 1]
    np.testing.assert_array_equal(target["instances"], np.select([LABELS == 4, LABELS == 9], [1, 2]))
    np.testing.assert_array_equal(target["semantic"], LABELS > 0)
    assert [str(target[k].dtype) for k in ("boxes", "labels", "instances", "semantic")] == [
        "torch.float32",
        "torch.int64",
        "torch.int32",
        "torch.uint8",
    ]


def test_given_semantic_map_is_kept():
    semantic = np.full(LABELS.shape, 255, np.uint8)
    np.testing.assert_array_equal(to_target(LABELS, semantic)["semantic"], semantic)


def test_without_nuclei():
    target = to_target(np.zeros((6, 8), np.int32))
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == (0,)
    assert not target["semantic"].any()


def test_renumber_closes_gaps_of_any_size_and_keeps_its_input():
    for large in (9, 4_000_000_000):
        labels = np.where(LABELS == 9, large, LABELS).astype(np.uint32)
        before = labels.copy()
        instances, ids = renumber(labels)
        assert ids.tolist() == [4, large]
        np.testing.assert_array_equal(instances, np.select([LABELS == 4, LABELS == 9], [1, 2]))
        np.testing.assert_array_equal(labels, before)


def test_huge_ids_stay_apart():
    labels = np.array([[0, 2**60 + 1, 2**60 + 2], [2**60 + 3, 0, 0]], np.uint64)
    instances, ids = renumber(labels)
    assert instances.tolist() == [[0, 1, 2], [3, 0, 0]]
    assert ids.tolist() == [2**60 + 1, 2**60 + 2, 2**60 + 3]
