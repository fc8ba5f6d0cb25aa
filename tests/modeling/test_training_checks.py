"""Settings that would quietly do something else than they say are refused, with what to do."""

import pytest

from modeling.architectures import ARCHITECTURES
from modeling.training_checks import training_problem
from modeling.training_settings import PRESETS, BackboneSettings, TrainingSettings, preset

RANDOM = BackboneSettings(weights="none")
WITH_BACKBONE = ["backbone", "backbone_max", "ml_gcn", "csra"]
HEAD_FIRST = [{"epochs": 1, "trainable": "head"}, {"epochs": 1, "trainable": "all"}]
SOME_LEFT_OUT = [{"epochs": 1, "trainable": "head"}, {"epochs": 1, "trainable": 4}]


def problem(architecture: str, backbone: BackboneSettings, **training: object) -> str | None:
    return training_problem(ARCHITECTURES[architecture], backbone, TrainingSettings(**training))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_can_be_trained(name: str):
    training, backbone = preset(name)
    possible = [key for key, form in ARCHITECTURES.items() if training_problem(form, backbone, training) is None]
    random = backbone.weights == "none"
    assert possible == [key for key in ARCHITECTURES if not (random and key == "linear_probe")]


@pytest.mark.parametrize("change", ["zoom", "shift", "color", "erase"])
@pytest.mark.parametrize("architecture", WITH_BACKBONE)
def test_changes_of_pictures_that_frozen_blocks_would_swallow_are_refused(architecture: str, change: str):
    expected = (
        "training.views is 1: zoom, shift, color and erase do nothing over frozen blocks; raise training.views, or "
        'set backbone.trainable to "all"'
    )
    for trainable in ("head", 3):
        pretrained = BackboneSettings(weights="imagenet", trainable=trainable)
        assert problem(architecture, pretrained, **{change: 0.1}) == expected
        assert problem(architecture, pretrained, **{change: 0.1}, views=2) is None
        assert problem(architecture, pretrained) is None
    assert problem(architecture, BackboneSettings(weights="imagenet"), **{change: 0.1}) is None


def test_stages_decide_what_is_frozen_and_are_named():
    head, every = (BackboneSettings(weights="imagenet", trainable=depth) for depth in ("head", "all"))
    assert problem("backbone", head, zoom=0.1, stages=HEAD_FIRST) is None
    said = problem("backbone", every, zoom=0.1, stages=SOME_LEFT_OUT)
    assert said is not None
    assert said.endswith('raise training.views, or let a stage of training.stages train "all"')


@pytest.mark.parametrize("architecture", ["basic_cnn", "linear_probe"])
def test_architectures_without_blocks_to_unfreeze_may_stand_beside_the_others(architecture: str):
    for trainable in ("all", "head", 3):
        assert problem(architecture, BackboneSettings(weights="imagenet", trainable=trainable), zoom=0.1) is None


def test_a_head_over_a_random_backbone_is_refused():
    said = problem("linear_probe", RANDOM)
    assert said is not None
    assert 'linear_probe never trains the backbone, and with backbone.weights "none"' in said


@pytest.mark.parametrize("architecture", WITH_BACKBONE)
def test_random_weights_have_no_statistics_to_keep_and_no_blocks_to_freeze(architecture: str):
    said = problem(architecture, RANDOM, batch_norm="frozen")
    assert said is not None
    assert 'with backbone.weights "none" there are none: set it to "update"' in said
    for stages in (HEAD_FIRST, SOME_LEFT_OUT):
        said = problem(architecture, RANDOM, stages=stages)
        assert said is not None
        assert said.startswith('training.stages: with backbone.weights "none" the backbone has to be trained')
    assert problem(architecture, RANDOM, stages=[{"epochs": 2, "trainable": "all"}]) is None
    assert problem("basic_cnn", RANDOM, batch_norm="frozen", stages=HEAD_FIRST) is None
