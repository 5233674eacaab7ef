import torch

from napari_pffnet.model.quality import measured_quality
from napari_pffnet.model.regions import MaskTargets, clip_to_pixels, mask_targets, mostly_ignored

INSTANCES = torch.zeros(40, 60, dtype=torch.int32)
INSTANCES[10:20, 10:40] = 1
SEMANTIC = (INSTANCES > 0).byte()


def test_mask_target_is_the_object_in_its_box():
    box = torch.tensor([[10.0, 10, 40, 20], [10, 5, 40, 25]])
    truth = mask_targets(INSTANCES, SEMANTIC, box, torch.tensor([0, 0]))
    assert truth.masks[0].all()
    assert truth.masks[1].mean() == 0.5
    assert truth.valid.all()
    assert torch.allclose(truth.area, torch.tensor([784.0, 392]))


def test_mask_targets_are_neither_wide_nor_narrow():
    """Over boxes placed anywhere, the mean target has the object's area."""
    generator = torch.Generator().manual_seed(0)
    instances = torch.zeros(120, 120, dtype=torch.int32)
    instances[30:90, 30:90] = 1
    boxes = torch.tensor([20.0, 20, 100, 100]) + 8 * torch.rand(300, 4, generator=generator)
    truth = mask_targets(instances, instances.byte(), boxes, torch.zeros(300, dtype=torch.int64))
    ratio = truth.masks.sum((1, 2)) / 28**2 * (boxes[:, 2:] - boxes[:, :2]).prod(1) / 60**2
    assert abs(float(ratio.mean()) - 1) < 0.01


def test_area_counts_what_lies_outside_the_box():
    truth = mask_targets(INSTANCES, SEMANTIC, torch.tensor([[10.0, 10, 25, 20]]), torch.tensor([0]))
    assert truth.masks.all()
    assert float(truth.area) == 2 * 784
    quality = measured_quality(truth.masks > 0, truth)
    assert torch.allclose(quality, torch.tensor(0.5 * 0.5 + 0.5 * 2 / 3))


def test_on_a_device_that_computes_ahead_nothing_is_waited_for():
    boxes, semantic = torch.zeros(3, 4, device="meta"), torch.zeros(40, 60, dtype=torch.uint8, device="meta")
    assert mostly_ignored(boxes, semantic).shape == (3,)


def test_ignored_pixels_are_not_valid():
    semantic = SEMANTIC.clone()
    semantic[:, 25:] = 255
    truth = mask_targets(INSTANCES, semantic, torch.tensor([[10.0, 10, 40, 20]]), torch.tensor([0]))
    assert truth.valid[0, :, :13].all()
    assert not truth.valid[0, :, 15:].any()


def test_perfect_and_empty_masks():
    masks = torch.zeros(2, 28, 28)
    masks[:, :14] = 1
    truth = MaskTargets(masks, masks > -1, masks.flatten(1).sum(1))
    assert torch.allclose(measured_quality(torch.stack([masks[0] > 0, masks[0] > 2]), truth), torch.tensor([1.0, 0]))


def test_boxes_mostly_on_ignored_pixels():
    semantic = torch.zeros(20, 20, dtype=torch.uint8)
    semantic[:, 10:] = 255
    boxes = torch.tensor([[0.0, 0, 10, 10], [8, 0, 11, 10], [5, 0, 15, 10], [-50, -50, 5, 5]])
    assert mostly_ignored(boxes, semantic).tolist() == [False, True, True, False]
    assert not mostly_ignored(boxes, torch.zeros(20, 20)).any()


def test_clipped_boxes_keep_a_pixel():
    boxes = torch.tensor([[-9.0, -9, -3, -3], [70, 50, 90, 60], [1, 2, 3, 4]])
    assert clip_to_pixels(boxes, (40, 60)).tolist() == [[0, 0, 1, 1], [59, 39, 60, 40], [1, 2, 3, 4]]
