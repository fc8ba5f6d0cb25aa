import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.averaging import WeightAverage
from modeling.calibration import calibrated, f1_thresholds, fit_temperature
from modeling.checkpoints import CheckpointFile
from modeling.errors import ModelingError
from modeling.images import load_image
from modeling.label_sets import label_matrix
from modeling.model_files import load_model, load_network, read_card
from modeling.networks.backbones import classification_model
from modeling.tables import TRAINING_CURVES
from modeling.train import GraphReference, TrainedModel, train
from modeling.training_settings import BackboneSettings, Stage, TrainingSettings
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> BackboneSettings:
    """A backbone with weights from a file, of which the last two blocks are trained."""
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("weights") / "features.safetensors"
    state = classification_model(FROM_SCRATCH.name, (32, 32)).state_dict()
    save_file({key: value for key, value in state.items() if key.startswith("features.")}, path)
    return BackboneSettings(name=FROM_SCRATCH.name, weights=str(path), trainable=2)


def trained(
    case: Case,
    folder: Path,
    architecture: str,
    backbone: BackboneSettings = FROM_SCRATCH,
    training: TrainingSettings = QUICK,
    cache: str = "cache",
    **more: object,
) -> TrainedModel:
    out = folder / architecture
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, architecture, backbone, training, case.image_path)
    return train(*arguments, folder / cache, out, **more)


@pytest.mark.parametrize("architecture", ["basic_cnn", "ml_gcn"])
def test_the_same_seed_gives_the_same_bytes(case: Case, tmp_path: Path, architecture: str):
    settings = QUICK.model_copy(update={"zoom": 0.1, "shift": 0.1, "dropout": 0.2})
    runs = [trained(case, tmp_path / name, architecture, training=settings) for name in ("first", "second")]
    assert runs[0].weights.read_bytes() == runs[1].weights.read_bytes()
    assert (runs[0].weights.parent / "card.json").read_bytes() == (runs[1].weights.parent / "card.json").read_bytes()
    timeless = [run.curves.drop_columns(["seconds"]) for run in runs]
    assert timeless[0].equals(timeless[1])


def test_another_seed_gives_other_weights(case: Case, tmp_path: Path):
    runs = [
        trained(case, tmp_path / str(seed), "basic_cnn", training=QUICK.model_copy(update={"seed": seed, "epochs": 1}))
        for seed in (0, 1)
    ]
    assert runs[0].weights.read_bytes() != runs[1].weights.read_bytes()


def test_training_learns_and_keeps_the_best_validation_epoch(case: Case, tmp_path: Path):
    told: list[tuple[int, int]] = []
    settings = QUICK.model_copy(update={"epochs": 6})
    model = trained(case, tmp_path, "basic_cnn", training=settings, progress=lambda *done: told.append(done))
    assert model.curves.schema == TRAINING_CURVES
    rows = model.curves.to_pylist()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert told == [(batch, 18) for batch in range(1, 19)]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    best = [row for row in rows if row["best"]]
    assert len(best) == 1
    assert best[0]["validation_score"] == max(row["validation_score"] for row in rows)
    assert best[0]["epoch"] == model.card["best_epoch"]
    assert best[0]["validation_score"] > 0.7


def test_the_test_split_has_no_say(case: Case, tmp_path: Path):
    """Other test pictures and labels, the same weights."""
    changed = case.data_set.copy()
    test = changed["split"] == "test"
    changed.loc[test, "main"] = "red"
    without = Case(changed[~test | (changed.index % 2 == 0)], case.image_path)
    quick = QUICK.model_copy(update={"epochs": 1})
    first = load_file(trained(case, tmp_path / "all", "basic_cnn", training=quick).weights)
    second = load_file(trained(without, tmp_path / "some", "basic_cnn", training=quick).weights)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_frozen_blocks_stay_and_their_activations_are_shared(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    before = load_file(Path(pretrained.weights))
    runs = [trained(case, tmp_path, name, pretrained, cache="shared") for name in ("backbone", "ml_gcn")]
    assert len(list((tmp_path / "shared" / "activations").iterdir())) == 1
    for run in runs:
        state = load_file(run.weights)
        frozen = {key.rpartition("frozen.")[2]: value for key, value in state.items() if ".frozen." in key}
        assert frozen
        for key, value in frozen.items():
            assert torch.equal(value, before[f"features.{key}"])
        assert not torch.equal(state["image_branch.trained.1.0.weight"], before["features.12.0.weight"])
        assert run.card["backbone"]["weights"] == "features.safetensors"
        assert len(run.card["backbone_weights"]["sha256"]) == 64


def test_a_linear_probe_trains_its_head_only(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    model = trained(case, tmp_path, "linear_probe", pretrained)
    state, before = load_file(model.weights), load_file(Path(pretrained.weights))
    assert not [key for key in state if ".trained." in key]
    for key, value in state.items():
        if ".frozen." in key:
            assert torch.equal(value, before["features." + key.rpartition("frozen.")[2]])


def test_frozen_batch_norm_keeps_its_statistics(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    settings = QUICK.model_copy(update={"batch_norm": "frozen", "epochs": 1})
    state = load_file(trained(case, tmp_path, "backbone", pretrained, settings).weights)
    before = load_file(Path(pretrained.weights))
    assert torch.equal(state["image_branch.trained.1.1.running_mean"], before["features.12.1.running_mean"])
    moved = load_file(trained(case, tmp_path / "update", "backbone", pretrained).weights)
    assert not torch.equal(moved["image_branch.trained.1.1.running_mean"], before["features.12.1.running_mean"])


def test_averaged_weights_and_patience(case: Case, tmp_path: Path):
    settings = QUICK.model_copy(update={"ema": 0.9, "patience": 1, "epochs": 30, "flip_average": True})
    model = trained(case, tmp_path, "basic_cnn", training=settings)
    assert model.curves.num_rows < 30
    assert model.curves.num_rows == model.card["best_epoch"] + 1
    plain = trained(case, tmp_path / "plain", "basic_cnn")
    assert not torch.equal(load_file(model.weights)["head.weight"], load_file(plain.weights)["head.weight"])


def test_nothing_is_left_behind(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    """No log folder, no message, no changed global setting, no changed random numbers."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    trained(case, tmp_path, "basic_cnn", training=QUICK.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["basic_cnn", "cache"]
    assert not [record for record in caplog.records if record.name.startswith("lightning")]
    assert warnings.filters


def test_the_card_tells_how_to_build_the_model_again(case: Case, tmp_path: Path):
    quick = QUICK.model_copy(update={"epochs": 1})
    card = trained(case, tmp_path, "ml_gcn", training=quick, graph=GraphReference("abc", "equation")).card
    assert card["architecture"] == "ml_gcn"
    assert card["labels"] == LABELS
    assert card["graph_hash"] == "abc"
    assert card["pooling"] == "max"
    assert card["images"] == {"test": 8, "train": 24, "validation": 8}
    assert card["threads"] == 1
    assert (card["device"], card["precision"]) == ("cpu", "float32")
    assert TrainingSettings.model_validate(card["training"]) == quick
    assert len(card["data_set_version"]) == 64
    assert card["packages"]["torch"] == torch.__version__
    assert str(tmp_path) not in (tmp_path / "ml_gcn" / "card.json").read_text()
    assert load_model(tmp_path / "ml_gcn", "cpu").labels == LABELS


def test_the_card_counts_train_images_by_label_and_knows_the_graph(case: Case, tmp_path: Path):
    quick = QUICK.model_copy(update={"epochs": 1})
    card = trained(case, tmp_path, "ml_gcn", training=quick, graph=GraphReference("abc", "equation")).card
    train_rows = case.data_set[case.data_set["split"] == "train"]
    assert card["label_images"] == {
        label: int(
            ((train_rows["main"] == label) | train_rows["subs"].map(lambda subs, label=label: label in subs)).sum()
        )
        for label in LABELS
    }
    assert (card["graph_hash"], card["graph_form"]) == ("abc", "equation")
    plain = trained(case, tmp_path, "basic_cnn", training=quick, graph=GraphReference("abc", "equation")).card
    assert (plain["graph_hash"], plain["graph_form"]) == (None, None)


def test_a_learned_graph_is_trained(case: Case, tmp_path: Path):
    learned = trained(case, tmp_path / "learned", "ml_gcn", graph=GraphReference("abc", "learned"))
    fixed = trained(case, tmp_path / "fixed", "ml_gcn", graph=GraphReference("abc", "equation"))
    given = torch.tensor(ADJACENCY, dtype=torch.float32)
    assert not torch.equal(load_file(learned.weights)["head.adjacency"], given)
    assert torch.equal(load_file(fixed.weights)["head.adjacency"], given)


def test_calibration_comes_from_the_validation_logits_of_the_kept_weights(case: Case, tmp_path: Path):
    """Also after bf16 training: the logits are those of a float32 network, as a saved model predicts."""
    settings = QUICK.model_copy(update={"precision": "bf16", "flip_average": True, "epochs": 3})
    model = trained(case, tmp_path, "backbone", training=settings)
    state = CheckpointFile(model.checkpoint).read()
    assert state is not None
    rows = case.data_set[case.data_set["split"] == "validation"].sort_values("image_id")
    network, _ = load_network(tmp_path / "backbone")
    pictures = np.stack([load_image(case.image_path(file_id), (32, 32)) for file_id in rows["file_id"]])
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = (network.eval()(images) + network(images.flip(-1))) / 2
    torch.testing.assert_close(state.best_logits, logits, rtol=1e-4, atol=1e-4)
    targets = label_matrix(rows["main"], rows["subs"], LABELS)
    temperature = model.card["calibration"]["temperature"]
    assert temperature == pytest.approx(fit_temperature(state.best_logits.numpy(), targets))
    thresholds = f1_thresholds(calibrated(state.best_logits.numpy(), temperature), targets)
    assert model.card["calibration"]["thresholds"] == dict(zip(LABELS, thresholds.tolist(), strict=True))


def test_precision_decides_the_weights(case: Case, tmp_path: Path):
    exact = trained(case, tmp_path / "exact", "basic_cnn").weights
    half = trained(
        case, tmp_path / "half", "basic_cnn", training=QUICK.model_copy(update={"precision": "bf16"})
    ).weights
    assert exact.read_bytes() != half.read_bytes()
    assert read_card(half.parent)["precision"] == "bf16"
    for name, value in load_file(half).items():
        assert value.dtype == load_file(exact)[name].dtype


def test_rates_fall_at_their_epochs(case: Case, tmp_path: Path):
    """Recorded is the rate of the image branch at an epoch's last step."""
    settings = QUICK.model_copy(update={"schedule": "step", "step_epochs": (1, 2), "epochs": 3, "warmup": 0.0})
    rates = trained(case, tmp_path, "backbone", training=settings).curves["learning_rate"].to_pylist()
    assert rates == pytest.approx([1e-3, 1e-4, 1e-5])


def test_losses_and_weights_of_labels_are_used(case: Case, tmp_path: Path):
    losses = []
    for number, more in enumerate(
        ({}, {"loss": "focal"}, {"loss": "class_balanced"}, {"loss_options": {"sub_weight": 3.0}})
    ):
        settings = TrainingSettings(**{**QUICK.model_dump(), "epochs": 1, **more})
        curves = trained(case, tmp_path / str(number), "basic_cnn", training=settings).curves
        losses.append((curves["train_loss"][0].as_py(), curves["validation_loss"][0].as_py()))
    assert len(set(losses)) == 4
    assert losses[3][0] > losses[0][0]


def test_views_of_frozen_blocks_are_used_and_kept(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    settings = QUICK.model_copy(update={"zoom": 0.2, "views": 3})
    one = trained(case, tmp_path / "one", "backbone", pretrained, QUICK)
    three = trained(case, tmp_path / "three", "backbone", pretrained, settings)
    files = {name: len(list((tmp_path / name / "cache" / "activations").iterdir())) for name in ("one", "three")}
    assert files == {"one": 1, "three": 3}
    assert one.weights.read_bytes() != three.weights.read_bytes()


def test_stages_leave_other_architectures_alone(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    stages = (Stage(epochs=1, trainable="head"), Stage(epochs=1, trainable=1))
    settings = TrainingSettings(**{**QUICK.model_dump(), "stages": stages})
    unstaged = trained(case, tmp_path / "unstaged", "basic_cnn")
    staged = trained(case, tmp_path / "staged", "basic_cnn", training=settings)
    assert staged.card["backbone"]["trainable"] == "all"
    assert load_file(staged.weights).keys() == load_file(unstaged.weights).keys()
    assert all(
        torch.equal(value, load_file(unstaged.weights)[name]) for name, value in load_file(staged.weights).items()
    )
    probe = trained(case, tmp_path / "probe", "linear_probe", pretrained, settings)
    assert not [key for key in load_file(probe.weights) if ".trained." in key]


def test_stages_with_more_blocks_than_there_are_name_themselves(
    case: Case, tmp_path: Path, pretrained: BackboneSettings
):
    for number, stages in enumerate(
        ((Stage(epochs=2, trainable=99),), (Stage(epochs=1, trainable=99), Stage(epochs=1, trainable="all")))
    ):
        deep = QUICK.model_copy(update={"stages": stages})
        with pytest.raises(ModelingError, match=r"^training\.stages: trainable is 99, but .*13 blocks"):
            trained(case, tmp_path / str(number), "backbone", pretrained, deep)
    with pytest.raises(ModelingError, match=r"^backbone\.trainable is 99, but 13 blocks are all there are"):
        trained(case, tmp_path / "plain", "backbone", pretrained.model_copy(update={"trainable": 99}))


def test_settings_that_do_not_go_together_are_refused(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    staged = QUICK.model_copy(update={"stages": (Stage(epochs=1, trainable="head"), Stage(epochs=1, trainable="all"))})
    for architecture, backbone, settings, said in (
        ("linear_probe", FROM_SCRATCH, QUICK, "linear_probe never trains the backbone"),
        ("backbone", FROM_SCRATCH, QUICK.model_copy(update={"batch_norm": "frozen"}), r'batch_norm "frozen"'),
        ("backbone", FROM_SCRATCH, staged, r'training\.stages: with backbone\.weights "none"'),
        ("backbone", pretrained, QUICK.model_copy(update={"zoom": 0.1}), r"training\.views is 1: zoom"),
    ):
        with pytest.raises(ModelingError, match=said):
            trained(case, tmp_path, architecture, backbone, settings)
    assert not list(tmp_path.iterdir()), "nothing was computed before"


def test_patience_leaves_the_last_stage_its_turn(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    """Without patience to wait in, three epochs of a head that learns nothing would end the training."""
    stages = (Stage(epochs=4, trainable="head"), Stage(epochs=2, trainable=1))
    values = {"stages": stages, "patience": 1, "label_learning_rate": 1e-12, "image_learning_rate": 1e-12}
    settings = TrainingSettings(**{**QUICK.model_dump(), **values})
    model = trained(case, tmp_path, "backbone", pretrained, settings)
    assert model.curves.num_rows > 4
    assert model.card["best_epoch"] < 4


def test_ctrl_c_is_a_keyboard_interrupt_and_can_be_pressed_again(case: Case, tmp_path: Path):
    before = signal.getsignal(signal.SIGINT)

    def press(done: int, total: int) -> None:
        if done == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(case, tmp_path, "basic_cnn", progress=press)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_cannot_be_trained_is_said(case: Case, tmp_path: Path):
    def attempt(data_set, labels=LABELS, **more: object) -> None:
        settings = QUICK.model_copy(update=more)
        arguments = (data_set, labels, WORD_VECTORS, ADJACENCY, "basic_cnn", FROM_SCRATCH, settings, case.image_path)
        train(*arguments, tmp_path, tmp_path)

    rows = case.data_set
    with pytest.raises(ModelingError, match=r"label set is \[\]: give at least two labels"):
        attempt(rows, [])
    with pytest.raises(ModelingError, match=r"label set is \['red'\]: give at least two labels"):
        attempt(rows[(rows["main"] == "red") & ~rows["subs"].map(bool)], ["red"])
    with pytest.raises(ModelingError, match="label 'blue' has no train image"):
        attempt(rows[(rows["main"] != "blue") & ~rows["subs"].map(lambda subs: "blue" in subs)])
    with pytest.raises(ModelingError, match="no image in the validation split"):
        attempt(rows[rows["split"] != "validation"])
    with pytest.raises(ModelingError, match=r"training\.device: 'gpu'"):
        attempt(rows, device="gpu")
    with pytest.raises(ModelingError, match="backbone"):
        trained(case, tmp_path, "ml_gcn", FROM_SCRATCH.model_copy(update={"name": "resnet19"}))


def test_a_training_that_diverges_says_so(case: Case, tmp_path: Path):
    with pytest.raises(ModelingError, match=r"diverged in epoch \d+: lower the learning rates"):
        trained(
            case, tmp_path, "ml_gcn", training=QUICK.model_copy(update={"scratch_learning_rate": 1e30, "epochs": 9})
        )


def test_average_by_hand():
    """Weight 1 averaged with 3 at decay 0.75 is 1.5; counters are taken over."""
    averaged, network = torch.nn.BatchNorm1d(1).requires_grad_(False), torch.nn.BatchNorm1d(1)
    with torch.no_grad():
        network.weight.fill_(3)
        network.num_batches_tracked.fill_(8)
    WeightAverage(averaged, network).update(0.75)
    assert averaged.weight.item() == 1.5
    assert averaged.num_batches_tracked.item() == 8


def test_settings_load_without_torch():
    code = "import sys, modeling.training_settings, modeling.architectures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_curves_are_a_table_of_the_schema(case: Case, tmp_path: Path):
    curves = trained(case, tmp_path, "backbone_max", training=QUICK.model_copy(update={"epochs": 1})).curves
    assert isinstance(curves, pa.Table)
    assert curves.schema == TRAINING_CURVES
    assert np.isfinite(curves["validation_loss"].to_numpy()).all()
