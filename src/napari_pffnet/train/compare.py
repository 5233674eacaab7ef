"""Comparing two models on annotated images; what comes out is a `Gate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.sources import Sample, Source
from napari_pffnet.evaluate.complete import within_complete
from napari_pffnet.evaluate.metrics import ImageScores, evaluate_pair, pool
from napari_pffnet.io.results import write_labels
from napari_pffnet.labels import IGNORE
from napari_pffnet.library import Model
from napari_pffnet.segment import Segmenter, sized
from napari_pffnet.train.gate import GATE_FOLDER, MEASURES, Compared, Figures, Gate, gate_file
from napari_pffnet.typing import Array


@dataclass(frozen=True)
class Scored:
    """A model on an image: `labels` int32 H×W as found, `scores` within what is annotated; `fault` if it failed."""

    labels: Array
    scores: ImageScores
    fault: str = ""


def measure(labels: Array, sample: Sample) -> ImageScores:
    """Measure what was found in an image where it is annotated."""
    ignored = None if sample.semantic is None else sample.semantic == IGNORE
    truth, predicted = within_complete(sample.labels, labels, ignored)
    return evaluate_pair(truth, predicted)


def score(segmenter: Segmenter, sample: Sample) -> Scored:
    """Segment an image and measure the result; a failure counts as finding nothing."""
    try:
        labels, _, _ = sized(segmenter, sample.image).predict(sample.image).compose(segmenter.config)
        fault = ""
    except (ValueError, RuntimeError, MemoryError) as error:
        labels, fault = np.zeros(sample.labels.shape, np.int32), str(error)
    return Scored(labels, measure(labels, sample), fault)


def compare(
    old: Model,
    new: Model,
    held_out: Source,
    config: SegmentConfig,
    output: Path,
    replay: Source | None = None,
    known: Sequence[str] = (),
) -> Gate:
    """Compare two models; write ``gate.json`` and what each found to ``gate/`` in a run's folder.

    Parameters
    ----------
    old, new : Model
        On their devices.
    held_out : Source
        Images that neither has learnt from.
    config : SegmentConfig
        How both segment.
    output : Path
        The run's folder.
    replay : Source, optional
        Images of what the old model was good at.
    known : sequence of str
        Held-out images from which the old model has learnt.

    Returns
    -------
    Gate
        Figures of each image and of all together.
    """
    segmenters = {"old": Segmenter(old, config), "new": Segmenter(new, config)}
    (output / GATE_FOLDER).mkdir(parents=True, exist_ok=True)
    images, scores = _each(segmenters, held_out, output)
    again = None
    if replay is not None and len(replay):
        again = _pooled("replay", *_each(segmenters, replay, None))
    gate = Gate(_pooled("all", images, scores), tuple(images), again, tuple(known))
    gate.write(output)
    return gate


def _each(
    segmenters: dict[str, Segmenter], source: Source, output: Path | None
) -> tuple[list[Compared], dict[str, list[ImageScores]]]:
    images: list[Compared] = []
    scores: dict[str, list[ImageScores]] = {which: [] for which in segmenters}
    for i in range(len(source)):
        sample = source.read(i)
        found = {which: score(segmenter, sample) for which, segmenter in segmenters.items()}
        files = {which: _write(output, sample.name, which, each.labels) for which, each in found.items()}
        for which, each in found.items():
            scores[which].append(each.scores)
        faults = [f"{which} model: {each.fault}" for which, each in found.items() if each.fault]
        _write_truth(output, sample)
        old, new = (_figures([found[which].scores]) for which in ("old", "new"))
        nuclei = len(np.unique(sample.labels[sample.labels > 0]))
        images.append(Compared(sample.name, old, new, nuclei, files["old"], files["new"], "; ".join(faults)))
    return images, scores


def _pooled(name: str, images: list[Compared], scores: dict[str, list[ImageScores]]) -> Compared:
    nuclei = sum(image.nuclei for image in images)
    return Compared(name, _figures(scores["old"]), _figures(scores["new"]), nuclei)


def _figures(scores: list[ImageScores]) -> Figures:
    pooled = pool(scores)
    return {name: round(pooled[name], 4) for name in MEASURES}


def _write(output: Path | None, name: str, which: str, labels: Array) -> str:
    """Write labels under a name that any file system takes and that no other image has."""
    if output is None:
        return ""
    file = gate_file(name, which)
    write_labels(output / file, labels)
    return file


def _write_truth(output: Path | None, sample: Sample) -> None:
    _write(output, sample.name, "truth", sample.labels)
    if sample.semantic is not None:
        _write(output, sample.name, "ignored", (sample.semantic == IGNORE).astype(np.int32))
