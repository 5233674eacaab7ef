import numpy as np
import pytest
import torch

from napari_pffnet.config import AugmentConfig
from napari_pffnet.data.transforms import augment

GEOMETRY = {"scale": (0.5, 2.0), "quarter_turns": True}
INTENSITY = {"intensity": 0.3, "gamma": 0.7, "blur": 1.5, "noise": 0.1, "stain": 0.2, "invert": 0.5}


def generator(seed=0):
    return np.random.default_rng(seed)


def blocks(height=200, width=150, pitch=20):
    """Image whose brightness says the id, in squares of 14 pixels."""
    labels = torch.zeros(height, width, dtype=torch.int32)
    corners = [(y, x) for y in range(3, height - 14, pitch) for x in range(3, width - 14, pitch)]
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + 14, x : x + 14] = number
    return (labels / len(corners))[None], labels


@pytest.mark.parametrize("seed", range(8))
def test_labels_stay_on_their_pixels(seed):
    image, labels = blocks()
    config = AugmentConfig(crop=128, horizontal_flip=0.5, vertical_flip=0.5, **GEOMETRY)
    crop, found, semantic = augment(image, labels, None, config, generator(seed))
    inside = torch.nn.functional.max_pool2d((found == 0).float()[None], 5, 1, 2)[0] == 0
    assert inside.any()
    torch.testing.assert_close(crop[0][inside], (found / labels.max())[inside], atol=0.02, rtol=0)
    assert torch.equal(semantic == 1, found > 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(20, 200), (256, 256), (1, 1)])
def test_crops_have_one_shape_type_and_range(channels, shape):
    image = torch.from_numpy(generator().random((channels, *shape), np.float32))
    before = image.clone()
    config = AugmentConfig(crop=64, **GEOMETRY, **INTENSITY)
    for seed in range(10):
        crop, labels, semantic = augment(image, torch.ones(shape, dtype=torch.int32), None, config, generator(seed))
        assert (crop.shape, labels.shape, semantic.shape) == ((3, 64, 64), (64, 64), (64, 64))
        assert (crop.dtype, labels.dtype, semantic.dtype) == (torch.float32, torch.int32, torch.uint8)
        assert 0 <= crop.min() <= crop.max() <= 1
    assert torch.equal(image, before)


def test_padding_is_black_and_ignored():
    shape = (20, 40)
    config = AugmentConfig(crop=64, **INTENSITY)
    crop, labels, semantic = augment(
        torch.full((1, *shape), 0.5), torch.ones(shape, dtype=torch.int32), None, config, generator()
    )
    assert int((labels == 1).sum()) == 20 * 40
    assert torch.equal(semantic == 255, labels == 0)
    assert not crop[:, labels == 0].any()


def test_slivers_at_the_edge_are_ignored_rather_than_learnt():
    labels = torch.zeros(64, 64, dtype=torch.int32)
    labels[:, 31:] = 1
    labels[10:20, 20:31] = 2
    areas = torch.tensor([0, 64 * 300, 110])
    config = AugmentConfig(crop=64, horizontal_flip=0, vertical_flip=0)
    _, found, semantic = augment(labels[None] / 2, labels, None, config, generator(), areas)
    assert found.unique().tolist() == [0, 2]
    assert torch.equal(semantic == 255, labels == 1)


def test_given_semantic_map_moves_along_with_its_ignored_pixels():
    image, labels = blocks()
    semantic = torch.where(labels % 2 == 1, 255, 0).byte()
    config = AugmentConfig(crop=64, horizontal_flip=1, **GEOMETRY)
    _, found, moved = augment(image, labels, semantic, config, generator(3))
    assert (moved[found % 2 == 1] == 255).all()
    assert (moved[(found % 2 == 0) & (found > 0)] == 0).all()


def test_grey_stays_grey_and_colour_is_never_inverted():
    grey = torch.from_numpy(generator().random((1, 64, 64), np.float32)).expand(3, -1, -1)
    config = AugmentConfig(crop=64, **INTENSITY)
    nothing = torch.zeros(64, 64, dtype=torch.int32)
    assert all((c[0] == c[1]).all() for c, *_ in [augment(grey, nothing, None, config, generator(s)) for s in range(5)])
    colour = torch.tensor([0.9, 0.5, 0.7])[:, None, None].expand(3, 64, 64)
    inverting = AugmentConfig(crop=64, invert=1.0, horizontal_flip=0, vertical_flip=0)
    torch.testing.assert_close(augment(colour, nothing, None, inverting, generator())[0], colour)
    torch.testing.assert_close(augment(grey, nothing, None, inverting, generator())[0], 1 - grey)


def test_colours_can_be_taken_away():
    colour = torch.tensor([0.9, 0.5, 0.7])[:, None, None].expand(3, 64, 64)
    nothing = torch.zeros(64, 64, dtype=torch.int32)
    crop, *_ = augment(colour, nothing, None, AugmentConfig(crop=64, grey=1.0), generator())
    torch.testing.assert_close(
        crop, torch.full((3, 64, 64), 0.299 * 0.9 + 0.587 * 0.5 + 0.114 * 0.7), atol=1e-3, rtol=0
    )


def test_colours_can_be_turned():
    colour = torch.tensor([0.9, 0.5, 0.7])[:, None, None].expand(3, 64, 64)
    nothing = torch.zeros(64, 64, dtype=torch.int32)
    turning = AugmentConfig(crop=64, hue=1.0)
    crops = [augment(colour, nothing, None, turning, generator(seed))[0][:, 0, 0] for seed in range(20)]
    extremes = torch.stack([torch.stack((crop.amin(), crop.amax())) for crop in crops])
    torch.testing.assert_close(extremes, torch.tensor([[0.5, 0.9]]).expand(20, 2))
    assert {int(crop.argmax()) for crop in crops} == {0, 1, 2}


def test_noise_of_photons_leaves_the_dark_alone():
    image = torch.cat([torch.zeros(1, 64, 32), torch.full((1, 64, 32), 0.5)], 2)
    nothing = torch.zeros(64, 64, dtype=torch.int32)
    config = AugmentConfig(crop=64, noise=0.3, horizontal_flip=0, vertical_flip=0)
    crops = [augment(image, nothing, None, config, generator(seed))[0][0] for seed in range(20)]
    assert all((crop[:, 32:] != 0.5).any() for crop in crops)
    dark = [bool(crop[:, :32].any()) for crop in crops]
    assert any(dark)
    assert not all(dark)


def test_noise_on_black_is_a_number_in_every_colour():
    blue = torch.zeros(3, 64, 64)
    blue[2, 10:50, 10:50] = 0.8
    config = AugmentConfig(crop=64, noise=0.2, hue=1, stain=0.25, grey=0.1, gamma=0.8)
    for seed in range(20):
        crop, _, _ = augment(blue, torch.zeros(64, 64, dtype=torch.int32), None, config, generator(seed))
        assert crop.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_image_has_now_and_then_noise_of_its_own_in_each_colour(channels):
    config = AugmentConfig(crop=64, noise=1, horizontal_flip=0, vertical_flip=0)
    grey, nothing = torch.full((channels, 64, 64), 0.5), torch.zeros(64, 64, dtype=torch.int32)
    crops = [augment(grey, nothing, None, config, generator(seed))[0] for seed in range(40)]
    coloured = [bool((crop != crop[:1]).any()) for crop in crops]
    assert 1 <= sum(coloured) < 20


def test_noise_is_zoomed_with_the_image():
    config = AugmentConfig(crop=64, scale=(4, 4), noise=1, horizontal_flip=0, vertical_flip=0)
    grey = torch.full((1, 64, 64), 0.5)
    crop, _, _ = augment(grey, torch.zeros(64, 64, dtype=torch.int32), None, config, generator(1))
    assert crop.std() > 0.01
    neighbours = np.corrcoef(crop[0, :, :-1].flatten(), crop[0, :, 1:].flatten())[0, 1]
    assert neighbours > 0.8, "a pixel of the image has become four of the crop"


@pytest.mark.parametrize("name", ["intensity", "gamma", "blur", "noise", "stain"])
def test_each_strength_changes_the_image_and_zero_does_not(name):
    image = torch.from_numpy(generator().random((3, 64, 64), np.float32)) * torch.tensor([1, 0.4, 0.6])[:, None, None]
    nothing = torch.zeros(64, 64, dtype=torch.int32)
    plain = AugmentConfig(crop=64, horizontal_flip=0, vertical_flip=0)
    torch.testing.assert_close(augment(image, nothing, None, plain, generator())[0], image)
    changed = augment(image, nothing, None, plain.model_copy(update={name: 0.5}), generator(1))[0]
    assert (changed - image).abs().mean() > 1e-3
