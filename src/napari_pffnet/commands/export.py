"""``napari-pffnet export``: label images in the formats of other programs, and outlines of these as label images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pffnet.io.paths import relative
from napari_pffnet.io.terminal import tell
from napari_pffnet.wording import repeated

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from napari_pffnet.data.outline_files import Outline
    from napari_pffnet.io.place import Place

    Labels = tuple[np.ndarray[Any, Any], Place]
    #: stack axes, their lengths, and the index of a plane along them
    Stack = tuple[Sequence[str], Sequence[int], Sequence[int]]

SUFFIXES = {"labels": "_labels.tif", "geojson": ".geojson", "rois": "_rois.zip", "coco": "_coco.json"}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare options and help."""
    parser.description = (
        "Write the nuclei of label images for other programs: geojson for QuPath (detections with scores as"
        " measurements), rois for ImageJ (a zipped set, named by label; holes are filled), coco for machine learning"
        " (a data set with run lengths and scores; one file of all images, nuclei_coco.json, if there are several)."
        " Outlines follow the edges of pixels. In stacks and series each object has its plane (in coco a plane is an"
        " image); axes that are not named T are Z. Scores come from NAME.csv beside NAME_labels.tif (of linked nuclei"
        " from NAME_linked.csv); nuclei that were changed since have none. The other way, labels draws the outlines of"
        " QuPath (NAME.geojson) and ImageJ (NAME.zip, NAME_rois.zip, NAME.roi) as NAME_labels.tif."
    )
    parser.epilog = "A file that fails is reported, the rest goes on, and the exit code is 1."
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="label images, NAME.zarr of large images, outlines, or folders with NAME_labels.tif (of --to labels:"
        " with outlines)",
    )
    parser.add_argument("--to", required=True, choices=SUFFIXES, help="format")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where files go (default: beside the labels)")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="of coco and of outlines: where the images are (default: beside the labels)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export every label image; report bad files and go on."""
    files = _find(options.inputs, options.to)
    if options.images and options.to != "coco" and not any(map(_is_outlines, files)):
        raise ValueError("--images is for --to coco and for outlines; leave it out")
    if options.to == "coco" and len(files) > 1:
        failed = _export_together(files, options)
    else:
        failed = sum(not _attempt(file, _export, file, options) for file in files)
    if failed:
        tell(f"{failed} of {len(files)} files failed", sys.stderr)
    return 1 if failed else 0


def _attempt(file: Path, work: Callable[..., None], *arguments: Any) -> bool:
    """Do what is to be done with a file; say what was wrong with it."""
    from napari_pffnet.io.errors import reason

    try:
        work(*arguments)
    except Exception as error:  # whatever is wrong with one file, the rest goes on
        tell(f"failed: {file}: {reason(error).removeprefix(f'{file}: ')}", sys.stderr)
        return False
    return True


def _export(file: Path, options: argparse.Namespace) -> None:
    from napari_pffnet.io import export
    from napari_pffnet.io.atomic import write_atomic
    from napari_pffnet.io.tiff import label_tiff

    target = (options.output or file.parent) / f"{_name(file)}{SUFFIXES[options.to]}"
    _prepare(target, options.overwrite)
    labels, place = _read(file, options)
    if options.to == "labels":
        write_atomic(target, label_tiff(labels, "".join(place.axes)))
    elif options.to == "geojson":
        export.write_geojson(target, labels, _table(file, labels, place), place)
    elif options.to == "rois":
        export.write_rois(target, labels, place)
    else:
        image = _image(file, options.images, target.parent)
        export.write_coco(target, labels, _table(file, labels, place), image or _name(file), place)
        _tell_missing(int(image is None))
    tell(f"{file} -> {target}")


def _export_together(files: Sequence[Path], options: argparse.Namespace) -> int:
    """Write one data set of all label images; how many failed."""
    from napari_pffnet.io.export import Coco

    folders = {file.parent for file in files}
    if options.output is None and len(folders) > 1:
        raise ValueError("the label images lie in several folders; say with --output where their data set goes")
    target = (options.output or folders.pop()) / f"nuclei{SUFFIXES['coco']}"
    _prepare(target, options.overwrite)
    coco, images = Coco(), []

    def add(file: Path) -> None:
        (labels, place), image = _read(file, options), _image(file, options.images, target.parent)
        coco.add(labels, _table(file, labels, place), image or _name(file), place)
        images.append(image)

    failed = sum(not _attempt(file, add, file) for file in files)
    if failed < len(files):
        coco.write(target)
        _tell_missing(images.count(None))
        tell(f"{len(files) - failed} label images -> {target}")
    return failed


def _tell_missing(count: int) -> None:
    if count:
        tell(f"note: {count} images are not beside their labels; to train on the file say --images DIR", sys.stderr)


def _prepare(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise ValueError(f"{target} is there already; replace it with --overwrite, or give another --output")
    target.parent.mkdir(parents=True, exist_ok=True)


def _find(inputs: Sequence[Path], to: str) -> list[Path]:
    from napari_pffnet.data.folder import RESULTS, image_of, list_images
    from napari_pffnet.data.other_files import holds_annotation
    from napari_pffnet.io.lazy import is_zarr
    from napari_pffnet.io.ome_zarr import is_result

    files: list[Path] = []
    for path in inputs:
        if not path.is_dir() or is_zarr(path):
            files.append(path)
        elif to == "labels":
            files += sorted(file for file in path.iterdir() if holds_annotation(file) and not file.name.startswith("."))
        else:
            files += [file for stem, found in list_images(path).items() if image_of(stem) != stem for file in found]
            files += sorted(folder for folder in path.glob("*.zarr") if is_result(folder))
    twice = repeated(map(_name, files))
    if twice:
        raise ValueError(f"several label images are named {', '.join(twice[:3])}; export them one by one")
    if not files:
        wanted = "outlines (.geojson, .zip, .roi) or _seg.npy" if to == "labels" else f"NAME{RESULTS[0]}.tif"
        raise ValueError(f"no {wanted} in {', '.join(map(str, inputs))}; give files by their names")
    return files


def _is_outlines(file: Path) -> bool:
    from napari_pffnet.data.outlines import SUFFIXES

    return file.suffix.lower() in SUFFIXES


def _name(file: Path) -> str:
    """Return the name of the image whose labels a file holds."""
    from napari_pffnet.data.folder import image_of
    from napari_pffnet.data.other_files import holds_annotation, image_name

    return image_name(file) if holds_annotation(file) else image_of(file.stem)


def _read(file: Path, options: argparse.Namespace) -> Labels:
    """Read labels with their own ids, and where they lie in their image."""
    if _is_outlines(file):
        return _draw(file, options.images)

    from napari_pffnet.data.checks import check_pieces
    from napari_pffnet.evaluate.label_files import LabelFile
    from napari_pffnet.io.place import Place

    labels = LabelFile(file)
    place = Place.of_all(labels.shape, _axes(file) if len(labels.shape) > 2 else "YX")
    array = labels.whole()
    planes = array.reshape(-1, *array.shape[-2:])
    if (first := next((plane for plane in planes if plane.any()), None)) is not None:
        check_pieces(file, first)
    if array.ndim == 2 and options.to != "labels" and (stack := _stack_of(file, options.images)):
        return array[(None,) * len(stack[0])], Place.of_plane(place.size, *stack)
    return array, place


def _count(labels: np.ndarray[Any, Any]) -> int:
    """Return how many ids there are; plane by plane, for stacks may be large."""
    import numpy as np

    planes = (np.unique(labels[index]).tolist() for index in np.ndindex(labels.shape[:-2]))
    return len(set().union(*planes) - {0})


def _stack_of(file: Path, images: Path | None) -> Stack | None:
    """Return the stack of which a file holds one plane: that of its image, else as its table tells; None if of none."""
    from napari_pffnet.data.folder import of_all_planes
    from napari_pffnet.io.lazy import open_stack

    name = _name(file)
    whole, image = of_all_planes(name), _find_image(file, images)
    if whole == name or (image and image.stem == name):
        return None
    told = _told(file.with_name(f"{name}.csv"))
    if image:
        with open_stack(image) as stack:
            at = dict(enumerate(stack.places)).get(int(name.removeprefix(f"{whole}_plane")))
            if at and told in (stack.columns(at), {}):
                return list(stack.axes), stack.shape[:-2], at
    return (list(told), [max(at + 1, 2) for at in told.values()], list(told.values())) if told else None


def _told(path: Path) -> dict[str, int]:
    """Return which plane of a stack all rows of a table name, as `io.place.place_columns`; empty if they do not."""
    import pandas as pd

    if not path.is_file():
        return {}
    table = pd.read_csv(path)
    columns = list(table)
    places = table[columns[1 : columns.index("y")]].drop_duplicates() if "y" in columns else table.iloc[:0]
    if len(places) != 1 or not all(dtype.kind == "i" for dtype in places.dtypes):
        return {}
    return {str(name): int(number) for name, number in places.iloc[0].items()}


def _axes(file: Path) -> str | None:
    """Return a letter for each axis of a stack of labels, without those of length 1; None if the file does not say."""
    from napari_pffnet.io.images import TIFF

    if file.suffix.lower() not in TIFF:
        return None
    axes, shape = _layout(file)
    last = len(shape) - 2
    return "".join(axis for at, axis in enumerate(axes) if axis != "S" and (shape[at] > 1 or at >= last))


def _layout(image: Path) -> tuple[str, tuple[int, ...]]:
    """Return the axes of an image and how long they are; of TIFF and Zarr no pixels are read."""
    from napari_pffnet.io.images import TIFF, read_image, tiff_layout
    from napari_pffnet.io.lazy import is_zarr, open_stack

    if is_zarr(image):
        with open_stack(image) as stack:
            return f"{stack.axes}YX", stack.shape
    if image.suffix.lower() in TIFF:
        return tiff_layout(image)
    pixels, axes, _ = read_image(image)
    return axes, pixels.shape


def _draw(file: Path, images: Path | None) -> Labels:
    """Draw outlines at the size of their image; of a stack, on their planes."""
    from napari_pffnet.data.annotation import read_pixels
    from napari_pffnet.data.outlines import draw_plane, read_objects
    from napari_pffnet.io.lazy import is_zarr
    from napari_pffnet.io.place import Place

    image = _find_image(file, images)
    if image is None:
        raise ValueError(
            f"{file}: its image {_name(file)} is not beside it; give the folder of the images with --images"
        )
    objects = read_objects(file)
    placed = any(each.where for each in objects) or not objects or file.suffix.lower() == ".geojson"
    if placed and (drawn := _draw_stack(file, objects, image)):
        return drawn
    height, width = _layout(image)[1][-2:] if is_zarr(image) else read_pixels(image).shape[:2]
    labels, regions = draw_plane(file, objects, (height, width))
    if regions:
        tell(
            f"note: {file}: only its {len(regions)} regions are annotated; training on the file itself knows",
            sys.stderr,
        )
    return labels, Place.of_all(labels.shape, "YX")


def _draw_stack(file: Path, objects: Sequence[Outline], image: Path) -> Labels | None:
    """Draw outlines on their planes, those of QuPath that name none on the first; None if there is but one plane."""
    from napari_pffnet.data.outlines import draw_planes
    from napari_pffnet.io.images import name_axes
    from napari_pffnet.io.place import Place, Spot

    given, shape = _layout(image)
    axes = zip(name_axes(shape, given, stack=True), shape, strict=True)
    kept = [(axis, size) for axis, size in axes if axis in "YX" or (axis not in "CS" and size > 1)]
    place = Place.of_all([size for _, size in kept], [axis for axis, _ in kept])
    here = Spot(0, 0) if file.suffix.lower() == ".geojson" else None
    return (draw_planes(file, objects, place.whole, place, here), place) if place.is_stack else None


def _image(file: Path, images: Path | None, start: Path) -> str | None:
    """Return the path of the image of a label file, seen from a folder; None if it is not beside it."""
    image = _find_image(file, images)
    return relative(image, start) if image else None


def _find_image(file: Path, images: Path | None) -> Path | None:
    """Return the image of a label file, of NAME_plane5 also NAME; None if it is not beside it."""
    from napari_pffnet.data.folder import list_images, of_all_planes
    from napari_pffnet.io.lazy import is_zarr
    from napari_pffnet.io.ome_zarr import is_result

    folder, name = images or file.parent, _name(file)
    files = list_images(folder)
    for known in (name, of_all_planes(name)):
        zarr = folder / f"{known}.zarr"
        for image in [*files.get(known, []), *[zarr] * (is_zarr(zarr) and not is_result(zarr))]:
            if image != file:
                return image
    if images:
        raise ValueError(f"{images} has no image {of_all_planes(name)}; give the folder of the images with --images")
    return None


def _table(file: Path, labels: np.ndarray[Any, Any], place: Place) -> pd.DataFrame | None:
    """Return the rows beside a label file that are of nuclei as they are now; say how many nuclei have none."""
    import pandas as pd

    from napari_pffnet.io.export import unchanged

    path = file.with_name(f"{_name(file)}_linked.csv")
    if max(labels.shape[:-2], default=1) == 1 or not path.is_file():
        path = file.with_name(f"{_name(file)}.csv")
    if not path.is_file():
        return None
    table = unchanged(pd.read_csv(path), labels, place)
    lost = _count(labels) - table["index"].nunique()
    if lost:
        tell(f"note: {file}: {lost} nuclei have no scores, they were changed since {path.name} was written", sys.stderr)
    return table
