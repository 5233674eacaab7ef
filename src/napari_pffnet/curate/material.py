"""What the images of a project offer to training, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_pffnet.io.project import (
    PROJECT_FILE,
    ImageEntry,
    ProjectError,
    State,
    annotation_file,
    find_image,
    find_labels,
    read_manifest,
)
from napari_pffnet.io.regions import Regions, read_regions
from napari_pffnet.labels import share_inside


@dataclass(frozen=True)
class ProjectMaterial:
    """An image of a project.

    Attributes
    ----------
    name, state : str
        As in the project.
    nuclei : int
        Those that count: at least half of each lies in a complete area.
    whole : bool
        The whole image is complete.
    areas : int
        Number of complete areas, if it is not complete as a whole.
    share : float
        Of its pixels that are complete, in [0, 1]; NaN if nobody annotated the image.
    fault : str
        Why it cannot be used; empty if it can.
    stack : str, optional
        Of a slice, its stack.
    """

    name: str
    state: State
    nuclei: int = 0
    whole: bool = False
    areas: int = 0
    share: float = float("nan")
    fault: str = ""
    stack: str | None = None

    @property
    def trains(self) -> bool:
        """Whether something of it may be learnt."""
        return not self.fault and (self.whole or self.areas > 0)


def material(folder: str | Path) -> list[ProjectMaterial]:
    """Count what each image of a project offers; one that cannot be read is listed with its fault.

    Raises
    ------
    ProjectError
        The project's list cannot be used.
    """
    folder = Path(folder)
    return [_of(folder, entry) for entry in read_manifest(folder / PROJECT_FILE).images]


def _of(folder: Path, entry: ImageEntry) -> ProjectMaterial:
    try:
        regions = read_regions(annotation_file(folder, "regions", entry.name))
        find_image(folder, entry)
        nuclei, share = _count(find_labels(folder, entry), regions)
    except (ProjectError, OSError, ValueError) as error:
        return ProjectMaterial(entry.name, entry.state, fault=str(error), stack=entry.stack)
    return ProjectMaterial(entry.name, entry.state, nuclei, regions.whole, len(regions.areas), share, stack=entry.stack)


def _count(file: Path | None, regions: Regions) -> tuple[int, float]:
    if file is None or not (regions.whole or regions.areas):
        return 0, float("nan")
    from napari_pffnet.data.annotation import read_labels

    labels = read_labels(file, None)
    mask = regions.mask((labels.shape[0], labels.shape[1]))
    counts = share_inside(labels, mask) >= 0.5
    return int(counts[1:].sum()), float(mask.mean())
