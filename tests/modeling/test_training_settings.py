import pytest
from pydantic import ValidationError

from modeling.training_settings import (
    MOST_REPEATS,
    MOST_SEED,
    PRESETS,
    BackboneSettings,
    TrainingSettings,
    preset,
)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_valid_and_says_its_name(name: str):
    training, backbone = preset(name)
    assert training.preset == name
    assert isinstance(backbone, BackboneSettings)
    assert TrainingSettings.model_validate_json(training.model_dump_json()) == training


def test_given_values_stand_over_those_of_the_preset():
    training, backbone = preset("fine_tune", {"epochs": 3, "graph": {"hidden": 64}}, {"trainable": "head"})
    assert training.epochs == 3
    assert training.graph.hidden == 64
    assert training.graph.word_vectors == "centered"
    assert training.image_size == preset("fine_tune")[0].image_size
    assert backbone.trainable == "head"
    assert backbone.name == "mobilenet_v2"


def test_the_paper_preset_is_the_method():
    training, backbone = preset("paper")
    assert (backbone.name, backbone.weights, backbone.trainable) == ("resnet50", "imagenet", "all")
    assert (training.image_learning_rate, training.label_learning_rate) == (1e-4, 1e-3)
    assert training.image_size == (448, 448)
    assert training.loss == "bce"
    graph = training.graph
    assert (graph.hidden, graph.negative_slope, graph.pooling, graph.product) == (1024, 0.2, "max", "dot")
    assert graph.word_vectors == "as_given"
    assert not graph.bias


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"epochs": 0}, "epochs"),
        ({"image_size": (16, 64)}, "image_size"),
        ({"loss": "hinge"}, "loss"),
        ({"loss_options": {"clip": 1.0}}, "loss_options.clip"),
        ({"stages": [{"epochs": 2, "trainable": "most"}]}, "stages.0.trainable"),
        ({"stages": [{"epochs": "few", "trainable": "all"}]}, "stages.0.epochs"),
        ({"stages": [{"trainable": "all"}]}, "stages.0.epochs"),
        ({"stages": ["head"]}, "stages.0"),
        ({"stages": 3}, "stages"),
        ({"seed": 2**32}, "seed"),
        ({"views": 0}, "views"),
        ({"graph": {"layers": 3}}, "graph.layers"),
    ],
)
def test_a_wrong_key_or_value_is_named(values: dict[str, object], named: str):
    with pytest.raises(ValidationError) as caught:
        TrainingSettings(**values)
    assert ".".join(str(part) for part in caught.value.errors()[0]["loc"]).startswith(named)


def test_stages_decide_how_many_epochs_there_are():
    stages = [{"epochs": 2, "trainable": "head"}, {"epochs": 5, "trainable": 8}]
    training = TrainingSettings(epochs=40, stages=stages)
    assert training.epochs == 7
    assert TrainingSettings(stages=training.stages).epochs == 7
    assert TrainingSettings(stages=[{"epochs": "3", "trainable": "all"}]).epochs == 3


def test_a_step_schedule_needs_rising_epochs():
    with pytest.raises(ValidationError, match="say after which epochs the rates fall, in step_epochs"):
        TrainingSettings(schedule="step")
    with pytest.raises(ValidationError, match="step_epochs must rise"):
        TrainingSettings(schedule="step", step_epochs=(4, 4))
    assert TrainingSettings(schedule="step", step_epochs=(2, 4)).step_factor == 0.1


def test_step_epochs_that_do_nothing_are_refused():
    with pytest.raises(
        ValidationError, match="step_epochs is of no use with schedule cosine: leave it out, or set step"
    ):
        TrainingSettings(step_epochs=(2, 4))
    with pytest.raises(ValidationError, match="step_epochs: nothing is trained after epoch 4 of 4: lower it"):
        TrainingSettings(schedule="step", step_epochs=(2, 4), epochs=4)
    stages = [{"epochs": 2, "trainable": "head"}, {"epochs": 2, "trainable": "all"}]
    with pytest.raises(ValidationError, match="nothing is trained after epoch 5 of 4"):
        TrainingSettings(schedule="step", step_epochs=(5,), epochs=40, stages=stages)


def test_repeats_have_the_seeds_that_follow():
    assert TrainingSettings(seed=5, repeats=3).seeds == (5, 6, 7)
    assert TrainingSettings().seeds == (0,)
    assert TrainingSettings(seed=MOST_SEED, repeats=MOST_REPEATS).seeds[-1] == 2**32 - 1


def test_a_random_backbone_has_to_be_trained():
    with pytest.raises(ValidationError, match="a random backbone has to be trained"):
        BackboneSettings(weights="none", trainable="head")
    with pytest.raises(ValidationError):
        BackboneSettings(weights="imagenet", trainable=0)
    assert BackboneSettings(weights="imagenet", trainable=3).weights_path is None
    assert str(BackboneSettings(weights="a/b.pth").weights_path) == "a/b.pth"
