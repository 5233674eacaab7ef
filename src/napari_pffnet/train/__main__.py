"""``python -m napari_pffnet.train``: train the full network from a recipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_pffnet.config import ConfigError, TrainConfig, apply_overrides, load, parse


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_pffnet.train",
        description="Train PFFNet. Under torchrun the same command runs on several GPUs or machines.",
        epilog="Any key of the recipe can be set here, for example: schedule.steps=2000 model.consistency=false",
    )
    parser.add_argument("--config", type=Path, help="recipe in YAML (see training/recipes); defaults if absent")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="training folders: a project, images/ + labels/ (optional semantic/), or images with a COCO file",
    )  # fmt: skip
    parser.add_argument(
        "--validation", type=Path, nargs="+", default=[], metavar="DIR", help="validation folders, same layout"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where models, logs and the resume state go"
    )
    parser.add_argument(
        "--resume", metavar="auto|PATH", help="go on from a resume file; auto: from the one in --output, if any"
    )
    parser.add_argument(
        "--init", metavar="PATH|imagenet|none",
        help="first weights: a model file, published weights (.pth, .pkl), ImageNet weights of the body, or none",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard files to OUTPUT/tensorboard")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that override the recipe")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code (0 done, 1 training failed, 2 wrong input)."""
    options = build_parser().parse_intermixed_args(arguments)
    from napari_pffnet.data.sources import DataError
    from napari_pffnet.library import LibraryError
    from napari_pffnet.model.convert import ConvertError
    from napari_pffnet.train.state import TrainingError

    try:
        _run(options, _config(options))
    except (ConfigError, DataError, LibraryError, ConvertError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; go on with --resume auto --output {options.output}", file=sys.stderr)
        return 130
    return 0


def _config(options: argparse.Namespace) -> TrainConfig:
    if options.config is not None:
        config = load(TrainConfig, options.config, options.overrides)
    else:
        config = parse(TrainConfig, apply_overrides({}, options.overrides), "command line")
    return config if options.init is None else config.model_copy(update={"init": options.init})


def _run(options: argparse.Namespace, config: TrainConfig) -> None:
    from napari_pffnet.data.opening import check, open_source
    from napari_pffnet.distributed import processes
    from napari_pffnet.library import pick_device
    from napari_pffnet.train.loop import fit
    from napari_pffnet.train.reporters import LOG_FILE, log_lines, show, tensorboard
    from napari_pffnet.train.start import find_resume, initial_network, prepare

    data = [open_source(path) for path in options.data]
    validation = [open_source(path) for path in options.validation]
    check([*data, *validation])
    base = pick_device(options.device)
    with processes(base) as group:
        resume = find_resume(options.resume, options.output)
        if group.is_main:
            prepare(options.output, resume)
        device = group.device(base)
        network = initial_network(config)
        events = fit(config, network, data, validation, options.output, device=device, group=group, resume=resume)
        if group.is_main:
            events = log_lines(events, options.output / LOG_FILE)
            events = tensorboard(events, options.output / "tensorboard") if options.tensorboard else events
        show(events, quiet=options.quiet or not group.is_main)


if __name__ == "__main__":
    sys.exit(main())
