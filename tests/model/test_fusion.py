import torch
import torch.nn.functional as F

from napari_pffnet.model.fusion import AttentionFusion


def by_the_book(network, semantic, boxes, masks, attention):
    """The paper's rule, box by box."""
    merged = semantic.clone()
    for (x0, y0, x1, y1), mask in zip(boxes.int().tolist(), masks, strict=True):
        resized = F.interpolate(mask[None], (y1 - y0, x1 - x0), mode="bilinear")[0]
        if attention:
            merged[:, y0:y1, x0:x1] *= 1 + resized.sigmoid()
        else:
            merged[:, y0:y1, x0:x1] = resized
    return network.conv1(network.conv3(merged.relu()[None]).relu())[0]


def example():
    torch.manual_seed(0)
    boxes = torch.tensor([[3.0, 2, 23, 9], [10, 4, 14, 30], [0, 0, 40, 32]])
    return torch.randn(2, 32, 40), boxes, torch.randn(3, 2, 28, 28)


def test_non_square_and_overlapping_boxes_fuse_as_the_rule_says():
    for attention in (True, False):
        network = AttentionFusion(2, attention)
        semantic, boxes, masks = example()
        expected = by_the_book(network, semantic, boxes, masks, attention)
        assert torch.allclose(network(semantic, boxes, masks), expected, atol=1e-4)


def test_attention_passes_no_gradient_to_the_masks():
    semantic, boxes, masks = example()
    masks.requires_grad_()
    fused = AttentionFusion(2, True)(semantic.requires_grad_(), boxes, masks)
    fused.sum().backward()
    assert masks.grad is None
    assert semantic.grad is not None


def test_without_boxes_the_map_is_only_mixed():
    semantic, _, _ = example()
    network = AttentionFusion(2, True)
    none = network(semantic, torch.zeros(0, 4), torch.zeros(0, 2, 28, 28))
    assert torch.allclose(none, network.conv1(network.conv3(semantic.relu()[None]).relu())[0], atol=1e-5)
