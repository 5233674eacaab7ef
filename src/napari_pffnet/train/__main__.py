"""``python -m napari_pffnet.train``: train the full network from a recipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pffnet.config import ConfigError, TrainConfig, apply_overrides, load, parse
from napari_pffnet.io.errors import reason
from napari_pffnet.io.terminal import print_any_text
from napari_pffnet.train.control import EFFORTS, USUAL_EFFORT, listed

if TYPE_CHECKING:
    from napari_pffnet.train.events import Event
    from napari_pffnet.train.material import TrainingMaterial


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_pffnet.train",
        description="Train PFFNet: fine-tune a model on a project (--project), or train on folders (--data). Under "
        "torchrun the same command runs on several GPUs or machines.",
        epilog="Any key of the recipe can be set here, for example: schedule.steps=2000 model.consistency=false",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--project", type=Path, metavar="DIR",
        help="fine-tune --base on a project's images that are done, or on a folder as for --data",
    )  # fmt: skip
    what.add_argument(
        "--data", type=Path, nargs="+", metavar="DIR",
        help="training folders: a project, images/ + labels/ (optional semantic/), or images with a COCO file",
    )  # fmt: skip
    parser.add_argument(
        "--base", metavar="NAME|PATH", help="with --project: the model to start from (default: the package's)"
    )
    parser.add_argument(
        "--effort", choices=list(EFFORTS), help=f"with --project: how long to train (default: {USUAL_EFFORT})"
    )
    parser.add_argument(
        "--replay", type=Path, metavar="DIR", help="with --project: images of what the base model shall not forget"
    )
    parser.add_argument("--config", type=Path, help="with --data: recipe in YAML (see training/recipes)")
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
    """Run the command; return the exit code (0 done, 1 training failed, 2 wrong input, 130 interrupted)."""
    parser = build_parser()
    print_any_text()
    options = parser.parse_intermixed_args(arguments)
    options.arguments = list(sys.argv[1:] if arguments is None else arguments)
    others = ("config", "init", "validation") if options.project else ("base", "replay", "effort")
    for name in ("data", "validation"):  # both take all that follows
        paths = getattr(options, name) or []
        settings = [str(path) for path in paths if "=" in str(path) and not path.exists()]
        options.overrides += settings
        setattr(options, name, [path for path in paths if str(path) not in settings])
    given = next((name for name in others if getattr(options, name)), None)
    if given is not None:
        parser.error(f"--{given} does not go with --{'project' if options.project else 'data'}")
    from napari_pffnet.data.sources import DataError
    from napari_pffnet.library import LibraryError
    from napari_pffnet.model.convert import ConvertError
    from napari_pffnet.train.child import INTERRUPTED, leave
    from napari_pffnet.train.state import TrainingError

    code = 1
    try:
        _run(options)
        code = 0
    except (ConfigError, DataError, LibraryError, ConvertError, OSError) as error:
        print(f"error: {reason(error)}", file=sys.stderr)
        code = 2
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"stopped; go on with --resume auto --output {options.output}", file=sys.stderr)
        code = INTERRUPTED
    finally:
        leave(options.output, code)
    return code


def _config(options: argparse.Namespace) -> TrainConfig:
    if options.config is not None:
        config = load(TrainConfig, options.config, options.overrides)
    else:
        config = parse(TrainConfig, apply_overrides({}, options.overrides), "command line")
    return config if options.init is None else config.model_copy(update={"init": options.init})


def _run(options: argparse.Namespace) -> None:
    from napari_pffnet.distributed import processes
    from napari_pffnet.library import pick_device
    from napari_pffnet.train.reporters import LOG_FILE, log_lines, show, tensorboard
    from napari_pffnet.train.start import find_resume, prepare

    run = _finetuning(options) if options.project else _training(options)
    base = pick_device(options.device)
    with processes(base) as group:
        resume = find_resume(options.resume, options.output)
        if group.is_main:
            prepare(options.output, resume, options.arguments)
        events = run(options.output, device=group.device(base), group=group, resume=resume)
        if group.is_main:
            events = log_lines(events, options.output / LOG_FILE)
            events = tensorboard(events, options.output / "tensorboard") if options.tensorboard else events
        show(events, quiet=options.quiet or not group.is_main)


def _training(options: argparse.Namespace) -> Callable[..., Iterator[Event]]:
    from napari_pffnet.data.opening import check, open_source
    from napari_pffnet.train.loop import fit
    from napari_pffnet.train.start import initial_network

    config = _config(options)
    data = [open_source(path) for path in options.data]
    validation = [open_source(path) for path in options.validation]
    check([*data, *validation])

    def run(output: Path, **how: Any) -> Iterator[Event]:
        yield from fit(config, initial_network(config), data, validation, output, **how)

    return run


def _finetuning(options: argparse.Namespace) -> Callable[..., Iterator[Event]]:
    from napari_pffnet.data.opening import check, open_source
    from napari_pffnet.library import load_model
    from napari_pffnet.train.child import watched
    from napari_pffnet.train.finetune import BASE, finetune, recipe
    from napari_pffnet.train.material import open_material

    kept = sorted((options.output / BASE).glob("*.safetensors")) if options.resume else []
    base = load_model(kept[0] if kept else options.base or "default")
    if kept and options.base and kept[0].stem != Path(options.base).stem:
        print(f"note: the run in {options.output} goes on from {kept[0].stem}, not {options.base}", file=sys.stderr)
    options.overrides = [*(_chosen_before(options.output) if options.resume else []), *options.overrides]
    wanted = recipe(base.config, options.effort or USUAL_EFFORT, 1, options.overrides)
    material = open_material(options.project, wanted.finetune, base.card)
    if not watched(options.output):  # the panel saves before it trains
        _check_saved(options.project, material)
    config = recipe(base.config, options.effort or USUAL_EFFORT, len(material.train), options.overrides)
    replay = open_source(options.replay) if options.replay else None
    check([replay] if replay is not None else [])
    return partial(finetune, config, base, material, replay=replay)


def _chosen_before(output: Path) -> list[str]:
    """Return the images of the run in a folder as settings; none if it has not begun."""
    file = output / "config.yaml"
    if not file.is_file():
        return []
    chosen = load(TrainConfig, file).finetune
    names = {"images": chosen.images, "held_out": chosen.held_out}
    return [f"finetune.{key}={listed(each)}" for key, each in names.items() if each]


def _check_saved(project: Path, material: TrainingMaterial) -> None:
    """Raise DataError if edits of images that are used are in the journal only: they would not count."""
    from napari_pffnet.curate.history import unsaved_edits
    from napari_pffnet.data.sources import DataError, names_of

    for name in sorted({*names_of(material.train), *names_of(material.held_out)}):
        if count := unsaved_edits(project / "journal" / name):
            edits = "1 edit is" if count == 1 else f"{count} edits are"
            raise DataError(
                f"{project}: of {name} {edits} in the journal, but not in labels/ yet; open the project and this "
                "image in napari, which brings them back, and go on to another image, which saves them"
            )


if __name__ == "__main__":
    sys.exit(main())
