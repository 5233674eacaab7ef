"""Which images ``napari-pffnet segment`` takes, what it writes, and what it never writes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_pffnet.typing import Array
from napari_pffnet.wording import repeated

if TYPE_CHECKING:
    import pandas as pd

    from napari_pffnet.segment.prediction import Segmentation

OUTPUTS = {
    "_labels.tif": "one number per nucleus, 0 is background",
    "_semantic.tif": "1 nucleus, 0 background, as the semantic branch sees it",
    ".csv": "one row per nucleus: index (its label), y, x, area (pixels), area_um2 (where known), "
    "score, quality, mask_score (their product), overlap",
    "_overlay.png": "the image with the outlines",
}
LINKED = "_linked.csv"
LARGE_OUTPUTS = {
    ".zarr": "OME-Zarr with labels/nuclei and labels/semantic, as pyramids",
    ".csv": "as above, index in the order of the blocks of the image",
    ".partial": "a folder while it runs; after a crash the same command goes on there",
}


class Job(NamedTuple):
    """An image file or folder; a `large` one is read and written part by part.

    `plane`: the only one of a stack that is wanted. `linked`: nuclei have one number on all planes.
    """

    path: Path
    large: bool
    plane: int | None = None
    linked: bool = False

    @property
    def name(self) -> str:
        """What its results are named after; other planes of a stack have other names."""
        return self.path.stem if self.plane is None else f"{self.path.stem}_plane{self.plane}"

    def targets(self, output: Path) -> list[Path]:
        """Return the files that its result is written to."""
        suffixes = list(LARGE_OUTPUTS)[:2] if self.large else [*OUTPUTS, *[LINKED] * self.linked]
        return [output / f"{self.name}{suffix}" for suffix in suffixes]


class FileResult(NamedTuple):
    """What is written of an image.

    `result`: of a stack with a row for each nucleus on each plane, and `linked` with one for each nucleus; `axes` and
    `sizes` (µm) of its pixels; `seen`: a plane as the network saw it, float32 3×H×W, and its index `at` in the labels;
    `place`: columns of where an only plane is in its stack.
    """

    result: Segmentation
    axes: str
    sizes: Mapping[str, float]
    seen: Array
    at: tuple[int, ...] = ()
    place: Mapping[str, int] = {}
    linked: pd.DataFrame | None = None


def write(targets: Sequence[Path], overwrite: bool, found: FileResult) -> None:
    """Write what was found to the targets of a job; a table of nuclei that were linked before goes away."""
    from napari_pffnet.io.results import write_labels, write_overlay, write_semantic, write_table

    result, axes, sizes = found.result, found.axes, found.sizes
    of_planes = found.linked is not None or result.labels.ndim > 2
    linked = [targets[2].with_name(f"{targets[2].stem}{LINKED}")] if of_planes else []
    check_results([*targets, *linked], overwrite)  # once more: the images before this one took their time
    write_labels(targets[0], result.labels, axes, sizes)
    write_semantic(targets[1], result.semantic, axes, sizes)
    write_table(targets[2], result.table, sizes.get("X", 0) * sizes.get("Y", sizes.get("X", 0)), found.place)
    write_overlay(targets[3], found.seen, result.labels[found.at])
    for file in linked:
        if found.linked is None:
            file.unlink(missing_ok=True)
        else:
            write_table(file, found.linked)


def find_jobs(
    inputs: Sequence[Path],
    plane: int | None = None,
    linked: bool = False,
    by_planes: Callable[[Path], bool] = lambda _path: False,
) -> list[Job]:
    """Return a job for each image of `find_images`; `plane` and `linked` as of `Job`.

    `by_planes`: of an image that is read by windows, whether it is a stack whose planes fit into memory.
    """
    from napari_pffnet.io.lazy import LARGE, is_lazy

    return [Job(path, is_lazy(path, LARGE) and not by_planes(path), plane, linked) for path in find_images(inputs)]


def find_images(inputs: Sequence[Path]) -> list[Path]:
    """Expand folders, without results in them, and projects; images of one name would share results and are refused."""
    from napari_pffnet.data.folder import RESULTS, list_images, results_among
    from napari_pffnet.io.images import SUFFIXES
    from napari_pffnet.io.lazy import is_zarr
    from napari_pffnet.io.ome_zarr import is_result
    from napari_pffnet.io.project import is_project
    from napari_pffnet.io.results import is_result as is_written

    paths: list[Path] = []
    for path in inputs:
        if not path.is_dir() or is_zarr(path):
            paths.append(path.resolve() if path.name in ("", "..") else path)  # results are named after it
            continue
        if is_project(path):
            paths += _of_project(path)
            continue
        found = list_images(path)
        results = results_among(found)
        images = [file for name, files in found.items() if name not in results for file in files]
        paths += [file for file in images if not (file.stem.endswith(RESULTS) and is_written(file))]
        paths += sorted(folder for folder in path.iterdir() if is_zarr(folder) and not is_result(folder))
    if not paths:
        raise ValueError(f"no images in {', '.join(map(str, inputs))}; image files end in {', '.join(SUFFIXES)}")
    paths = list({(path.parent.resolve(), path.name): path for path in paths}.values())
    twice = repeated(path.stem for path in paths)
    if twice:
        raise ValueError(
            f"several images are named {', '.join(twice[:3])}; segment them into different --output folders"
        )
    return paths


def _of_project(folder: Path) -> list[Path]:
    """Return the image files of a project; one that is missing is said when it is read."""
    from napari_pffnet.io.project import PROJECT_FILE, ProjectError, find_image, read_manifest

    paths = []
    for entry in read_manifest(folder / PROJECT_FILE).images:
        try:
            paths.append(find_image(folder, entry))
        except ProjectError:
            paths.append(folder / entry.path)
    return paths


def protect(jobs: Sequence[Job], output: Path, overwrite: bool) -> None:
    """Refuse to write over what is to be read, and over files that are no results or were corrected."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output {output} is a file; give a folder")
    written = {target.resolve() for job in jobs for target in job.targets(output)}
    lost = [job.path for job in jobs if job.path.resolve() in written]
    if lost:
        raise ValueError(f"the results would overwrite the input {lost[0]}; choose another --output folder")
    check_results(sorted(written), overwrite)


def check_results(targets: Sequence[Path], overwrite: bool) -> None:
    """Refuse to write over files that are no results or were corrected; those of large images say it themselves."""
    from napari_pffnet.io.results import is_result

    if overwrite:
        return
    foreign = [file for file in targets if file.suffix != ".zarr" and file.exists() and not is_result(file)]
    if foreign:
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise ValueError(
            f"{foreign[0]}{more} was changed since it was written, or is not from here, and is not replaced;"
            " choose another --output folder, or replace such files with --overwrite"
        )
