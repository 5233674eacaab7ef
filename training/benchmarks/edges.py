"""What to do with nuclei that the edge of a "complete here" area cuts: take them whole, ignore or clip them.

    python training/benchmarks/edges.py --base BASE.safetensors --data DATA --new histology --images 5 --seeds 0 1 \
        --side 96 --effort quick --output DIR

As finetune.py, but of each drawn training image only a random square of `side` pixels is annotated; the rest counts
in no loss. `majority` takes a nucleus whole that lies in the square by half or more and ignores any other (what the
program does), `ignored` ignores every nucleus that is cut, `clipped` cuts it at the edge.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from finetune import draw, every, note, read, table
from numpy.typing import NDArray

from napari_pffnet.data.opening import open_source
from napari_pffnet.data.parts import SourceParts
from napari_pffnet.data.project import within
from napari_pffnet.data.sources import Sample, Source
from napari_pffnet.library import load_model, pick_device
from napari_pffnet.train.control import EFFORTS
from napari_pffnet.train.finetune import finetune, recipe

RULES = ("majority", "ignored", "clipped")
Labels = NDArray[np.int32]


def annotate(labels: Labels, complete: NDArray[np.bool_], rule: str) -> tuple[Labels, NDArray[np.uint8]]:
    """Labels and semantic map by a rule, as `napari_pffnet.data.project.within` gives them."""
    if rule == "clipped":
        labels = np.where(complete, labels, 0).astype(np.int32)
    if rule == "ignored":
        cut = np.isin(labels, np.unique(labels[~complete]))
        return within(np.where(cut, 0, labels).astype(np.int32), complete, cut)
    return within(labels, complete, np.zeros(labels.shape, bool))


@dataclass(frozen=True)
class Squares(SourceParts):
    """A source of which one random square of each image is annotated."""

    inner: Source
    side: int
    seed: int
    rule: str

    def read(self, index: int) -> Sample:
        """Read an image; the square is the same for every rule."""
        sample = self.inner.read(index)
        generator = np.random.default_rng((self.seed, index))
        complete = np.zeros(sample.labels.shape, bool)
        top, left = (int(generator.integers(0, max(1, n - self.side))) for n in complete.shape)
        complete[top : top + self.side, left : left + self.side] = True
        labels, semantic = annotate(sample.labels, complete, self.rule)
        return replace(sample, labels=labels, semantic=semantic)


def main() -> None:
    """Fine-tune with every rule and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--new", default="histology")
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--side", type=int, default=96, help="of the annotated square, pixels")
    parser.add_argument("--effort", default="quick", choices=list(EFFORTS))
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "edges.jsonl"
    done = {(row["variant"], row["seed"]) for row in read(file)}
    sources = {options.new: open_source(options.data / options.new / "val")}
    for seed in options.seeds:
        for rule in RULES:
            if (rule, seed) not in done:
                row = {"variant": rule, "images": options.images, "seed": seed, "blend": 0.5}
                note(file, {**row, **run(options, sources, rule, seed)})
    print(table(read(file), list(sources)).round(3).to_string(index=False))


def run(options: argparse.Namespace, sources: dict[str, Source], rule: str, seed: int) -> dict[str, dict[str, float]]:
    """Fine-tune with one rule; figures of the validation images."""
    base = load_model(options.base)
    material = draw(open_source(options.data / options.new / "train"), options.images, seed)
    material = replace(material, train=Squares(material.train, options.side, seed, rule))
    config = recipe(base.config, options.effort, len(material.train), [f"seed={seed}"])
    folder = options.output / f"{rule}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for _ in finetune(config, base, material, folder, device=pick_device("auto")):
        pass
    return every(load_model(folder / "best.safetensors"), sources, [len(source) for source in sources.values()])


if __name__ == "__main__":
    main()
