from pathlib import Path

import pytest
import yaml

from napari_pffnet.config import ConfigError, ModelConfig, TrainConfig, apply_overrides, dump, load, parse
from napari_pffnet.library import load_model

RECIPES = sorted((Path(__file__).parents[1] / "training" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_load_and_round_trip(path):
    config = load(TrainConfig, path)
    assert parse(TrainConfig, yaml.safe_load(dump(config))) == config


def test_published_recipes_hold_the_published_numbers():
    tcga = load(TrainConfig, RECIPES[0].parent / "tcga.yaml")
    assert (tcga.model.rpn.pre_nms_test, tcga.model.rpn.post_nms_test, tcga.model.rpn.keep_test) == (30000, 15000, 8000)
    assert (tcga.model.roi.batch, tcga.model.roi.detections) == (512, 4000)
    assert (tcga.schedule.steps, tcga.schedule.milestones) == (25600, (19200, 25600))
    assert (tcga.optimizer.rate, tcga.optimizer.bias_rate_factor, tcga.optimizer.bias_weight_decay) == (0.003, 2, 0)


def test_configuration_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ModelConfig().num_classes = 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.stepz=3", "did you mean schedule.steps?"),
        ("modle.fpn_channels=3", "did you mean model?"),
        ("model.roi.nms=7", "model.roi.nms"),
        ("schedule.steps=many", "schedule.steps"),
        ("steps", "section.key=value"),
        ("finetune.images=['0','1'", "not valid YAML after the =; close brackets"),
        ("model.body.name=mobilenet_v2", "frozen_batch"),
        ("model.fpn_channels=100", "multiple of 32"),
        ("model.mask_channels=32", "multiple of 64"),
        ("model.input.percentiles=[99,1]", "the smaller number comes first: 1, 99"),
        ("model.input.percentiles=[-5,120]", "greater than or equal to 0"),
        ("model.rpn.aspect_ratios=[]", "at least 1 item"),
        ("data.augment.scale=[2,0.5]", "the smaller number comes first: 0.5, 2"),
        ("data.augment.crop=50", "multiple of 32"),
        ("loss_weights.loss_msk=0", "no loss loss_msk; the losses are loss_objectness"),
        ("seed=-5", "greater than or equal to 0"),
        ("segment.diameter=.inf", r"segment.diameter: Input should be a finite number \(given: inf\)"),
    ],
)
def test_a_wrong_setting_says_which_and_how_to_mend_it(override, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        parse(TrainConfig, apply_overrides({}, [override]), "command line")


def test_overrides_are_read_as_yaml_and_change_no_input():
    values = {"schedule": {"steps": 5}}
    changed = apply_overrides(values, ["schedule.steps=7", "optimizer.rate=1e-3", "data.weights=[1, 2]", "seed=4"])
    assert values == {"schedule": {"steps": 5}}
    config = parse(TrainConfig, changed)
    assert (config.schedule.steps, config.optimizer.rate, config.data.weights, config.seed) == (7, 0.001, (1, 2), 4)


def test_recipes_of_earlier_versions_are_read():
    off = {"pull": 0.0, "distillation": 0.0, "blend_tolerance": 0.01}
    assert parse(TrainConfig, {"finetune": {**off, "replay": 0.3}}) == parse(TrainConfig, {"finetune": {"replay": 0.3}})
    assert parse(TrainConfig, load_model().card["recipe"]).model == load_model().config
    with pytest.raises(ConfigError, match=r"unknown key finetune\.pull"):
        parse(TrainConfig, {"finetune": {"pull": 20}})


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load(TrainConfig, tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(TrainConfig, tmp_path / "bad.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"# gr\xf6\xdfer\nseed: 1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(TrainConfig, tmp_path / "latin.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="key: value"):
        load(TrainConfig, tmp_path / "list.yaml")


def test_widths_need_fit_groups_only_where_there_are_groups():
    parse(ModelConfig, {"map_norm": "none", "fpn_channels": 48, "semantic_channels": 16})
    parse(ModelConfig, {"dual_modal": False, "mask_channels": 32})
    with pytest.raises(ConfigError, match="fpn_channels must be a multiple of 32; semantic_channels must be"):
        parse(ModelConfig, {"fpn_channels": 48, "semantic_channels": 16})
