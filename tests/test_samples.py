"""Sample data."""

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_pffnet
from napari_pffnet import samples

MANIFEST = PluginManifest.from_distribution("napari-pffnet")


def test_manifest_names_things_that_exist():
    MANIFEST.validate_imports()


@pytest.mark.parametrize("sample", [samples.u2os, samples.rpe1, samples.synthetic])
def test_annotated_samples(sample):
    (image, shown, kind), (labels, hidden, other) = sample()
    assert (kind, other) == ("image", "labels")
    assert image.dtype == np.uint16
    assert image.shape == labels.shape
    assert labels.max() > 40
    assert image[labels > 0].mean() > 1.5 * image[labels == 0].mean(), "the annotation lies on the nuclei"
    assert shown["contrast_limits"][0] < shown["contrast_limits"][1]
    assert not hidden["visible"]


def test_histology_is_colour():
    ((image, arguments, _),) = samples.histology()
    assert image.shape == (512, 512, 3)
    assert arguments["rgb"]


def test_version_is_the_package_s():
    assert MANIFEST.package_metadata.version == napari_pffnet.__version__
