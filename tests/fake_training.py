"""``python fake_training.py OUTPUT [how]``: a training that learns nothing, in the files of a real one.

`how`: steps=N, seconds=S per step, then crash, memory, exit or hang when the steps are done; else it ends well.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

LOSSES = (
    "loss_objectness", "loss_rpn_box", "loss_classifier", "loss_box", "loss_mask", "loss_mask_semantic",
    "loss_quality", "loss_semantic", "loss_consistency",
)  # fmt: skip
OLD, NEW = {"ap50": 0.5, "aji": 0.4, "pq": 0.3}, {"ap50": 0.7, "aji": 0.5, "pq": 0.25}
GATE = {
    "old": OLD,
    "new": NEW,
    "images": [{"name": "a", "old": OLD, "new": NEW}],
}


def step(number, steps):
    losses = {name: 1 / (number + place) for place, name in enumerate(LOSSES, 1)}
    return {"step": number, "steps": steps, "losses": losses, "rate": 1e-3, "crops_per_second": 8.0, "kind": "step"}


def events(steps):
    """All events of a run that ends well, without the last two."""
    yield {"kind": "plan", "images": 2, "nuclei": 30, "held_out": ["a"], "steps": steps, "seconds_per_step": 0.5}
    for number in range(1, steps + 1):
        yield step(number, steps)
        if number % 10 == 0:
            metrics = {"ap50": number / (number + 10), "pq": number / (number + 20), "val_loss_box": 0.3}
            yield {"kind": "validation", "step": number, "metrics": metrics}
            yield {"kind": "checkpoint", "step": number, "path": "best.safetensors", "best": True}


def write(output, *wanted):
    """Append events to the log of a run."""
    with (Path(output) / "log.jsonl").open("a") as file:
        for event in wanted:
            file.write(json.dumps(event) + "\n")


def end(output):
    """What stands in the folder at the end."""
    (output / "best.safetensors").write_bytes(b"weights")
    (output / "gate.json").write_text(json.dumps(GATE))
    write(output, {"kind": "gate", **GATE})


def main(output, *how):
    settings = dict(item.split("=") for item in how if "=" in item)
    print(f"fake training in {output}")
    for event in events(int(settings.get("steps", 10))):
        write(output, event)
        time.sleep(float(settings.get("seconds", 0)))
        while (output / "pause").exists():
            time.sleep(0.02)
        if (output / "stop").exists():
            break
    if "crash" in how:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "memory" in how:
        sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    if "exit" in how:
        sys.exit("error: no images; mark some as done")
    if "hang" in how:
        time.sleep(60)
    end(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
