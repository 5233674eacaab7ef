"""Turn a model with group norms in pyramid and semantic branch into one without, to be trained further.

    python training/without_norms.py MODEL.safetensors --recipe RECIPE.yaml --data DIR … --output START.safetensors

Each norm becomes part of the convolution before it, with the mean and the variance that its groups have over random
crops of the training data. The ReLU between the two convolutions of a residual block of the semantic branch, which only
a model without norms has, gets values raised so far that away from the
map's edge it changes little at first. Replay crops of the model are not kept.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_pffnet.config import TrainConfig, load
from napari_pffnet.data.dataset import CropDataset, make_batches
from napari_pffnet.data.opening import open_source
from napari_pffnet.library import load_model, save_model
from napari_pffnet.model import PFFNet
from napari_pffnet.model.layers import GroupNorm32, norms_replaced
from napari_pffnet.segment.steady import whole_map_norms

RAISED = 3.0  # spreads of the values before the ReLU


@torch.inference_mode()
def average_statistics(network: PFFNet, images: list[list[Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and variance of each norm's groups over batches of images."""
    names = {norm: name for name, norm in whole_map_norms(network).items()}
    moments: dict[str, list[Tensor]] = defaultdict(list)

    def watched(norm: GroupNorm32, x: Tensor) -> Tensor:
        groups = x.unflatten(1, (norm.num_groups, -1)).flatten(2)
        moments[names[norm]].append(torch.stack([groups.mean(2), groups.square().mean(2)], 1))
        return nn.GroupNorm.forward(norm, x)

    with norms_replaced(watched):
        for batch in images:
            network.semantic_branch(network.encode(batch).body)
    found = {name: torch.cat(parts).mean(0) for name, parts in moments.items()}
    return {name: (mean, square - mean.square()) for name, (mean, square) in found.items()}


@torch.no_grad()
def without_norms(network: PFFNet, statistics: dict[str, tuple[Tensor, Tensor]]) -> PFFNet:
    """Return the network with each norm in the convolution before it."""
    state = dict(network.state_dict())
    for name, norm in whole_map_norms(network).items():
        block, place = name.rsplit(".", 1)
        conv = f"{block}.{int(place) - 1}"
        each = norm.num_channels // norm.num_groups
        mean, variance = (values.repeat_interleave(each) for values in statistics[name])
        gain = norm.weight * (variance + norm.eps).rsqrt()
        state[f"{conv}.weight"] = state[f"{conv}.weight"] * gain.view(-1, 1, 1, 1)
        state[f"{conv}.bias"] = norm.bias - mean * gain
        del state[f"{name}.weight"], state[f"{name}.bias"]
        if name.startswith("semantic_branch.") and place == "1":
            raised = RAISED * norm.weight.abs() - norm.bias
            state[f"{conv}.bias"] = state[f"{conv}.bias"] + raised
        elif name.startswith("semantic_branch."):
            state[f"{conv}.bias"] -= (state[f"{conv}.weight"].sum((2, 3)) * raised).sum(1)
    other = PFFNet(network.config.model_copy(update={"map_norm": "none"}))
    other.load_state_dict(state)
    return other


def main() -> None:
    """Measure, convert, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--recipe", type=Path, required=True, help="that the model is trained with")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="training folders, as of the recipe")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    model, recipe = load_model(options.model), load(TrainConfig, options.recipe)
    sources = [open_source(folder) for folder in options.data]
    length = options.batches * recipe.batch_size
    crops = CropDataset(sources, recipe.data, model.config.input.percentiles, 0, length, model.config.diameter)
    batches = make_batches(crops, recipe.batch_size)
    statistics = average_statistics(model.network, [images for images, _ in batches])
    save_model(options.output, without_norms(model.network, statistics), model.card)


if __name__ == "__main__":
    main()
