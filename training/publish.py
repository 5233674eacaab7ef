"""Turn a trained model into the embedded one: half precision, with its model card.

python training/publish.py runs/embedded/last.safetensors --facts training/embedded-card.yaml \
    --figures fluorescence=fluorescence.json histology=histology.json brightfield=brightfield.json
"""

import argparse
import json
from pathlib import Path

import yaml

from napari_pffnet.library import load_model, save_model

TARGET = Path(__file__).parents[1] / "src" / "napari_pffnet" / "weights" / "default.safetensors"


def main() -> None:
    """Join the model, what a person says of it and the figures of ``napari-pffnet evaluate --json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--facts", type=Path, required=True, help="YAML: data, licences, machine, hours …")
    parser.add_argument("--figures", nargs="+", required=True, metavar="DOMAIN=JSON")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    model = load_model(options.model)
    figures = {}
    for domain, path in (item.split("=") for item in options.figures):
        report = json.loads(Path(path).read_text())
        figures[domain] = {**report["mean"], **report["pooled"]}
    facts = yaml.safe_load(options.facts.read_text())
    card = {**facts, "step": model.card["step"], "recipe": model.card["recipe"], "validation": figures}
    options.output.parent.mkdir(exist_ok=True)
    save_model(options.output, model.network, card, half=True)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
