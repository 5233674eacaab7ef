import torch
from torchvision.models.detection.image_list import ImageList

from helpers import annotated, tiny
from napari_pffnet.model import PFFNet
from napari_pffnet.model.rpn import STRIDES, Anchors


def _objectness_of_proposals(network):
    image, target = annotated()
    features = network.encode([image])
    seen = []
    inner = network.rpn.filter_proposals
    network.rpn.filter_proposals = lambda *given: seen.append(inner(*given)) or seen[-1]
    network.rpn(features.images, features.pyramid, [target])
    return seen[0][1][0]


def test_unlikely_proposals_are_left_out_at_inference_only():
    torch.manual_seed(0)
    network = PFFNet(tiny())
    every = _objectness_of_proposals(network.eval())
    threshold = float(every.median())
    network.rpn.score_thresh = threshold
    assert torch.equal(_objectness_of_proposals(network), every[every >= threshold])
    assert (_objectness_of_proposals(network.train()) < threshold).any()


def test_anchors_stay_exact_after_shorter_maps():
    sizes = (32, 64, 128, 256, 1100)
    anchors = Anchors(tuple((size,) for size in sizes), ((0.5, 1.0, 2.0),) * 5)
    image = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
    maps = [torch.zeros(1, 1, -(-64 // stride), -(-64 // stride)) for stride in STRIDES]
    [exact] = anchors(image, maps)
    [short] = anchors(image, [each.bfloat16() for each in maps])
    assert short.dtype == torch.float32
    assert torch.equal(short, exact)
    assert torch.equal(anchors(image, maps)[0], exact)


def test_an_image_without_any_likely_proposal_has_no_detections():
    rpn = tiny().rpn.model_copy(update={"score_threshold": 1.0})
    network = PFFNet(tiny(rpn=rpn)).eval()
    [found] = network([annotated()[0]])
    assert len(found["boxes"]) == len(found["masks"]) == 0
