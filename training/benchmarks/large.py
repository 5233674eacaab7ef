"""A large image from Zarr to a label pyramid: time, peak memory, and a kill in the middle.

    python training/benchmarks/large.py FOLDER [--side 20000] [--kill-at 0.4] [--log FILE]

Writes into FOLDER a synthetic fluorescence image of SIDE × SIDE pixels (patches of `synthetic_nuclei`, a fifth of the
area bare background) as OME-Zarr, then runs ``napari-pffnet segment`` on it as a process of its own. Its memory and
that of its children is sampled twice a second. With --kill-at it is killed (SIGKILL) when that share of the tiles is
there, and started again. An image that is there already is used again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import zarr

from napari_pffnet.segment.tiles import make_tiles
from napari_pffnet.synthetic import synthetic_nuclei

PATCH, KINDS, NUCLEI = 1000, 8, 500
TILE, OVERLAP, STRIDE = 1024, 128, 32


def make(path: Path, side: int) -> int:
    """Write the image; return how many nuclei it has."""
    random = np.random.default_rng(0)
    kinds = [synthetic_nuclei((PATCH, PATCH), NUCLEI, seed) for seed in range(KINDS)]
    group = zarr.create_group(path, overwrite=True)
    array = group.create_array("0", shape=(side, side), chunks=(PATCH, PATCH), dtype="uint16")
    count = 0
    for y in range(0, side, PATCH):
        for x in range(0, side, PATCH):
            height, width = min(PATCH, side - y), min(PATCH, side - x)
            if random.random() < 0.2:
                patch = np.clip(1000 + 250 * random.standard_normal((PATCH, PATCH)), 0, 65535).astype(np.uint16)
            else:
                patch, labels = kinds[random.integers(KINDS)]
                count += len(np.unique(labels[:height, :width])) - 1
            array[y : y + height, x : x + width] = patch[:height, :width]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    (path / "nuclei.json").write_text(json.dumps(count))
    return count


def memory(process: psutil.Process) -> int:
    """Resident memory of a process and its children, bytes."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def run(command: list[str], work: Path, kill_after: int | None, log: Path) -> tuple[float, int, bool]:
    """Run a command; return seconds, peak memory in bytes, whether it was killed by us."""
    start, peak, killed, said = time.monotonic(), 0, False, 0.0
    with log.open("a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, memory(watched))
            except psutil.NoSuchProcess:
                break
            done = len(list((work / "tiles").glob("[0-9]*.npz"))) if (work / "tiles").exists() else 0
            if time.monotonic() - said > 60:
                said = time.monotonic()
                note(log, f"{said - start:.0f} s: {done} tiles, peak so far {peak / 2**20:.0f} MiB")
            if kill_after is not None and done >= kill_after:
                process.kill()
                killed = True
            time.sleep(0.5)
        code = process.wait()
    if code and not killed:
        raise SystemExit(f"the command failed with {code}; see {log}")
    return time.monotonic() - start, peak, killed


def note(log: Path, text: str) -> None:
    """Say something on the screen and in the log."""
    line = f"{time.strftime('%H:%M:%S')} {text}"
    print(line, flush=True)
    with log.open("a") as file:
        file.write(line + "\n")


def main() -> None:
    """Make, run, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=20000)
    parser.add_argument("--kill-at", type=float, help="share of the tiles after which the process is killed once")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--scheduler", help="address of a dask scheduler")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    name = f"synthetic{options.side}"
    image, log = options.folder / f"{name}.zarr", options.log or options.folder / f"{name}.log"
    count = json.loads((image / "nuclei.json").read_text()) if image.exists() else make(image, options.side)
    tiles = len(make_tiles((options.side, options.side), TILE, OVERLAP, STRIDE))
    note(log, f"{options.side} × {options.side} pixels, {tiles} tiles, {count} nuclei drawn (some cut by patches)")
    output = options.folder / "out"
    command = [sys.executable, "-m", "napari_pffnet.cli", "segment", str(image), "--output", str(output)]
    command += ["--scheduler", options.scheduler] if options.scheduler else []
    kill_after = int(options.kill_at * tiles) if options.kill_at else None
    work, total, highest, killed = output / f"{name}.partial", 0.0, 0, True
    while killed:
        seconds, peak, killed = run(command, work, kill_after, log)
        total, highest, kill_after = total + seconds, max(highest, peak), None
        note(log, f"{'killed' if killed else 'done'} after {seconds:.0f} s, peak {peak / 2**20:.0f} MiB")
    found = len(pd.read_csv(output / f"{name}.csv"))
    speed = options.side**2 / 1e6 / total
    note(log, f"in all {total:.0f} s ({speed:.2f} Mpx/s), peak {highest / 2**20:.0f} MiB, {found} nuclei found")


if __name__ == "__main__":
    main()
