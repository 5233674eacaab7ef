"""``napari-pffnet``: the command line. Each command has an `add_…` that declares it and a `run_…` that does it."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pffnet import __version__

if TYPE_CHECKING:
    from napari_pffnet.segment import Segmenter

OUTPUTS = "NAME_labels.tif, NAME_semantic.tif, NAME.csv, NAME_overlay.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code (0 done, 1 some files failed, 2 wrong input, 130 stopped by Ctrl+C)."""
    parser = argparse.ArgumentParser(prog="napari-pffnet", description="Nucleus segmentation with PFFNet.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_segment(commands.add_parser("segment", help="segment images", description=f"Segment images; writes {OUTPUTS}."))
    add_evaluate(commands.add_parser("evaluate", help="compare label images with the truth"))
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def add_segment(parser: argparse.ArgumentParser) -> None:
    """Declare ``segment``."""
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image files or folders of images")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="model name or .safetensors file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--score", type=float, help="lowest score of a nucleus, 0 to 1 (default: 0.5)")
    parser.add_argument("--min-area", type=int, help="smallest nucleus, pixels (default: 0)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--diameter", type=float, help="typical nucleus diameter in the images, pixels")
    size.add_argument("--scale", type=float, help="zoom before the network")
    parser.set_defaults(run=run_segment)


def run_segment(options: argparse.Namespace) -> int:
    """Segment every image; report bad files and go on."""
    from napari_pffnet.config import SegmentConfig, parse
    from napari_pffnet.library import load_model, pick_device
    from napari_pffnet.segment import Segmenter

    given = {
        "score_threshold": options.score,
        "min_area": options.min_area,
        "diameter": options.diameter,
        "scale": options.scale,
    }
    config = parse(SegmentConfig, {key: value for key, value in given.items() if value is not None}, "command line")
    paths = find_images(options.inputs)
    model = load_model(options.model, pick_device(options.device))
    segmenter = Segmenter(model, config)
    options.output.mkdir(parents=True, exist_ok=True)
    failed = sum(not _segment_file(segmenter, path, options.output) for path in paths)
    if failed:
        print(f"{failed} of {len(paths)} files failed", file=sys.stderr)
    return 1 if failed else 0


def find_images(inputs: Sequence[Path]) -> list[Path]:
    """Expand folders; two images of one name would overwrite each other's results and are refused."""
    from napari_pffnet.data.folder import list_images
    from napari_pffnet.io.images import SUFFIXES

    paths = []
    for path in inputs:
        if path.is_dir():
            paths += [file for files in list_images(path).values() for file in files]
        else:
            paths.append(path)
    if not paths:
        raise ValueError(f"no images in {', '.join(map(str, inputs))}; image files end in {', '.join(SUFFIXES)}")
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"several images are named {', '.join(twice[:3])}; segment them into different --output folders"
        )
    return paths


def _segment_file(segmenter: Segmenter, path: Path, output: Path) -> bool:
    from napari_pffnet.io.images import read_image, to_plane
    from napari_pffnet.io.results import write_labels, write_overlay, write_semantic, write_table

    targets = [output / name.replace("NAME", path.stem) for name in OUTPUTS.split(", ")]
    start = time.perf_counter()
    try:
        if path.resolve() in [target.resolve() for target in targets]:
            raise ValueError("is also a result's name; choose another --output")
        image = to_plane(*read_image(path)[:2])
        labels, semantic, table = segmenter.predict(image).compose(segmenter.config)
        write_labels(targets[0], labels)
        write_semantic(targets[1], semantic)
        write_table(targets[2], table)
        write_overlay(targets[3], image, labels)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"failed: {path}: {error}", file=sys.stderr)
        return False
    print(f"{path}: {len(table)} nuclei in {time.perf_counter() - start:.1f} s -> {', '.join(map(str, targets))}")
    return True


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Declare ``evaluate``."""
    parser.description = (
        "Compare label images: AP at IoU 0.5 to 0.9, AJI, AJI+, Dice, DQ, SQ, PQ per image, their means, and AP pooled"
        " over all nuclei. Images that cannot be compared are reported, and the exit code is 1."
    )
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="folder of NAME_labels.tif or NAME.tif")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="folder of NAME.tif; or give two files")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """Print the table and write the files; report what cannot be compared."""
    from napari_pffnet.evaluate import report

    pairs = report.find_pairs(options.predictions, options.truth)
    scores, faults = report.evaluate_files(pairs.files)
    faults = [*pairs.faults, *faults]
    if scores:
        table = report.to_table(scores)
        print(report.to_text(table, shutil.get_terminal_size((160, 24)).columns))
        _write(options.csv, report.to_csv(table))
        _write(options.json, report.to_json(table, faults))
    for fault in faults:
        print(f"failed: {fault}", file=sys.stderr)
    if faults:
        print(f"{len(faults)} of {len(faults) + len(scores)} images not evaluated", file=sys.stderr)
    if pairs.extra:
        print(f"note: no truth for {', '.join(pairs.extra[:5])}{' …' * (len(pairs.extra) > 5)}", file=sys.stderr)
    return 1 if faults else 0


def _write(path: Path | None, text: str) -> None:
    from napari_pffnet.io.atomic import write_atomic

    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())


if __name__ == "__main__":
    sys.exit(main())
