"""Settings of the image models and of their training. Loads without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

Pooling = Literal["max", "average"]
ResizePolicy = Literal["stretch", "pad", "crop"]
PresetName = Literal["small", "paper", "fine_tune", "custom"]
LossName = Literal["bce", "focal", "asymmetric", "class_balanced"]
MOST_REPEATS = 100
MOST_SEED = 2**32 - MOST_REPEATS  # so that the seed of the last repeat fits 32 bits, as random generators want it
Trainable = Literal["all", "head"] | Annotated[int, Field(ge=1)]


class BackboneSettings(BaseModel):
    """Which image network, where its weights come from, and how much of it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="resnet18", description="name of a torchvision classification model, e.g. resnet50")
    weights: str = Field(
        default="none",
        description="none (random), imagenet (torchvision's own download), or the path of a state dict "
        "(.safetensors, or .pth/.pt with tensors only), with or without the classifier",
    )
    trainable: Trainable = Field(
        default="all",
        description="all: every weight; head: the backbone stays as it is; a number: its last so many blocks "
        "(one block is one entry of torchvision's `features`, or one residual block of a ResNet)",
    )

    @model_validator(mode="after")
    def _random_weights_are_trained(self) -> Self:
        if self.weights == "none" and self.trainable != "all":
            raise ValueError('trainable must be "all" when weights is "none": a random backbone has to be trained')
        return self

    @property
    def weights_path(self) -> Path | None:
        """Path of the state dict, or None for ``none`` and ``imagenet``."""
        return None if self.weights in ("none", "imagenet") else Path(self.weights)


class GraphHeadSettings(BaseModel):
    """The label branch of ML-GCN: two graph convolutions over word vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(default=1024, ge=1, description="width of the first graph convolution")
    negative_slope: float = Field(
        default=0.2, ge=0, le=1, description="slope of LeakyReLU between the two convolutions"
    )
    pooling: Pooling = Field(
        default="max", description="global pooling of the feature map; the method takes the maximum"
    )
    word_vectors: Literal["as_given", "unit", "centered"] = Field(
        default="as_given",
        description="as_given: as the word vector file has them; unit: each of length 1; centered: the mean of the "
        "label set's vectors taken off first, then each of length 1",
    )
    product: Literal["dot", "scaled_dot"] = Field(
        default="dot",
        description="how features meet classifiers. dot: as the method; scaled_dot: divided by the square root of the "
        "number of features, which makes Adam's steps on the label branch as gentle as on a linear head",
    )
    bias: bool = Field(default=False, description="add one learned number per label to the dot product")


class AttentionHeadSettings(BaseModel):
    """Class-specific residual attention (CSRA; Zhu and Wu, ICCV 2021): average pooling plus attention per label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: int = Field(default=1, ge=1, le=8, description="attentions of different sharpness whose logits are added")
    weight: float = Field(default=0.2, ge=0, description="lambda: what attention counts beside average pooling")


class LossSettings(BaseModel):
    """Numbers of the losses; each loss reads its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    focal_gamma: float = Field(default=2.0, ge=0, description="focal: how much easy answers count less")
    focal_alpha: float | None = Field(
        default=0.25, gt=0, lt=1, description="focal: weight of positives, 1 - alpha that of negatives; null: both 1"
    )
    gamma_positive: float = Field(default=0.0, ge=0, description="asymmetric: focusing of positives")
    gamma_negative: float = Field(default=4.0, ge=0, description="asymmetric: focusing of negatives")
    clip: float = Field(default=0.05, ge=0, lt=1, description="asymmetric: taken off a negative's probability")
    beta: float = Field(default=0.999, ge=0, lt=1, description="class_balanced: overlap of a label's images")
    main_weight: float = Field(default=1.0, gt=0, description="weight of an image's main label, with every loss")
    sub_weight: float = Field(default=1.0, gt=0, description="weight of an image's sub labels, with every loss")


class Stage(BaseModel):
    """Some epochs of a staged unfreezing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1, description="how long the stage lasts")
    trainable: Trainable = Field(description="what is trained in it, as backbone.trainable")


STAGES: TypeAdapter[tuple[Stage, ...]] = TypeAdapter(tuple[Stage, ...])


class TrainingSettings(BaseModel):
    """How a model is trained. Everything that decides the weights is in here, so the card can hold it whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName = Field(default="custom", description="where the other values came from; see `preset()`")
    image_size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]] = Field(
        default=(96, 96), description="height and width in pixels that the network sees"
    )
    resize: ResizePolicy = Field(
        default="stretch",
        description="stretch: to the size, whatever the aspect; pad: whole picture on white; "
        "crop: fill the size and cut off what sticks out",
    )
    batch_size: int = Field(default=32, ge=2, description="images per step")
    epochs: int = Field(default=10, ge=1, description="passes over the train split")
    patience: int | None = Field(
        default=None,
        ge=1,
        description="stop after so many epochs without a better one, with stages of the last stage; null: never",
    )
    image_learning_rate: float = Field(default=1e-4, gt=0, description="Adam's rate for a pretrained image branch")
    label_learning_rate: float = Field(
        default=1e-3, gt=0, description="Adam's rate for the label branch or linear head"
    )
    scratch_learning_rate: float = Field(
        default=1e-3, gt=0, description="Adam's rate for an image branch with random weights"
    )
    schedule: Literal["cosine", "step", "constant"] = Field(
        default="cosine", description="how the rates go on after the warm-up"
    )
    step_epochs: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(), description="step: after these epochs the rates are multiplied by step_factor"
    )
    step_factor: float = Field(default=0.1, gt=0, lt=1, description="step: what the rates are multiplied by")
    stages: tuple[Stage, ...] = Field(
        default=(),
        description="staged unfreezing: what is trained for how many epochs, in order; epochs is then their sum, and "
        "backbone.trainable has no say",
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all steps in which the rates rise from zero")
    weight_decay: float = Field(default=0.0, ge=0, description="Adam's L2 penalty, on both branches")
    gradient_clip: float | None = Field(
        default=None, gt=0, description="largest norm of the gradient; null: no clipping"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of pooled features set to zero while training")
    loss: LossName = Field(
        default="bce",
        description="per label: bce (binary cross entropy), focal, asymmetric, or class_balanced (bce weighted by the "
        "effective number of a label's train images)",
    )
    loss_options: LossSettings = Field(default=LossSettings(), description="numbers of the losses")
    sampling: Literal["shuffle", "class_aware"] = Field(
        default="shuffle",
        description="shuffle: every train image once an epoch; class_aware: a label at random, then one of its images",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto",
        description="auto: bf16 mixed precision on a GPU that has it, else float32; bf16 works on CPUs, too",
    )
    batch_norm: Literal["update", "frozen"] = Field(
        default="update",
        description="update: batch statistics while training; frozen: the statistics the weights came with",
    )
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="decay per step of averaged weights; null: no averaging"
    )
    flip: bool = Field(default=True, description="mirror half of the train images")
    zoom: float = Field(default=0.0, ge=0, lt=1, description="train images are scaled by up to this share, both ways")
    shift: float = Field(
        default=0.0, ge=0, lt=1, description="train images are moved by up to this share of their size"
    )
    color: float = Field(
        default=0.0, ge=0, lt=1, description="brightness, contrast and saturation are changed by up to this share"
    )
    erase: float = Field(default=0.0, ge=0, le=1, description="share of train images that lose a random rectangle")
    views: int = Field(
        default=1,
        ge=1,
        le=64,
        description="where blocks are frozen: how many augmented versions of a picture are sent through them once and "
        "kept; each epoch draws one. With 1 there is no augmentation but the mirror image",
    )
    flip_average: bool = Field(default=False, description="score an image as the mean of itself and its mirror image")
    seed: int = Field(
        default=0, ge=0, le=MOST_SEED, description="of initial weights, order of the images and augmentation"
    )
    repeats: int = Field(
        default=1,
        ge=1,
        le=MOST_REPEATS,
        description="trainings, with the seeds seed, seed + 1, ...; figures are their mean",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; null: all that the process may use")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N; auto takes a GPU where there is one")
    devices: int = Field(default=1, ge=1, description="GPUs of this machine (or CPU processes) that share each batch")
    graph: GraphHeadSettings = Field(default=GraphHeadSettings(), description="label branch of ml_gcn")
    attention: AttentionHeadSettings = Field(default=AttentionHeadSettings(), description="head of csra")

    @model_validator(mode="before")
    @classmethod
    def _epochs_of_stages(cls, values: Any) -> Any:
        """Let the stages decide how many epochs there are."""
        if not isinstance(values, Mapping) or not values.get("stages"):
            return values
        try:
            stages = STAGES.validate_python(values["stages"])
        except ValidationError:
            return values  # the field is checked next, and says what is wrong
        return {**values, "stages": stages, "epochs": sum(stage.epochs for stage in stages)}

    @model_validator(mode="after")
    def _schedule_is_whole(self) -> Self:
        if self.schedule == "step" and not self.step_epochs:
            raise ValueError("schedule is step: say after which epochs the rates fall, in step_epochs")
        if self.schedule != "step" and self.step_epochs:
            raise ValueError(f"step_epochs is of no use with schedule {self.schedule}: leave it out, or set step")
        if list(self.step_epochs) != sorted(set(self.step_epochs)):
            raise ValueError("step_epochs must rise")
        if self.step_epochs and self.step_epochs[-1] >= self.epochs:
            raise ValueError(
                f"step_epochs: nothing is trained after epoch {self.step_epochs[-1]} of {self.epochs}: lower it"
            )
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the repeats."""
        return tuple(range(self.seed, self.seed + self.repeats))


SMALL_TRAINING: dict[str, Any] = {
    "preset": "small",
    "image_size": (64, 48),
    "batch_size": 32,
    "epochs": 7,
    "graph": {"word_vectors": "centered"},
}
PAPER_TRAINING: dict[str, Any] = {
    "preset": "paper",
    "image_size": (448, 448),
    "batch_size": 32,
    "epochs": 20,
    "zoom": 0.2,
    "shift": 0.1,
}
FINE_TUNE_TRAINING: dict[str, Any] = {
    "preset": "fine_tune",
    "image_size": (192, 128),
    "batch_size": 32,
    "epochs": 6,
    "image_learning_rate": 3e-4,
    "batch_norm": "frozen",
    "ema": 0.98,
    "zoom": 0.2,
    "shift": 0.1,
    "color": 0.25,
    "views": 8,
    "flip_average": True,
    "graph": {"pooling": "average", "word_vectors": "centered", "hidden": 256},
}
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "small": (SMALL_TRAINING, {"name": "resnet18", "weights": "none", "trainable": "all"}),
    "paper": (PAPER_TRAINING, {"name": "resnet50", "weights": "imagenet", "trainable": "all"}),
    "fine_tune": (FINE_TUNE_TRAINING, {"name": "mobilenet_v2", "weights": "imagenet", "trainable": 8}),
    "custom": ({}, {}),
}


def preset(
    name: PresetName, training: dict[str, Any] | None = None, backbone: dict[str, Any] | None = None
) -> tuple[TrainingSettings, BackboneSettings]:
    """Return the settings of a preset with the given values put over it.

    ``small`` trains ResNet-18 from scratch on small pictures in seconds; ``paper`` is the published set-up;
    ``fine_tune`` trains the last blocks of a pretrained network, which two CPU cores can do. Raises
    ``pydantic.ValidationError`` for an unknown key or a value out of range.
    """
    training_values, backbone_values = preset_values(name, training or {}, backbone or {})
    return TrainingSettings(**training_values), BackboneSettings(**backbone_values)


def preset_values(
    name: PresetName, training: Mapping[str, Any], backbone: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a preset's values with the given ones put over them, tables inside tables too; nothing is checked yet."""
    base_training, base_backbone = PRESETS[name]
    values = {**base_training, **training, "preset": name}
    if isinstance(graph := values.get("graph"), Mapping):
        values["graph"] = {**base_training.get("graph", {}), **graph}
    return values, {**base_backbone, **backbone}
