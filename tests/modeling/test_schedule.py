import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.architectures import ARCHITECTURES
from modeling.schedule import Epoch, best_epoch, deepest, is_finished, rate_factor, stages_of, trainable_in
from modeling.training_settings import Stage, TrainingSettings


def settings(**values: object) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 10, "warmup": 0.1, **values})


def epoch(number: int, score: float, loss: float = 0.5) -> Epoch:
    return Epoch(number, 0.5, loss, score, 1e-3, 1.0)


def test_cosine_by_hand():
    """100 steps, 10 of them warm-up: 1/10, ... 1; then half a cosine over 90 steps, half way down at step 55."""
    factors = [rate_factor(step, 10, settings()) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[9] == 1
    assert factors[10] == 1
    assert factors[40] == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0, abs=1e-12)


def test_constant_after_the_warm_up():
    assert rate_factor(4, 10, settings(schedule="constant")) == 0.5
    assert rate_factor(99, 10, settings(schedule="constant")) == 1


def test_steps_fall_behind_their_epochs():
    """Epochs of 10 steps, milestones after 2 and 5 of them."""
    rates = settings(schedule="step", step_epochs=(2, 5), step_factor=0.1, warmup=0)
    assert [rate_factor(step, 10, rates) for step in (0, 19)] == [1, 1]
    assert [rate_factor(step, 10, rates) for step in (20, 49)] == [0.1, 0.1]
    assert rate_factor(50, 10, rates) == pytest.approx(0.01)
    assert rate_factor(99, 10, rates) == pytest.approx(0.01)


def test_steps_fall_in_a_long_warm_up_too():
    """40 of 100 steps rise; the milestone is at 20, where half of the rise is over."""
    rates = settings(schedule="step", step_epochs=(2,), step_factor=0.5, warmup=0.4)
    assert rate_factor(19, 10, rates) == 0.5
    assert rate_factor(20, 10, rates) == pytest.approx(21 / 40 * 0.5)
    assert rate_factor(40, 10, rates) == 0.5


@given(st.integers(1, 50), st.integers(1, 40), st.floats(0, 0.99), st.sampled_from(["cosine", "constant"]))
def test_rates_stay_between_0_and_the_full_rate(epochs: int, steps: int, warmup: float, schedule: str):
    rates = settings(epochs=epochs, warmup=warmup, schedule=schedule)
    factors = [rate_factor(step, steps, rates) for step in range(epochs * steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_stages_follow_each_other():
    stages = (Stage(epochs=2, trainable="head"), Stage(epochs=1, trainable=3), Stage(epochs=2, trainable="all"))
    assert [trainable_in(number, stages) for number in range(1, 6)] == ["head", "head", 3, "all", "all"]
    assert trainable_in(7, ()) == "all"


def test_the_deepest_stage_decides_what_is_ever_trained():
    head, two, five, every = (Stage(epochs=1, trainable=depth) for depth in ("head", 2, 5, "all"))
    assert deepest((head,)) == "head"
    assert deepest((head, five, two)) == 5
    assert deepest((two, every, head)) == "all"


def test_the_best_epoch_has_the_best_score_then_the_lowest_loss_then_comes_first():
    assert best_epoch([epoch(1, 0.5), epoch(2, 0.7), epoch(3, 0.6)]).epoch == 2
    assert best_epoch([epoch(1, 0.7, 0.4), epoch(2, 0.7, 0.3), epoch(3, 0.7, 0.3)]).epoch == 2


def test_a_training_ends_after_its_epochs_or_its_patience():
    waiting = [epoch(1, 0.5), epoch(2, 0.7), epoch(3, 0.6)]
    assert not is_finished([], settings(epochs=1), ())
    assert not is_finished(waiting, settings(epochs=4), ())
    assert is_finished(waiting, settings(epochs=3), ())
    assert is_finished(waiting, settings(epochs=9, patience=1), ())
    assert not is_finished(waiting, settings(epochs=9, patience=2), ())


def test_patience_begins_with_the_last_stage():
    """Stages of 3, 1 and 5 epochs: nothing is better than epoch 1, so patience 2 is over at the end of epoch 6."""
    stages = tuple(Stage(epochs=epochs, trainable=depth) for epochs, depth in ((3, "head"), (1, 2), (5, "all")))
    waiting = [epoch(1, 0.7), *(epoch(number, 0.5) for number in range(2, 7))]
    staged = settings(epochs=9, patience=2)
    assert [is_finished(waiting[:count], staged, stages) for count in range(1, 7)] == [False] * 5 + [True]
    better = [*waiting[:4], epoch(5, 0.8), epoch(6, 0.5), epoch(7, 0.5)]
    assert [is_finished(better[:count], staged, stages) for count in (6, 7)] == [False, True]


def test_only_a_backbone_that_can_be_unfrozen_goes_through_stages():
    staged = settings(stages=(Stage(epochs=1, trainable="head"), Stage(epochs=1, trainable=2)))
    through = [name for name, form in ARCHITECTURES.items() if stages_of(form, staged)]
    assert through == ["backbone", "backbone_max", "ml_gcn", "csra"]
