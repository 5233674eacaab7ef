import pytest
import torch

from helpers import annotated, squares, tiny
from napari_pffnet.config import LOSSES
from napari_pffnet.data.targets import to_target
from napari_pffnet.model import PFFNet
from napari_pffnet.model.losses import consistency_loss, semantic_loss

ALL = set(LOSSES)
NO_OBJECTS = {"boxes": ()}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_training_gives_the_nine_losses_and_every_weight_a_gradient():
    network = PFFNet(tiny())
    image, target = annotated()
    losses = network([image], [target])
    assert set(losses) == ALL
    assert all(loss.ndim == 0 and torch.isfinite(loss) and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(("kind", "ordered"), [("cuda", True), ("cpu", False)])
def test_weights_lie_as_the_images_do_on_cuda(monkeypatch, kind, ordered):
    network, moves, to = PFFNet(tiny()), [], PFFNet.to
    monkeypatch.setattr(PFFNet, "to", lambda net, *at, **how: to(net, **how) if how else moves.append(at[0]) or net)
    assert network.to_device(torch.device(kind)) is network
    assert network.rpn.head.conv[0][0].weight.is_contiguous(memory_format=torch.channels_last) is ordered
    assert moves == [torch.device(kind)]


@pytest.mark.parametrize(
    ("switch", "gone"),
    [({"consistency": False}, "loss_sem_consistence"), ({"mask_quality": False}, "loss_maskiou")],
)
def test_a_switch_removes_its_loss(switch, gone):
    image, target = annotated()
    assert set(PFFNet(tiny(**switch))([image], [target])) == ALL - {gone}


@pytest.mark.parametrize("switch", [{"dual_modal": False}, {"attention_fusion": False}, {"mask_quality": False}])
def test_every_switched_network_trains_and_predicts(switch):
    network = PFFNet(tiny(**switch))
    image, target = annotated()
    sum(network([image], [target]).values()).backward()
    found = network.eval()([image])[0]
    assert torch.isfinite(found["fused"]).all()


def test_images_of_any_size_come_back_in_their_own_coordinates():
    network = PFFNet(tiny()).eval()
    small, large = torch.rand(3, 50, 77), torch.rand(3, 97, 65)
    with torch.inference_mode():
        results = network([small, large])
    for image, result in zip((small, large), results, strict=True):
        height, width = image.shape[1:]
        assert result["semantic"].shape == result["fused"].shape == (2, height, width)
        assert torch.allclose(result["semantic"].sum(0), torch.ones(height, width), atol=1e-5)
        assert (result["boxes"][:, 2] <= width).all()
        assert (result["boxes"][:, 3] <= height).all()
        assert torch.allclose(result["mask_scores"], result["scores"] * result["mask_quality"])
        assert (result["mask_scores"].diff() <= 0).all()
        assert result["masks"].shape == (len(result["boxes"]), 28, 28)


def test_an_image_without_nuclei_is_a_negative():
    network = PFFNet(tiny())
    image, target = annotated(**NO_OBJECTS)
    losses = network([image], [target])
    assert losses["loss_mask"] == losses["loss_box_reg"] == losses["loss_maskiou"] == 0
    assert losses["loss_sem_branch"] > 0
    assert losses["loss_objectness"] > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_wholly_ignored_image_has_no_loss_but_zero():
    network = PFFNet(tiny())
    image, target = annotated(**NO_OBJECTS)
    target["semantic"][:] = 255
    losses = network([image], [target])
    assert all(loss.item() == 0 for loss in losses.values())


def test_what_lies_under_ignored_pixels_changes_no_semantic_loss():
    network = PFFNet(tiny())
    image, labels = squares()
    target = to_target(labels)
    target["semantic"][:, 64:] = 255
    maps = torch.zeros(1, 2, 96, 128)
    changed = maps.clone()
    changed[..., 64:] = 9.0
    truth = target["semantic"][None].long()
    assert semantic_loss(maps, truth) == semantic_loss(changed * torch.tensor([1.0, -1]).view(1, 2, 1, 1), truth)
    assert consistency_loss(maps, maps, truth) == consistency_loss(maps, changed * truth.ne(255), truth)
    assert set(network([image], [target])) == ALL


def test_a_batch_has_the_mean_of_its_images_losses():
    """Sampling takes everything here, so that chance plays no part."""
    config = tiny()
    config = config.model_copy(
        update={
            "rpn": config.rpn.model_copy(update={"batch": 100000, "positive_fraction": 1.0}),
            "roi": config.roi.model_copy(update={"batch": 100000, "positive_fraction": 1.0}),
        }
    )
    network = PFFNet(config)
    pairs = [annotated(), annotated(boxes=((30, 30, 70, 60),))]
    batch = network([image for image, _ in pairs], [target for _, target in pairs])
    alone = [network([image], [target]) for image, target in pairs]
    for name, loss in batch.items():
        assert loss.item() == pytest.approx(sum(a[name].item() for a in alone) / 2, rel=1e-4), name


def test_training_without_targets_says_what_is_missing():
    with pytest.raises(ValueError, match="targets"):
        PFFNet(tiny())([torch.rand(3, 32, 32)])


def test_a_few_steps_learn_two_squares():
    network = PFFNet(tiny())
    image, target = annotated()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    totals = []
    for _ in range(15):
        total = sum(network([image], [target]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.6 * totals[0]


def test_short_floats_round_no_boxes():
    network = PFFNet(tiny()).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features = network.encode([torch.rand(3, 96, 640)])
        proposals, _ = network.rpn(features.images, features.pyramid)
    assert features.pyramid["0"].dtype == torch.bfloat16
    assert proposals[0].dtype == torch.float32
    far = proposals[0][:, 0][proposals[0][:, 0] > 256]
    assert (far % 1 != 0).float().mean() > 0.9


def test_regions_looked_at_in_small_runs_are_described_alike(monkeypatch):
    network = PFFNet(tiny()).eval()
    boxes = [torch.tensor([[4.0, 4, 30, 30]]).repeat(count, 1) + torch.arange(count)[:, None] for count in (5, 0, 4)]
    labels = [torch.ones(len(b), dtype=torch.int64) for b in boxes]
    with torch.inference_mode():
        features = network.encode(list(torch.rand(3, 3, 64, 64)))
        whole = network.describe(features, boxes, labels)
        monkeypatch.setattr(network, "_regions_at_once", lambda _cells: 2)
        parts = network.describe(features, boxes, labels)
    for one, other in zip(whole, parts, strict=True):
        assert [len(values) for values in other] == [5, 0, 4]
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_predictions_do_not_depend_on_how_many_regions_are_looked_at_together():
    network, seen = PFFNet(tiny()).eval(), []
    heads = network.box_head, network.mask_head, network.quality_head
    for head in heads:
        head.register_forward_hook(lambda head, inputs, _: seen.append((head, len(inputs[0]))))
    with torch.inference_mode():
        features = network.encode(list(torch.rand(2, 3, 96, 96)))
        whole = network.predict(features)
        assert all(max(count for head, count in seen if head is each) > 4 for each in heads)
        seen.clear()
        network.most_regions = 4
        parts = network.predict(features)
        rated = network.rate(features, [torch.zeros(0, 4), torch.zeros(0, 4)])
    assert all(max(count for head, count in seen if head is each) == 4 for each in heads)
    assert [len(each.scores) for each in rated] == [0, 0]
    for one, other in zip(whole, parts, strict=True):
        assert len(one["boxes"]) > 4
        for name in ("boxes", "scores", "masks", "mask_quality"):
            torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=0)


def test_on_a_cpu_the_heads_meet_few_lengths_whose_code_is_kept():
    network, seen = PFFNet(tiny()).eval(), set()
    network.mask_head.register_forward_hook(lambda _head, inputs, _: seen.add(len(inputs[0])))
    boxes = torch.tensor([[4.0, 4, 30, 30]]).repeat(13, 1)
    with torch.inference_mode():
        features = network.encode([torch.rand(3, 64, 64)])
        for count in range(1, 14):
            network.describe(features, [boxes[:count]], [torch.ones(count, dtype=torch.int64)])
    assert seen == {1, 2, 4, 8}


def test_prediction_leaves_the_fused_map_out_unless_it_is_wanted():
    network = PFFNet(tiny()).eval()
    with torch.inference_mode():
        features = network.encode([torch.rand(3, 64, 64)])
        [short], [full] = network.predict(features), network.predict(features, fused=True)
    assert set(full) - set(short) == {"fused"}
    assert all(torch.equal(full[name], value) for name, value in short.items())


def test_features_of_one_image_of_a_batch_are_those_of_the_image_alone():
    network = PFFNet(tiny()).eval()
    images = list(torch.rand(2, 3, 64, 96))
    with torch.inference_mode():
        part, alone = network.encode(images).of_image(1), network.encode(images[1:])
        for name, maps in part.pyramid.items():
            torch.testing.assert_close(maps, alone.pyramid[name], atol=1e-4, rtol=0)
        assert part.images.image_sizes == [(64, 96)]
        assert part.nbytes <= 1.1 * alone.of_image(0).nbytes
