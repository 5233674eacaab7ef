"""The whole loop by command line, on real pixels with the embedded model."""

import numpy as np
import tifffile

from napari_pffnet.cli import main as command
from napari_pffnet.samples import u2os
from napari_pffnet.train.__main__ import main as train
from napari_pffnet.train.gate import read_gate


def test_segment_correct_fine_tune_import_and_segment_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NAPARI_PFFNET_MODELS", str(tmp_path / "models"))
    (image, _, _), (truth, _, _) = u2os()
    for part in ("images", "labels"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    file = tmp_path / "mine" / "images" / "cells.tif"
    tifffile.imwrite(file, image[:256, :256])

    assert command(["segment", str(file), "--output", str(tmp_path / "first")]) == 0
    found = tifffile.imread(tmp_path / "first" / "cells_labels.tif")
    assert found.any()

    corrected = truth[:256, :256].astype(np.uint16)
    tifffile.imwrite(tmp_path / "mine" / "labels" / "cells.tif", corrected)
    arguments = ["--project", str(tmp_path / "mine"), "--base", "default", "--output", str(tmp_path / "run"), "--quiet"]
    settings = ["schedule.steps=1", "batch_size=1", "data.augment.crop=128", "precision=float32"]
    assert train([*arguments, "--effort", "quick", "--device", "cpu", *settings]) == 0
    gate = read_gate(tmp_path / "run")
    assert gate.pooled.new["ap50"] > 0.3, "still knows nuclei"
    assert gate.replay is not None

    assert command(["models", "import", str(tmp_path / "run" / "best.safetensors"), "--name", "my cells"]) == 0
    capsys.readouterr()
    assert command(["models", "list"]) == 0
    assert "my cells" in capsys.readouterr().out
    assert command(["segment", str(file), "--model", "my cells", "--output", str(tmp_path / "second")]) == 0
    assert tifffile.imread(tmp_path / "second" / "cells_labels.tif").any()
