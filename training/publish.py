"""Turn a trained model into the embedded one: half precision, with its model card.

python training/publish.py runs/embedded/last.safetensors --facts training/embedded-card.yaml \
    --figures fluorescence=fluorescence.json histology=histology.json brightfield=brightfield.json

The caps of inference are those of the recipe, whatever the model was trained with. The figures are measured on the
result, so it is first written without them.
"""

import argparse
import json
from pathlib import Path

import torch
import yaml

from napari_pffnet.config import ModelConfig, TrainConfig, load
from napari_pffnet.library import load_model, save_model
from napari_pffnet.model import PFFNet

RECIPE = Path(__file__).parent / "recipes" / "embedded.yaml"
TARGET = Path(__file__).parents[1] / "src" / "napari_pffnet" / "weights" / "default.safetensors"
OF_INFERENCE = ("pre_nms_test", "post_nms_test", "keep_test", "score_threshold")


def with_caps(config: ModelConfig) -> ModelConfig:
    """Return a model's configuration with the recipe's caps of inference."""
    recipe = load(TrainConfig, RECIPE).model
    rpn = config.rpn.model_copy(update={name: getattr(recipe.rpn, name) for name in OF_INFERENCE})
    roi = config.roi.model_copy(update={"detections": recipe.roi.detections})
    return config.model_copy(update={"rpn": rpn, "roi": roi})


def main() -> None:
    """Join the model, what a person says of it and the figures of ``napari-pffnet evaluate --json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--facts", type=Path, required=True, help="YAML: data, licences, machine, hours …")
    parser.add_argument("--figures", nargs="*", default=[], metavar="DOMAIN=JSON")
    parser.add_argument("--mask-offset", type=float, default=0.0, help="added to the logits of the nuclei's masks")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    model = load_model(options.model)
    figures = {}
    for domain, path in (item.split("=") for item in options.figures):
        report = json.loads(Path(path).read_text())
        figures[domain] = {**report["mean"], **report["pooled"]}
    facts = yaml.safe_load(options.facts.read_text())
    card = {**facts, "step": model.card["step"], "recipe": model.card["recipe"], "validation": figures}
    network = PFFNet(with_caps(model.config))
    network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        network.mask_head.logits.bias[1:] += options.mask_offset
    options.output.parent.mkdir(exist_ok=True)
    save_model(options.output, network, card, half=True)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
