"""``napari-pffnet evaluate``: predictions against the truth."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Declare options and help."""
    parser.description = (
        "Compare label images: AP at IoU 0.5 to 0.9, AJI, AJI+, Dice, DQ, SQ, PQ per image, their means, and AP pooled"
        " over all nuclei. Of stacks a nucleus is what has one number, on one plane or several. Images that cannot be"
        " compared are reported, and the exit code is 1."
    )
    parser.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS", help="folder of NAME_labels.tif, NAME.tif or NAME.zarr"
    )
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="folder of NAME.tif or NAME.zarr; or give two files")
    parser.add_argument("--planes", action="store_true", help="of stacks, compare each plane by itself")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table and write the files; report what cannot be compared."""
    from napari_pffnet.evaluate import report

    pairs = report.find_pairs(options.truth, options.predictions)
    inputs = {file.resolve() for pair in pairs.files.values() for file in pair}
    for path in (options.csv, options.json):
        _check(path, inputs)
    scores, found, notes = report.evaluate_files(pairs.files, options.planes)
    faults = [*pairs.faults, *found]
    if scores:
        table = report.to_table(scores)
        print(report.to_text(table, shutil.get_terminal_size((160, 24)).columns))
        _write(options.csv, report.to_csv(table))
        _write(options.json, report.to_json(table, faults))
    else:  # figures of an earlier run would be taken for these
        _write(options.csv, "image\n")
        _write(options.json, report.to_json(None, faults))
    for fault in faults:
        print(f"failed: {fault}", file=sys.stderr)
    if faults:
        print(f"{len(faults)} of {len(faults) + len(scores)} images not evaluated", file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if pairs.extra:
        print(f"note: no truth for {', '.join(pairs.extra[:5])}{' …' * (len(pairs.extra) > 5)}", file=sys.stderr)
    return 1 if faults else 0


def _check(path: Path | None, inputs: set[Path]) -> None:
    """Refuse to write a table over images, or where none can be."""
    from napari_pffnet.io.images import SUFFIXES

    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file")
    if path.resolve() in inputs or path.suffix.lower() in SUFFIXES:
        raise ValueError(f"{path} is the name of an image, not of a table; give a name that ends in .csv or .json")


def _write(path: Path | None, text: str) -> None:
    from napari_pffnet.io.atomic import write_atomic

    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
