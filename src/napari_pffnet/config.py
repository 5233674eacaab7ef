"""The configuration: one frozen tree that describes a model, how it is trained and how it is used.

Every object here is immutable, refuses unknown keys and round-trips through YAML. The same objects serve the
widget, the command line and the checkpoints.
"""

from __future__ import annotations

import copy
import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percentile = Annotated[float, Field(ge=0, le=100)]
#: Names of the losses.
LOSSES = (
    "loss_objectness",
    "loss_rpn_box_reg",
    "loss_classifier",
    "loss_box_reg",
    "loss_mask",
    "loss_maskiou",
    "loss_sem_branch",
    "loss_mask_fusion",
    "loss_sem_consistence",
)

#: What fine-tuning takes from the base model and the material, besides the model's form.
FIXED = ("init", "data.weights")
#: Switches of fine-tuning that earlier versions had, and how they were off.
GONE = {"pull": 0, "distillation": 0, "blend_tolerance": 0.01}

C = TypeVar("C", bound="Frozen")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and the fix."""


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the smaller number comes first: {limits[1]:g}, {limits[0]:g}")
    return limits


def _known(weights: dict[str, float]) -> dict[str, float]:
    unknown = weights.keys() - set(LOSSES)
    if unknown:
        raise ValueError(f"no loss {', '.join(sorted(unknown))}; the losses are {', '.join(LOSSES)}")
    return weights


class Frozen(BaseModel):
    """Base of all configuration objects: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputConfig(Frozen):
    """How an image in [0, 1], RGB, becomes the network's input: ``(image * scale - mean) / std``."""

    scale: PositiveFloat = 1.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)
    bgr: bool = Field(default=False, description="channel order of the network: BGR instead of RGB")
    percentiles: Annotated[tuple[Percentile, Percentile], AfterValidator(_ascending)] = Field(
        default=(1.0, 99.8), description="intensity percentiles of the whole image that become 0 and 1"
    )


class BodyConfig(Frozen):
    """The convolutional body that computes C2..C5."""

    name: Literal["resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2"] = "resnet50"
    norm: Literal["group", "frozen_batch"] = "group"

    @model_validator(mode="after")
    def _mobilenet_is_batch(self) -> Self:
        if self.name == "mobilenet_v2" and self.norm == "group":
            raise ValueError("body.name=mobilenet_v2 needs body.norm=frozen_batch")
        return self


class RPNConfig(Frozen):
    """Region proposal network: anchors (pixels), sampling and proposal caps."""

    anchor_sizes: tuple[Positive, Positive, Positive, Positive, Positive] = (32, 64, 128, 256, 512)
    aspect_ratios: tuple[PositiveFloat, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    foreground_iou: Fraction = 0.7
    background_iou: Fraction = 0.3
    batch: Positive = Field(default=256, description="anchors sampled per image")
    positive_fraction: Fraction = 0.5
    nms: Fraction = 0.7
    pre_nms_train: Positive = Field(default=1000, description="proposals per level before NMS, training")
    post_nms_train: Positive = Field(default=500, description="proposals per level after NMS, training")
    pre_nms_test: Positive = 4000
    post_nms_test: Positive = Field(default=2000, description="proposals per level after NMS, inference")
    keep_test: Positive = Field(default=1000, description="proposals per image over all levels, inference")
    score_threshold: Fraction = Field(default=0.0, description="proposals of lower objectness are left out, inference")


class RoIConfig(Frozen):
    """Box head: matching, sampling and the final detections."""

    foreground_iou: Fraction = 0.5
    batch: Positive = Field(default=256, description="regions of interest sampled per image")
    positive_fraction: Fraction = 0.25
    mask_batch: Positive | None = Field(default=None, description="most positive regions per image for the mask head")
    score_threshold: Fraction = Field(default=0.05, description="detections of lower class probability are not kept")
    nms: Fraction = 0.3
    detections: Positive = Field(default=500, description="most detections per image (or tile)")


class ModelConfig(Frozen):
    """PFFNet: widths, switches and thresholds. Defaults are the published tnbc configuration with an R-50 body."""

    input: InputConfig = InputConfig()
    body: BodyConfig = BodyConfig()
    num_classes: Literal[2] = Field(default=2, description="classes with background: nuclei are not told apart by kind")
    fpn_channels: Positive = 256
    semantic_channels: Positive = Field(default=64, description="middle channels of the semantic branch")
    box_channels: Positive = Field(
        default=1024, multiple_of=32, description="width of the fully connected layers of box and quality head"
    )
    mask_channels: Positive = Field(default=256, description="width of the mask and quality heads' convolutions")
    map_norm: Literal["group", "none"] = Field(
        default="group",
        description="GroupNorm after the convolutions of the pyramid and the semantic branch, or biases instead: then "
        "nothing but what lies near a nucleus changes how it is seen",
    )
    rpn: RPNConfig = RPNConfig()
    roi: RoIConfig = RoIConfig()
    attention_fusion: bool = True
    consistency: bool = True
    consistency_weight: NotNegative = Field(default=1.0, description="the paper's lambda")
    mask_quality: bool = True
    dual_modal: bool = True
    inclusive_boxes: bool = Field(
        default=False,
        description="for weights of the original implementation: its anchor grid, regions pooled up to the last pixel",
    )
    diameter: PositiveFloat | None = Field(default=None, description="typical nucleus diameter in training, pixels")

    @model_validator(mode="after")
    def _widths_make_groups(self) -> Self:
        steps = {"mask_channels": 64 if self.dual_modal else 32}
        if self.map_norm == "group":
            steps |= {"fpn_channels": 32, "semantic_channels": 32}
        wrong = [f"{name} must be a multiple of {step}" for name, step in steps.items() if getattr(self, name) % step]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class AugmentConfig(Frozen):
    """Random changes of training images. Strengths of 0 switch one off."""

    crop: Positive = Field(default=256, multiple_of=32, description="side of the square training crop, pixels")
    scale: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)] = Field(
        default=(1.0, 1.0), description="range of the random zoom"
    )
    horizontal_flip: Fraction = 0.5
    vertical_flip: Fraction = 0.5
    quarter_turns: bool = False
    intensity: NotNegative = Field(default=0.0, description="largest relative change of brightness and contrast")
    gamma: NotNegative = Field(default=0.0, description="largest |log2 gamma|")
    blur: NotNegative = Field(default=0.0, description="largest Gaussian sigma, pixels; weaker ones are more frequent")
    noise: NotNegative = Field(
        default=0.0,
        description="largest Gaussian noise sigma, in units of the [0, 1] image; weaker ones are more frequent",
    )
    stain: NotNegative = Field(default=0.0, description="largest colour jitter of RGB images (saturation, hue)")
    hue: Fraction = Field(default=0.0, description="probability of turning all colours by one angle, whichever")
    grey: Fraction = Field(default=0.0, description="probability of taking the colours away")
    invert: Fraction = Field(default=0.0, description="probability of inverting a grey image")


class DataConfig(Frozen):
    """Where batches come from."""

    augment: AugmentConfig = AugmentConfig()
    weights: tuple[PositiveFloat, ...] | None = Field(
        default=None, description="sampling weight of each data folder; equal if absent"
    )
    workers: Count = Field(default=0, description="loader processes")
    cache: bool = Field(default=True, description="keep decoded training images in memory")


class OptimizerConfig(Frozen):
    """Optimiser and per-parameter rules."""

    name: Literal["sgd", "adamw"] = "sgd"
    rate: PositiveFloat = 0.003
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 1e-4
    bias_rate_factor: PositiveFloat = 2.0
    bias_weight_decay: NotNegative = 0.0
    body_rate_factor: NotNegative = Field(default=1.0, description="rate of the body relative to the rest; 0 freezes")
    frozen: tuple[str, ...] = Field(default=(), description="parts of the network not trained, such as body, fpn")
    clip_norm: PositiveFloat | None = Field(default=None, description="largest gradient norm")
    accumulate: Positive = Field(default=1, description="batches per optimiser step")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="decay of the weight average; 0 is off")


class ScheduleConfig(Frozen):
    """Length of training and learning rate over its steps."""

    steps: Positive = 12000
    warmup_steps: Count = 500
    warmup_factor: Fraction = 1 / 3
    kind: Literal["step", "cosine"] = "step"
    milestones: tuple[Positive, ...] = (9000, 12000)
    gamma: Fraction = 0.1
    final_factor: Fraction = Field(default=0.0, description="cosine: last rate relative to the base rate")


class SegmentConfig(Frozen):
    """From an image to labels: thresholds, scale and tiling."""

    score_threshold: Fraction = Field(default=0.5, description="lowest score (class probability x mask quality)")
    mask_threshold: Fraction = Field(default=0.5, description="mask probability that counts as nucleus")
    overlap_threshold: Fraction = Field(
        default=0.7, description="a mask covered by better ones beyond this fraction of its area is dropped"
    )
    min_area: Count = Field(default=0, description="smallest nucleus, pixels")
    diameter: PositiveFloat | None = Field(
        default=None, description="nucleus diameter in this image, pixels; the image is scaled to the trained one"
    )
    scale: PositiveFloat | None = Field(default=None, description="zoom before the network; overrides diameter")
    tile: Positive = Field(
        default=1024, description="side of a tile, pixels of the scaled image; larger ones are tiled"
    )
    tile_overlap: Positive | None = Field(
        default=None,
        description="overlap of tiles, pixels of the scaled image; from the model's nucleus diameter if absent",
    )
    tile_batch: Positive | None = Field(
        default=None, description="tiles that the network sees at once; 8 on a CUDA device, else 1, if absent"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="auto: short floats on CUDA devices and on CPUs that compute with bfloat16, else float32",
    )


class FinetuneConfig(Frozen):
    """Making a model better with a project's images, without losing what it can do."""

    images: tuple[str, ...] = Field(default=(), description="images to use; those that are done if empty")
    held_out: tuple[str, ...] = Field(
        default=(),
        description="images of these to check on; about one in five if empty, a quarter of the area of a single one",
    )
    patience: Count = Field(
        default=4, description="validations clearly worse than the best one after which training ends; 0 is never"
    )
    blend: Fraction = Field(
        default=0.5, description="part of the trained weights in the result, the rest is the base model's"
    )
    replay: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.2, description="share of replay crops, if there are any"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_what_was_off(cls, values: Any) -> Any:
        """Take recipes that earlier versions stored: switches that are gone, as they stood there when they were off."""
        if not isinstance(values, dict):
            return values
        return {key: value for key, value in values.items() if key not in GONE or value != GONE[key]}


class TrainConfig(Frozen):
    """A recipe: everything a training run needs except paths."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    segment: SegmentConfig = SegmentConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    loss_weights: Annotated[dict[str, NotNegative], AfterValidator(_known)] = Field(
        default={}, description="weight of a loss in the sum, by its name; 1 if absent, 0 leaves it out"
    )
    batch_size: Positive = Field(default=1, description="crops per process and optimiser batch")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="auto: bfloat16 on CUDA where supported, else float16 on CUDA, else float32"
    )
    seed: Count = 0
    deterministic: bool = Field(default=False, description="repeatable algorithms where PyTorch has them")
    init: str = Field(default="none", description="none, imagenet, or the path of a model or of published weights")
    validate_every: Count = Field(default=1000, description="steps between validations; 0 is never")
    validation_images: Positive | None = Field(
        default=None, description="most images per validation, spread evenly; all if absent"
    )
    checkpoint_every: Positive = Field(default=500, description="steps between saved resume states")


def parse(kind: type[C], values: Any, source: str = "configuration") -> C:
    """Validate plain values into a configuration object.

    Parameters
    ----------
    kind : type
        Configuration class, for example `TrainConfig`.
    values : dict
        Nested plain values.
    source : str
        Named in error messages.

    Raises
    ------
    ConfigError
        One line per fault, each with the key and, for a misspelt key, the nearest right one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, fault) for fault in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from None


def load(kind: type[C], path: str | Path, overrides: list[str] | None = None) -> C:
    """Read a YAML file, apply ``section.key=value`` overrides and validate.

    Raises
    ------
    ConfigError
        The file is missing, not YAML, or holds an unknown or invalid key.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give the path of a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines at the top, found {type(values).__name__}")
    return parse(kind, apply_overrides(values, overrides or []), str(path))


def apply_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return `values` with each ``section.key=value`` set; values are read as YAML (``1e-3`` as a number)."""
    result: dict[str, Any] = copy.deepcopy(values)
    for item in overrides:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise ConfigError(f"'{item}' is not of the form section.key=value, for example schedule.steps=2000")
        *sections, key = name.split(".")
        place = result
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        try:
            place[key] = _number(yaml.safe_load(text))
        except yaml.YAMLError:
            raise ConfigError(f"'{item}' is not valid YAML after the =; close brackets and quotes") from None
    return result


def dump(config: Frozen) -> str:
    """Return the configuration as YAML text that `load` reads back to an equal object."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-3`` as text; give it its number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(kind: type[Frozen], fault: Any) -> str:
    path = [str(part) for part in fault["loc"]]
    name = ".".join(path)
    if fault["type"] != "extra_forbidden":
        return f"{name or kind.__name__}: {fault['msg']} (given: {fault.get('input')!r})"
    known = _keys(kind, path[:-1])
    near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
    parent = ".".join([*path[:-1], ""])
    hint = f"did you mean {parent}{near[0]}?" if near else f"known keys here: {', '.join(known) or 'none'}"
    return f"unknown key {name}; {hint}"


def _keys(kind: type[Frozen], path: list[str]) -> list[str]:
    """Return the keys that there are at a path; none if that cannot be told."""
    for part in (each for each in path if not each.isdecimal()):  # numbers are places in a list
        annotation = kind.model_fields[part].annotation
        inner = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
        kind = next((each for each in inner if issubclass(each, Frozen)), Frozen)
    return list(kind.model_fields)
