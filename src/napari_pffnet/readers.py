"""Opening projects and large results as layers (data, arguments, type), as napari does with folders dragged into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from napari_pffnet.curate.work import Annotation
    from napari_pffnet.io.project import ImageEntry
    from napari_pffnet.io.regions import Regions

Layer = tuple[Any, dict[str, Any], str]
IN_PROJECT = "napari-pffnet project"
NUCLEI, SEMANTIC, COMPLETE = "nuclei", "semantic", "complete here"
NUCLEI_OPACITY = 0.7
FOREGROUND_COLOUR, IGNORE_COLOUR = (0.0, 0.62, 0.45, 1.0), (0.9, 0.62, 0.0, 1.0)
COMPLETE_COLOUR = "#e69f00"
FEATURES = ["index", "score", "quality", "mask_score", "overlap", "area"]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """Return the reader of a project (its folder or ``project.json``) or of a large result; None for anything else."""
    from napari_pffnet.io.project import PROJECT_FILE, is_project

    if not isinstance(path, str):
        return None
    folder = Path(path).parent if Path(path).name == PROJECT_FILE else Path(path)
    if is_project(folder):
        return read_project
    return read_result if folder.suffix == ".zarr" and _is_result(folder) else None


def _is_result(folder: Path) -> bool:
    from napari_pffnet.io.ome_zarr import is_result

    return is_result(folder)


def read_result(path: str | list[str]) -> list[Layer]:
    """Return the layers of a large image's result, to look at: semantic map (hidden) and nuclei.

    Pixels are read as they are shown; scores and areas come from the CSV file beside it, if it can be read.
    """
    import pandas as pd

    from napari_pffnet.io.ome_zarr import label_levels, label_placement

    folder = Path(path if isinstance(path, str) else path[0])
    place = label_placement(folder, "nuclei")
    common = {
        "multiscale": True,
        "scale": place.scale,
        "translate": place.translation,
        "units": tuple(unit or "pixel" for unit in place.units),
    }
    try:
        rows = pd.read_csv(folder.with_suffix(".csv"))
    except (OSError, ValueError):  # the masks open without it
        rows = pd.DataFrame()
    features = {"features": rows[[name for name in FEATURES if name in rows]]} if "index" in rows else {}
    content = {"metadata": {"napari-pffnet": {"content": "semantic"}}}
    return [
        (
            label_levels(folder, SEMANTIC),
            {"name": f"{folder.stem} {SEMANTIC}", **common, **semantic_look(), **content},
            "labels",
        ),
        (
            label_levels(folder, NUCLEI),
            {"name": f"{folder.stem} {NUCLEI}", "opacity": NUCLEI_OPACITY, **common, **features},
            "labels",
        ),
    ]


def read_project(path: str | list[str]) -> list[Layer]:
    """Return the layers of the first image that is not done. If the panel is open, it opens the project with them.

    Raises
    ------
    ProjectError, ImageError
        The project or the image cannot be used; the message names the file and the fix.
    """
    from napari_pffnet.curate.work import Work
    from napari_pffnet.io.project import PROJECT_FILE, ProjectError, annotation_file, read_manifest, read_plane
    from napari_pffnet.io.regions import read_regions

    place = Path(path if isinstance(path, str) else path[0])
    folder = (place.parent if place.name == PROJECT_FILE else place).absolute()
    entries = read_manifest(folder / PROJECT_FILE).images
    if not entries:
        raise ProjectError(f"{folder}: the project has no images yet; open the panel PFFNet and add some")
    entry = next((entry for entry in entries if entry.state != "done"), entries[0])
    pixels, sizes = read_plane(folder, entry)
    now = Work.open(folder, entry.name, pixels.shape[:2], readonly=True).now
    regions = read_regions(annotation_file(folder, "regions", entry.name))
    return image_layers(folder, entry, pixels, sizes, now, regions)


def image_layers(
    folder: Path,
    entry: ImageEntry,
    pixels: np.ndarray[Any, Any],
    sizes: Mapping[str, float],
    annotation: Annotation,
    regions: Regions,
) -> list[Layer]:
    """Return an image's layers: image, complete areas, semantic map and nuclei if there are any.

    They lie where the image lay, if it was taken from napari; else pixels have the `sizes` along X and Y, in µm.
    """
    name, width = entry.name, sizes.get("X")
    measured = {"scale": (sizes.get("Y", width), width), "units": ("µm", "µm")}
    unknown = {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}
    common: dict[str, Any] = entry.place.model_dump(mode="json") if entry.place else measured if width else unknown

    def layer(role: str, data: Any, title: str, kind: str, **arguments: Any) -> Layer:
        note = {IN_PROJECT: {"folder": str(folder), "image": name, "role": role}, **arguments.pop("metadata", {})}
        return data, {"name": title, "metadata": note, **common, **arguments}, kind

    layers = [layer("image", pixels, name, "image", rgb=pixels.ndim == 3), complete_layer(regions, layer)]
    if annotation.semantic is not None:
        content = {"napari-pffnet": {"content": "semantic", "image": name}}
        layers.append(layer("semantic", annotation.semantic, SEMANTIC, "labels", metadata=content, **semantic_look()))
    if annotation.labels.any() or annotation.rows or regions.whole or regions.areas:
        table = {"features": _features(annotation)} if annotation.rows else {}
        content = {"napari-pffnet": {"image": name}}
        look = {"opacity": NUCLEI_OPACITY, **table}
        layers.append(layer("labels", annotation.labels, NUCLEI, "labels", metadata=content, **look))
    layers[-1][1]["metadata"][IN_PROJECT]["last"] = True
    return layers


def same_place(metadata: dict[str, Any], note: dict[str, Any]) -> bool:
    """Whether a layer's metadata says that it shows what `note` says: project, image and role."""
    known = metadata.get(IN_PROJECT, {})
    return all(known.get(key) == note[key] for key in ("folder", "image", "role"))


def complete_layer(regions: Regions, layer: Callable[..., Layer]) -> Layer:
    """Return the layer of the complete areas; `layer` makes it."""
    import numpy as np

    shapes: dict[str, Any] = {"edge_color": COMPLETE_COLOUR, "face_color": "transparent", "edge_width": 2}
    data = [np.array(area.corners) for area in regions.areas]
    kinds = {"shape_type": [area.kind for area in regions.areas]} if data else {"ndim": 2}
    return layer("regions", data or None, COMPLETE, "shapes", **shapes, **kinds)


def semantic_look() -> dict[str, Any]:
    """Return how a semantic map looks: hidden; foreground and ignored are told apart by the colour-blind too."""
    colours = {None: (0.0,) * 4, 0: (0.0,) * 4, 1: FOREGROUND_COLOUR, 255: IGNORE_COLOUR}
    return {"visible": False, "opacity": 0.4, "colormap": colours}


def _features(annotation: Annotation) -> Any:
    import pandas as pd

    return pd.DataFrame(list(annotation.rows.values()))
