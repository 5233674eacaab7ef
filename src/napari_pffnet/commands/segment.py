"""``napari-pffnet segment``: images and folders in, labels, tables and pictures out."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pffnet.commands.segment_files import (
    LARGE_OUTPUTS,
    LINKED,
    OUTPUTS,
    FileResult,
    Job,
    find_jobs,
    protect,
    write,
)
from napari_pffnet.commands.segment_notes import notes_on
from napari_pffnet.commands.segment_stack import segment_stack
from napari_pffnet.io.stains import HEMATOXYLIN, Channel
from napari_pffnet.io.terminal import IN_FILES, tell

Progress = Callable[[int, int], None]
if TYPE_CHECKING:
    from napari_pffnet.config import SegmentConfig
    from napari_pffnet.io.lazy import FilePlane
    from napari_pffnet.segment import Segmenter
    from napari_pffnet.segment.cluster import SpreadTiles

STACKS = f"""
With --plane N they are named NAME_planeN, and the table has the plane. With --all-planes labels and semantic are
stacks; the table has one row per nucleus and plane, with a column for each axis by its name (z, t, ...; without a
name: plane), counted from 0. Blank planes are not looked at. The overlay is that of the plane that shows most. With
--link also
  NAME{LINKED:14} one row per nucleus: index, first and last place along each axis (z_first, z_last), planes (how many),
  {"":18} centre (weighted by area), area (sum), volume_um3 (of Z stacks, where known), means of the scores
A stack is written when all its planes are done: one that is interrupted leaves nothing, and begins anew."""
CHANNEL = "--channel N; if they are no channels, name the axes with --axes"
CHOICES = {"plane": "--plane N, or all with --all-planes", "channel": CHANNEL}
LARGE_CHOICES = {"plane": "--plane N", "channel": CHANNEL}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare options and help."""
    parser.description = (
        "Segment images. For each image NAME these files are written, results of earlier runs are replaced"
        " unless they were changed since:"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description += "".join(f"\n  NAME{suffix:14} {what}" for suffix, what in OUTPUTS.items())
    parser.description += STACKS
    parser.description += "\n\nOME-Zarr folders and TIFFs over 64 Mpx are read and written part by part instead:"
    parser.description += "".join(f"\n  NAME{suffix:14} {what}" for suffix, what in LARGE_OUTPUTS.items())
    parser.epilog = "A file that fails is reported, the rest goes on, and the exit code is 1."
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="INPUT", help="image files, OME-Zarr folders, or folders of these"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where results go; made if missing")
    parser.add_argument(
        "--model", default="default", metavar="NAME|PATH", help="model name or .safetensors file (default: default)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--score", type=float, help="lowest mask_score of a nucleus, 0 to 1 (default: 0.5)")
    parser.add_argument("--min-area", type=int, help="smallest nucleus, pixels (default: 0)")
    parser.add_argument(
        "--channel",
        type=_channel,
        metavar="N",
        help="of images with several channels, or colours: which one, from 0; of colours also hematoxylin, that stain"
        " alone, where others such as brown DAB around the nuclei hide them",
    )
    parser.add_argument(
        "--axes",
        type=_axes,
        metavar="LETTERS",
        help="what the axes of the images are, where files do not say or say it wrongly: a letter each of T, Z, C, Y, X"
        " and S (colours), such as ZYX for a stack",
    )
    planes = parser.add_mutually_exclusive_group()
    planes.add_argument(
        "--plane", type=int, metavar="N", help="of stacks and series: which plane, from 0, counted through all axes"
    )
    planes.add_argument(
        "--all-planes", action="store_true", help="of stacks and series: every plane, of up to 64 Mpx each"
    )
    parser.add_argument("--link", action="store_true", help="with --all-planes: a nucleus has one number on all planes")
    parser.add_argument(
        "--level",
        type=_level,
        default=0,
        metavar="N|auto",
        help="of large images: level of a pyramid, 0 is the largest (default: 0); auto is the smallest that shows"
        " nuclei well",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace any file of these names, also corrected labels (default: those that are as a run wrote them)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="of large images: begin anew, forget what an earlier run has done"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="spread tiles and files over this dask.distributed cluster"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--diameter",
        type=float,
        help="typical nucleus diameter, pixels (of the level, of level 0 with --level auto; default: found out)",
    )
    size.add_argument(
        "--scale", type=float, help="zoom before the network; 1 takes images as they are (default: found out)"
    )
    parser.set_defaults(run=run)


def _axes(text: str) -> str:
    """Letters of axes, in capitals."""
    letters = text.upper()
    if len(set(letters)) < len(letters) or not set("YX") <= set(letters) <= set("TZCYXS"):
        raise argparse.ArgumentTypeError(
            f"{text!r} are no axes; give Y, X and the others there are of T, Z, C and S (colours), in order, once each"
        )
    return letters


def _level(text: str) -> int | None:
    """Number of a level; None is auto."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no level; give a number, 0 is the largest, or auto")
    return int(text)


def _channel(text: str) -> Channel:
    """Number of a channel, or the stain that takes its place."""
    if text == HEMATOXYLIN:
        return HEMATOXYLIN
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no channel; give a number, from 0, or {HEMATOXYLIN}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Segment every image; report bad files and go on."""
    from napari_pffnet.library import load_model, pick_device
    from napari_pffnet.segment import Segmenter

    if options.link and not options.all_planes:
        raise ValueError("--link needs --all-planes")
    config = _config(options)
    jobs = find_jobs(options.inputs, options.plane, options.link, lambda path: _by_planes(path, options))
    protect(jobs, options.output, options.overwrite)
    if options.link and len(jobs) > 1:
        _note("--link gives the nuclei of each file one number on all its planes; files are not linked to each other")
    cluster = _connect(options)
    if cluster is not None:  # workers may have started in other folders
        options.output = options.output.resolve()
        options.model = str(Path(options.model).resolve()) if Path(options.model).is_file() else options.model
    segmenter = Segmenter(load_model(options.model, pick_device(options.device)), config)
    options.output.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), cluster or nullcontext():
        warnings.showwarning = _note
        failed = _everything(segmenter, jobs, options, cluster)
    if failed:
        tell(f"{failed} of {len(jobs)} files failed", sys.stderr)
    return 1 if failed else 0


def _by_planes(path: Path, options: argparse.Namespace) -> bool:
    """Whether all planes of a stack are wanted, and each fits into memory."""
    if not options.all_planes:
        return False
    from napari_pffnet.io.images import ImageError
    from napari_pffnet.io.lazy import LARGE, open_stack

    try:
        with open_stack(path, options.channel, options.axes) as stack:
            return len(stack.places) > 1 and stack.shape[-2] * stack.shape[-1] <= LARGE
    except ImageError:  # said when it is read
        return False


def _config(options: argparse.Namespace) -> SegmentConfig:
    from napari_pffnet.config import SegmentConfig, parse

    given = {
        "score_threshold": options.score,
        "min_area": options.min_area,
        "diameter": options.diameter,
        "scale": options.scale,
    }
    return parse(SegmentConfig, {key: value for key, value in given.items() if value is not None}, "command line")


def _connect(options: argparse.Namespace) -> Any:
    """Return the cluster that was named, or None."""
    if options.scheduler is None:
        return None
    from napari_pffnet.segment.cluster import connect

    return connect(options.scheduler)


def _everything(segmenter: Segmenter, jobs: Sequence[Job], options: argparse.Namespace, cluster: Any) -> int:
    """Segment every image, those that fit into memory on the cluster if there is one; how many failed."""
    large, small = ([job for job in jobs if job.large is wanted] for wanted in (True, False))
    if cluster is None:
        failed = sum(not _attempt(segmenter, job, options) for job in small)
    else:
        from napari_pffnet.segment.cluster import new_run, spread

        failed, files = 0, [job._replace(path=job.path.absolute()) for job in small]
        for job, (count, seconds, fault) in spread(cluster, files, _remote, (options, new_run())):
            failed += not _tell(job, options, count, seconds, fault)
    return failed + sum(not _attempt(segmenter, job, options, cluster) for job in large)


def _remote(job: Job, options: argparse.Namespace, run: str) -> tuple[int, float, str]:
    """Segment one image in a worker: number of nuclei, seconds, what went wrong."""
    from napari_pffnet.segment.cluster import one_at_a_time, worker_segmenter

    with one_at_a_time():
        segmenter = worker_segmenter(options.model, options.device, _config(options), run)
        return _try(lambda: _segment(segmenter, job, options))


def _attempt(segmenter: Segmenter, job: Job, options: argparse.Namespace, cluster: Any = None) -> bool:
    """Segment one image and say how it went."""
    if job.large:
        return _tell(job, options, *_try(lambda: _segment_large(segmenter, job, options, cluster), LARGE_CHOICES))
    return _tell(job, options, *_try(lambda: _segment(segmenter, job, options)))


def _try(work: Callable[[], int], choices: Mapping[str, str] = CHOICES) -> tuple[int, float, str]:
    """Return the number of nuclei, the seconds it took, and what went wrong or ""."""
    from napari_pffnet.io.errors import reason
    from napari_pffnet.io.images import ChoiceError

    start = time.perf_counter()
    try:
        return work(), time.perf_counter() - start, ""
    except ChoiceError as error:
        return 0, 0.0, f"{error} with {choices[error.choice]}"
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return 0, 0.0, reason(error)
    except Exception as error:  # whatever is wrong with one image, the rest goes on
        return 0, 0.0, repr(error)


def _tell(job: Job, options: argparse.Namespace, count: int, seconds: float, fault: str) -> bool:
    path = job.path
    if fault:
        fault = fault.removeprefix(f"{path}: ").removeprefix(f"{path.absolute()}: ")
        if job.large and (options.output / f"{job.name}.partial").exists():
            fault += "; what is done is kept, and the same command goes on there"
        tell(f"failed: {path}: {fault}", sys.stderr)
        return False
    for note in notes_on(path, options):
        _note(f"{path}: {note}")
    files = ", ".join(map(str, job.targets(options.output)))
    tell(f"{path}: {count} nuclei in {seconds:.1f} s -> {files}")
    return True


def _segment_large(segmenter: Segmenter, job: Job, options: argparse.Namespace, cluster: Any) -> int:
    from tqdm import tqdm

    from napari_pffnet.io.lazy import FilePlane, open_plane, open_stack
    from napari_pffnet.segment.large import segment_large

    path = job.path
    if options.all_planes:
        with open_stack(path, options.channel, options.axes) as stack:
            count = len(stack.places)
        if count > 1:
            raise ValueError(
                f"--all-planes is not for planes of over 64 Mpx; choose one of the {count} planes with --plane N"
            )
    source = FilePlane(str(path.resolve()), options.channel, job.plane, options.level or 0, options.axes)
    if options.level is None:
        source, segmenter = _on_its_level(source, segmenter)
    quiet = not sys.stderr.isatty()
    with (
        open_plane(source) as plane,
        tqdm(desc=path.name, unit="tile", leave=False, **(IN_FILES if quiet else {})) as bar,
    ):

        def progress(done: int, total: int) -> None:
            if bar.total is None:
                _begin(bar, done, total)
            bar.update(done - bar.n)

        done = segment_large(
            plane,
            segmenter,
            options.output / job.name,
            progress=progress,
            spread=_spread(cluster, source, options),
            restart=options.restart,
        )
    return done.count


def _begin(bar: Any, done: int, total: int) -> None:
    """Count time from now on, and tiles from those that an earlier run has done: else they would seem to be fast."""
    bar.reset(total)
    bar.initial = bar.n = bar.last_print_n = done


def _on_its_level(source: FilePlane, segmenter: Segmenter) -> tuple[FilePlane, Segmenter]:
    """Return the source at the level that suits its nuclei, and the segmenter for it; say which one it is."""
    from napari_pffnet.io.lazy import level_count, open_plane
    from napari_pffnet.segment import Segmenter
    from napari_pffnet.segment.levels import choose_level

    with ExitStack() as stack:
        sources = [replace(source, level=level) for level in range(level_count(Path(source.path)))]
        levels = [stack.enter_context(open_plane(each)) for each in sources]
        level, factor, diameter = choose_level(segmenter, levels, segmenter.config.diameter)
        shape = levels[level].shape
    seen = f"nuclei of about {diameter:.0f} pixels at level 0" if diameter else "no nuclei seen"
    _note(f"{Path(source.path).name}: level {level} of 0 to {len(sources) - 1}, {shape[0]} × {shape[1]} ({seen})")
    config = segmenter.config
    if config.diameter:
        config = config.model_copy(update={"diameter": config.diameter / factor})
    return sources[level], Segmenter(segmenter.model, config)


def _spread(cluster: Any, source: FilePlane, options: argparse.Namespace) -> SpreadTiles | None:
    if cluster is None:
        return None
    from napari_pffnet.segment.cluster import SpreadTiles

    return SpreadTiles(cluster, source, options.model, options.device)


def _segment(segmenter: Segmenter, job: Job, options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from napari_pffnet.io.lazy import is_zarr, open_stack

    if options.all_planes and (options.level or (options.level is None and is_zarr(job.path))):
        raise ValueError("--all-planes takes those of level 0; leave out --level")
    if options.level:
        raise ValueError(f"--level {options.level} is for OME-Zarr folders and TIFFs over 64 Mpx; leave it out")
    unit, quiet = "plane" if options.all_planes else "tile", not sys.stderr.isatty()
    with tqdm(desc=job.path.name, unit=unit, leave=False, **(IN_FILES if quiet else {})) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = None
        if options.all_planes:
            with open_stack(job.path, options.channel, options.axes) as stack:
                if len(stack.places) > 1:
                    found = segment_stack(segmenter, stack, options.link, progress)
        found = found or _one_plane(segmenter, job, options, progress)
    write(job.targets(options.output), options.overwrite, found)
    return int(found.result.table["index"].nunique())


def _one_plane(segmenter: Segmenter, job: Job, options: argparse.Namespace, progress: Progress) -> FileResult:
    from napari_pffnet.data.normalize import apply_limits
    from napari_pffnet.io.lazy import open_stack, read_plane
    from napari_pffnet.io.stains import is_brown
    from napari_pffnet.io.tables import linked_nuclei
    from napari_pffnet.segment import sized

    image, sizes = read_plane(job.path, options.channel, job.plane, options.axes)
    if options.channel != HEMATOXYLIN and is_brown(image):
        _note(f"{job.path}: much is brown, as DAB is; if that hides nuclei, say --channel {HEMATOXYLIN}")
    seen = sized(segmenter, image, sizes.get("X")).predict(image, progress)
    result, place = seen.compose(segmenter.config), dict[str, int]()
    if job.plane is not None:
        with open_stack(job.path, options.channel, options.axes) as stack:
            place = stack.columns(stack.places[job.plane])
    linked = linked_nuclei(result.table, (), sizes) if job.linked else None
    return FileResult(result, "YX", sizes, apply_limits(image, seen.bounds), place=place, linked=linked)


def _note(message: Warning | str, *_details: Any, **_more: Any) -> None:
    tell(f"note: {message}", sys.stderr)
