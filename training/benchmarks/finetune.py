"""What fine-tuning on a few images of a new kind gains there, and what it costs on the kinds known before.

    python training/benchmarks/finetune.py --base BASE.safetensors --data DATA --new histology \
        --old fluorescence brightfield --images 1 3 5 10 --seeds 0 1 --output DIR [--variant NAME section.key=value …]

BASE is a model that was trained on the old domains only. For each seed and each number of images, that many are drawn
from DATA/NEW/train as if a user had corrected them all, and the model is fine-tuned on them as the button does, with
one in five of them held out. Then base, trained and blended models segment the validation images of the new and of the
old domains, none of which was trained on. Each result is a line of DIR/results.jsonl; what is there already is not done
again. The table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.opening import open_source
from napari_pffnet.data.parts import Chosen
from napari_pffnet.data.sources import Source, hold_out
from napari_pffnet.evaluate.metrics import evaluate_pair, pool
from napari_pffnet.library import Model, load_model, pick_device
from napari_pffnet.segment import Segmenter, sized
from napari_pffnet.train.blend import blend
from napari_pffnet.train.control import EFFORTS
from napari_pffnet.train.events import Step, Validation
from napari_pffnet.train.finetune import finetune, recipe
from napari_pffnet.train.material import TrainingMaterial
from napari_pffnet.train.validation import spread

MEASURES = ("ap50", "aji", "pq")
USABLE = 0.02


def figures(model: Model, source: Source, most: int | None) -> dict[str, float]:
    """AP50, AJI and PQ of a model on at most so many images, evenly spread."""
    segmenter = Segmenter(model, SegmentConfig())
    items = spread([(source, i) for i in range(len(source))], most)
    samples = (each.read(i) for each, i in items)
    scores = [evaluate_pair(s.labels, sized(segmenter, s.image).predict(s.image).compose().labels) for s in samples]
    pooled = pool(scores)
    return {name: round(pooled[name], 4) for name in MEASURES}


def draw(source: Source, count: int, seed: int) -> TrainingMaterial:
    """Draw images that have nuclei; one in five is held out, of a single one a quarter."""
    from napari_pffnet.data.parts import Side

    order = np.random.default_rng(seed).permutation(len(source))
    chosen = [int(i) for i in order if source.read(int(i)).labels.any()][:count]
    names = [source.name(i) for i in chosen]
    held = hold_out(names)
    parts = [Chosen(source, [i for i in chosen if (source.name(i) in held) is out]) for out in (False, True)]
    train: Source = parts[0] if held else Side(parts[0], "train")
    checked: Source = parts[1] if held else Side(parts[0], "held out")
    nuclei = sum(int(train.read(i).labels.max()) for i in range(len(train)))
    return TrainingMaterial(train, checked, tuple(held), nuclei)


def train(base: Model, options: argparse.Namespace, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Fine-tune; return how long it took, and when it was good enough to use."""
    material = draw(open_source(options.data / options.new / "train"), count, seed)
    overrides = [f"seed={seed}", "finetune.blend=1", *options.overrides]
    config = recipe(base.config, options.effort, len(material.train), overrides)
    replay = open_source(options.replay) if options.replay else None
    start, history, step = time.perf_counter(), [], 0
    folder.mkdir(parents=True, exist_ok=True)
    for event in finetune(config, base, material, folder, device=pick_device("auto"), replay=replay):
        if isinstance(event, Validation):
            history.append((round(time.perf_counter() - start), event.step, round(event.metrics["mean_ap"], 4)))
            print(f"  {history[-1]}", flush=True)
        step = event.step if isinstance(event, Step) else step
    usable = next(when for when, _, value in history if value >= history[-1][2] - USABLE)
    return {"seconds": history[-1][0], "usable_after": usable, "steps": step, "history": history}


def run(options: argparse.Namespace) -> None:
    """Do what is missing, one result at a time."""
    file = options.output / "results.jsonl"
    options.output.mkdir(parents=True, exist_ok=True)
    have = {(row["variant"], row["images"], row["seed"], row["blend"]) for row in read(file)}
    base = load_model(options.base)
    sources = {name: open_source(options.data / name / "val") for name in (options.new, *options.old)}
    if ("base", 0, 0, 0.0) not in have:
        note(file, {"variant": "base", "images": 0, "seed": 0, "blend": 0.0, **every(base, sources, options.most)})
    for seed in options.seeds:
        for count in options.images:
            missing = [part for part in options.blend if (options.variant, count, seed, part) not in have]
            if not missing:
                continue
            key = {"variant": options.variant, "images": count, "seed": seed}
            print(key, flush=True)
            folder = options.output / f"{options.variant}-{count}-{seed}"
            facts = train(base, options, count, seed, folder)
            trained = load_model(folder / "best.safetensors")
            for part in missing:
                model = Model(blend(base.network, trained.network, part), base.config, {}, folder)
                note(file, {**key, "blend": part, **every(model, sources, options.most), **facts})


def every(model: Model, sources: dict[str, Source], most: Sequence[int]) -> dict[str, dict[str, float]]:
    """Figures of each domain."""
    model.network.to(pick_device("auto")).eval()
    return {name: figures(model, source, count) for (name, source), count in zip(sources.items(), most, strict=True)}


def note(file: Path, row: dict[str, Any]) -> None:
    """Append a result."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
    print({key: value for key, value in row.items() if key != "history"}, flush=True)


def read(file: Path) -> list[dict[str, Any]]:
    """Return all results so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def table(rows: Iterable[dict[str, Any]], domains: Sequence[str]) -> pd.DataFrame:
    """Mean over the seeds, with the spread (largest minus smallest) of the new domain's AP50."""
    flat = pd.DataFrame(
        {
            **{key: row.get(key) for key in ("variant", "images", "seed", "blend", "seconds", "usable_after")},
            **{f"{domain} {name}": row[domain][name] for domain in domains for name in MEASURES},
        }
        for row in rows
    )
    groups = flat.groupby(["variant", "images", "blend"], sort=False)
    result = groups.mean(numeric_only=True).drop(columns="seed")
    result["spread"] = groups[f"{domains[0]} ap50"].agg(np.ptp)
    result["seeds"] = groups.size()
    return result.reset_index()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--new", default="histology")
    parser.add_argument("--old", nargs="+", default=["fluorescence", "brightfield"])
    parser.add_argument("--images", type=int, nargs="*", default=[1, 3, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--most", type=int, nargs="+", default=[23, 24, 3], help="validation images of each domain")
    parser.add_argument("--blend", type=float, nargs="+", default=[0.5, 0.75, 1.0])
    parser.add_argument("--effort", default="normal", choices=list(EFFORTS))
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--variant", default="default")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args()
    run(options)
    rows = read(options.output / "results.jsonl")
    print(table(rows, [options.new, *options.old]).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
