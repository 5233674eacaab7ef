"""What ``napari-pffnet segment`` says of images that can be taken in more than one way."""

from __future__ import annotations

import argparse
from pathlib import Path


def notes_on(path: Path, options: argparse.Namespace) -> list[str]:
    """Return how a TIFF was taken that does not say it clearly: one line each."""
    import tifffile

    from napari_pffnet.io.images import COLOURS, TIFF, tiff_axes

    if path.suffix.lower() not in TIFF:
        return []
    with tifffile.TiffFile(path) as file:
        axes, page, count = tiff_axes(file.series[0]), file.series[0].keyframe, len(file.series)
    notes = [f"holds {count} images; only the first is segmented"] if count > 1 else []
    if options.axes or options.channel is not None or page.samplesperpixel not in (3, 4) or "S" not in axes:
        return notes
    if axes == "SYX" and (options.all_planes or options.plane is not None):
        notes.append(f"its first axis ({page.samplesperpixel}) is taken for planes, though the file says colours")
    elif axes == "SYX":
        notes.append(
            f"its first axis ({page.samplesperpixel}) is taken for colours; if it is planes or channels, say"
            " --all-planes, --plane N, --channel N or --axes"
        )
    elif page.photometric not in COLOURS:
        notes.append("its 3 samples are taken for red, green and blue; if they are channels, say --channel N")
    return notes
