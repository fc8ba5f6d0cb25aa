import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling import torchvision_guard  # noqa: F401  (before torchvision)
from modeling.errors import ModelingError
from modeling.losses import Loss, class_balanced_weights, make_loss, target_weights
from modeling.training_settings import LossSettings, TrainingSettings

# isort: split
from torchvision.ops import sigmoid_focal_loss

LOGITS = np.array([[0.0, 2.0, -1.0], [-3.0, 0.5, 4.0]])
TARGETS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
COUNTS = np.array([6048, 956, 39])
NAMES = ["bce", "focal", "asymmetric", "class_balanced"]


def loss_of(name: str, counts: np.ndarray = COUNTS, **options: float | None) -> Loss:
    training = TrainingSettings(loss=name, loss_options=LossSettings(**options))
    return make_loss(training, counts, int(counts.max()) + 1)


def value(loss: Loss, weights: np.ndarray | None = None) -> float:
    given_weights = None if weights is None else torch.tensor(weights)
    return float(loss(torch.tensor(LOGITS), torch.tensor(TARGETS), given_weights))


def by_formula(positive, negative) -> np.ndarray:
    """Terms of the losses as the papers write them, with probabilities, in float64."""
    p = 1 / (1 + np.exp(-LOGITS))
    return TARGETS * positive(p) + (1 - TARGETS) * negative(p)


BCE_TERMS = by_formula(lambda p: -np.log(p), lambda p: -np.log(1 - p))


def test_bce_by_hand():
    """Logit 0 costs log 2 either way; logit 2, wrongly, 2 + log(1 + e^-2)."""
    loss = loss_of("bce")
    one = loss(torch.tensor([[0.0]]), torch.tensor([[1.0]]))
    assert float(one) == pytest.approx(0.6931472)
    assert float(loss(torch.tensor([[2.0]]), torch.tensor([[0.0]]))) == pytest.approx(2.1269280)
    assert value(loss) == pytest.approx(BCE_TERMS.mean(), abs=1e-12)


def test_focal_by_hand():
    """p = 0.5, alpha = 0.25, gamma = 2: 0.25 * 0.5^2 * log 2 for a positive, three times that for a negative."""
    loss = loss_of("focal")
    assert float(loss(torch.tensor([[0.0]]), torch.tensor([[1.0]]))) == pytest.approx(0.0625 * np.log(2))
    assert float(loss(torch.tensor([[0.0]]), torch.tensor([[0.0]]))) == pytest.approx(0.1875 * np.log(2))


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, 0.9), (0.0, 0.3), (5.0, None)])
def test_focal_is_the_papers_and_torchvisions(gamma: float, alpha: float | None):
    positive, negative = (1, 1) if alpha is None else (alpha, 1 - alpha)
    terms = by_formula(
        lambda p: -positive * (1 - p) ** gamma * np.log(p), lambda p: -negative * p**gamma * np.log(1 - p)
    )
    ours = value(loss_of("focal", focal_gamma=gamma, focal_alpha=alpha))
    peer = sigmoid_focal_loss(
        torch.tensor(LOGITS), torch.tensor(TARGETS), -1 if alpha is None else alpha, gamma, reduction="mean"
    )
    assert ours == pytest.approx(terms.mean(), abs=1e-12)
    assert ours == pytest.approx(float(peer), abs=1e-12)


@pytest.mark.parametrize(("plus", "minus", "clip"), [(0.0, 4.0, 0.05), (1.0, 2.5, 0.2), (0.0, 0.5, 0.0)])
def test_asymmetric_is_the_papers(plus: float, minus: float, clip: float):
    def negative(p: np.ndarray) -> np.ndarray:
        shifted = np.maximum(p - clip, 0)
        return -(shifted**minus) * np.log(1 - shifted)

    terms = by_formula(lambda p: -((1 - p) ** plus) * np.log(p), negative)
    ours = value(loss_of("asymmetric", gamma_positive=plus, gamma_negative=minus, clip=clip))
    assert ours == pytest.approx(terms.mean(), abs=1e-12)


def test_asymmetric_forgets_easy_negatives():
    """Logit -3 is a probability of 0.047, less than the clip of 0.05: no loss and no gradient."""
    logits = torch.tensor([[-3.0]], requires_grad=True)
    loss = loss_of("asymmetric")(logits, torch.tensor([[0.0]]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert float(logits.grad) == 0


def test_class_balanced_weights_by_hand():
    """Counts 1 and 2 at beta 0.5: 1 / 0.5 and 1 / 0.75, that is 6 to 4, scaled to a mean of 1."""
    assert class_balanced_weights(0.5, np.array([1, 2])) == pytest.approx([1.2, 0.8])
    assert class_balanced_weights(1 - 1e-12, np.array([1, 4])) == pytest.approx([1.6, 0.4])  # 1 / n in the limit
    assert class_balanced_weights(0.999, COUNTS).sum() == pytest.approx(3)


def test_class_balanced_is_weighted_bce():
    plain = (1 - 0.999) / (1 - 0.999 ** COUNTS.astype(float))
    expected = (BCE_TERMS * (plain / plain.sum() * 3)).mean()
    assert value(loss_of("class_balanced", beta=0.999)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("focal", {"focal_gamma": 0, "focal_alpha": None}),
        ("asymmetric", {"gamma_positive": 0, "gamma_negative": 0, "clip": 0}),
        ("class_balanced", {"beta": 0}),
    ],
)
def test_each_is_bce_at_its_neutral_numbers(name: str, options: dict[str, float | None]):
    assert value(loss_of(name, **options)) == pytest.approx(BCE_TERMS.mean(), abs=1e-12)


def test_asymmetric_with_equal_gammas_is_focal():
    focal = value(loss_of("focal", focal_gamma=2, focal_alpha=None))
    assert value(loss_of("asymmetric", gamma_positive=2, gamma_negative=2, clip=0)) == pytest.approx(focal)


@pytest.mark.parametrize("name", NAMES)
def test_weights_multiply_the_terms(name: str):
    loss = loss_of(name)
    terms = loss.terms(torch.tensor(LOGITS), torch.tensor(TARGETS)).numpy()
    weights = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, 1.0]])
    assert value(loss, weights) == pytest.approx((terms * weights).sum() / 6)
    assert value(loss, np.ones((2, 3))) == pytest.approx(value(loss))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"focal_gamma": 0.5, "gamma_negative": 0.5, "gamma_positive": 0.5, "clip": 0}])
def test_gradients_are_those_of_the_values(name: str, options: dict[str, float]):
    logits = torch.tensor(LOGITS, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss_of(name, **options)(x, torch.tensor(TARGETS)), (logits,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@settings(deadline=None)
@given(
    size=st.floats(0, 1e6, width=32),
    gamma=st.sampled_from([0.0, 0.1, 0.5, 1.0, 4.0]),
    clip=st.sampled_from([0.0, 1e-9, 0.05, 0.9]),
)
def test_no_logit_is_too_large(name: str, dtype: torch.dtype, size: float, gamma: float, clip: float):
    loss = loss_of(name, focal_gamma=gamma, gamma_positive=gamma, gamma_negative=gamma, clip=clip)
    logits = torch.tensor([[-size, size, 0.0], [size, -size, -0.0]], dtype=dtype, requires_grad=True)
    mean = loss(logits, torch.tensor(TARGETS, dtype=torch.float32))
    mean.backward()
    assert mean.dtype == torch.float32
    assert torch.isfinite(mean)
    assert mean >= 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_answer_pulls_back_however_wrong(name: str):
    """At logits of 80 the float32 sigmoid is 1, and a loss made of probabilities would have no gradient left."""
    logits = torch.tensor([[-80.0, 80.0, -80.0]], requires_grad=True)
    loss_of(name, clip=0)(logits, torch.tensor([[1.0, 0.0, 1.0]])).backward()
    assert logits.grad is not None
    assert (torch.sign(logits.grad) == torch.tensor([[-1.0, 1.0, -1.0]])).all()
    assert (logits.grad.abs() > 1e-4).all()


@pytest.mark.parametrize("name", NAMES)
def test_losses_travel_and_leave_no_trace_in_weights(name: str):
    loss = loss_of(name)
    assert value(pickle.loads(pickle.dumps(loss))) == value(copy.deepcopy(loss)) == value(loss)  # noqa: S301
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_a_label_without_images_is_named():
    with pytest.raises(ModelingError, match="label number 2 has 0 of 11 train images"):
        loss_of("class_balanced", np.array([10, 0]))
    with pytest.raises(ModelingError, match="label number 1 has 5 of 4 train images"):
        make_loss(TrainingSettings(), np.array([5]), 4)


def test_main_and_sub_labels_weigh_as_set():
    targets = np.array([[1, 1, 0], [0, 0, 1]], dtype=np.float32)
    weights = target_weights(np.array([1, 2]), targets, 2.0, 0.5)
    assert weights is not None
    assert weights.dtype == np.float32
    assert weights.tolist() == [[0.5, 2.0, 1.0], [1.0, 1.0, 2.0]]
    assert target_weights(np.array([1, 2]), targets, 1.0, 1.0) is None
