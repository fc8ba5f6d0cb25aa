"""Planted label errors are found, and no image is ever scored by something that saw it or its group."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from modeling.errors import ModelingError
from modeling.features import color_layout, label_free_features
from modeling.held_out import LEAST_GROUPS, HeldOutScores, group_folds, head_scores, judged_labels
from modeling.montages import suspicious_gallery
from modeling.settings import SuspicionSettings
from modeling.suspicious import find_suspicious_labels, suspicious_labels
from modeling.tables import SUSPICIOUS_LABELS
from modeling.train import train
from tests.modeling.training_case import FROM_SCRATCH, QUICK, make_case

LABELS = ["Casual", "Romantic", "Sporty", "Ethnic"]


def rows(mains, subs=None, groups=None):
    count = len(mains)
    return pd.DataFrame(
        {
            "image_id": [f"{number:05}" for number in range(count)],
            "file_id": [f"{number:05}" for number in range(count)],
            "window": "2019-07-01",
            "group_id": groups if groups is not None else [f"g{number // 2}" for number in range(count)],
            "main": mains,
            "subs": subs if subs is not None else [[] for _ in range(count)],
            "split": [("train", "train", "train", "validation", "test")[number % 5] for number in range(count)],
        }
    )


def clear_case(count=400, noise=0.7, seed=0):
    """Images whose features tell the labels: main label in the first four numbers, sub labels in the next four."""
    random = np.random.default_rng(seed)
    mains = random.integers(4, size=count)
    extra = random.random((count, 4)) < 0.25
    extra[np.arange(count), mains] = False
    extra[np.arange(count), (mains + 1) % 4] = False  # an image never has all four
    shown = np.hstack([2.5 * np.eye(4)[mains], 2.5 * (np.eye(4)[mains] + extra)])
    features = shown + random.normal(0, noise, shown.shape)
    subs = [[LABELS[label] for label in np.flatnonzero(row)] for row in extra]
    return rows([LABELS[label] for label in mains], subs), features


def plant(data_set, share=0.1, seed=1):
    """Another main label on a share of the images; returns the rows and which of them are wrong."""
    random = np.random.default_rng(seed)
    wrong = np.zeros(len(data_set), dtype=bool)
    wrong[random.permutation(len(data_set))[: round(share * len(data_set))]] = True
    planted = data_set.copy()
    for row in np.flatnonzero(wrong):
        taken = {data_set.at[row, "main"], *data_set.at[row, "subs"]}
        planted.at[row, "main"] = random.choice([label for label in LABELS if label not in taken])
    return planted, wrong


def judge(data_set, features, most=1000, folds=5):
    return suspicious_labels(
        data_set, LABELS, head_scores(features, data_set, LABELS, folds, "test"), "top-4", most
    ).to_pandas()


def image_scores(table, data_set):
    """Suspicion of each image: minus its quality, and less than any where it isn't listed."""
    quality = dict(zip(table["image_id"], table["quality"], strict=True))
    return np.array([-quality.get(image_id, 2.0) for image_id in data_set["image_id"]])


def test_planted_main_labels_come_first_with_the_true_label_suggested():
    data_set, features = clear_case()
    planted, wrong = plant(data_set)
    table = judge(planted, features)
    assert average_precision_score(wrong, image_scores(table, planted)) > 0.9, "by chance it would be 0.1"
    first = table.head(30)
    truth = data_set.set_index("image_id")["main"]
    assert (first["kind"] == "wrong_main").mean() > 0.9
    found = first[first["kind"] == "wrong_main"]
    assert (found["suggested_main"] == truth.loc[found["image_id"]].to_numpy()).mean() > 0.9


@pytest.mark.parametrize("kind", ["missing_label", "extra_label"])
def test_planted_sub_labels_are_found_and_named(kind):
    data_set, features = clear_case(1500, noise=0.4)
    planted = data_set.copy()
    changed = {}
    for row in range(0, 1500, 30):
        main, subs = data_set.at[row, "main"], data_set.at[row, "subs"]
        others = subs if kind == "missing_label" else [label for label in LABELS if label not in {main, *subs}]
        if others:
            changed[data_set.at[row, "image_id"]] = others[0]
            kept = {*subs} ^ {others[0]}
            planted.at[row, "subs"] = [label for label in LABELS if label in kept]
    assert len(changed) > 10
    table = judge(planted, features, most=2 * len(changed))
    found = table[(table["kind"] == kind) & table["image_id"].isin(changed)]
    assert len(found) > 0.7 * len(changed)
    assert [changed[row.image_id] for row in found.itertuples()] == found["label"].tolist()
    original = data_set.set_index("image_id")["subs"]
    assert all(list(row.suggested_subs) == original[row.image_id] for row in found.itertuples())
    probabilities = found["probability"]
    assert (probabilities > 0.5).all() if kind == "missing_label" else (probabilities < 0.5).all()


def test_no_group_is_in_two_folds_and_main_labels_are_spread():
    random = np.random.default_rng(3)
    mains = random.choice(LABELS, 300, p=[0.6, 0.2, 0.1, 0.1])
    data_set = rows(mains, groups=[f"g{number}" for number in random.integers(90, size=300)])
    fold = group_folds(data_set, 5)
    assert set(fold) == set(range(5))
    assert (data_set.assign(fold=fold).groupby("group_id")["fold"].nunique() == 1).all()
    shares = [(mains[fold == number] == "Casual").mean() for number in range(5)]
    assert max(shares) - min(shares) < 0.15
    shuffled = data_set.sample(frac=1, random_state=0)
    again = dict(zip(shuffled["image_id"], group_folds(shuffled, 5), strict=True))
    assert again == dict(zip(data_set["image_id"], fold, strict=True)), "the order of the rows makes no difference"


def test_every_image_is_scored_without_its_own_group():
    """Features that only name the group: a head that saw the group would know its label, any other can't."""
    group_mains = np.arange(60) % 2
    groups = np.repeat(np.arange(60), 4)
    data_set = rows([LABELS[label] for label in group_mains[groups]], groups=[f"g{group}" for group in groups])
    features = np.eye(60)[groups]
    scores = head_scores(features, data_set, LABELS[:2], 5, "test")
    assert np.isfinite(scores.main).all()
    assert scores.main.sum(axis=1) == pytest.approx(1)
    right = scores.main[np.arange(240), group_mains[groups]]
    assert right.max() < 0.6, "memorising the group would give its label away"
    alone = data_set.assign(group_id=data_set["image_id"])
    leaked = head_scores(features, alone, LABELS[:2], 5, "test").main[np.arange(240), group_mains[groups]]
    assert leaked.mean() > right.mean() + 0.1, "the same features do give it away once groups are torn apart"


def test_same_inputs_same_table_whatever_the_order_of_the_rows():
    data_set, features = clear_case(200)
    planted, _ = plant(data_set)
    table = judge(planted, features)
    assert table.equals(judge(planted, features))
    order = np.random.default_rng(1).permutation(len(planted))
    shuffled = judge(planted.iloc[order].reset_index(drop=True), features[order])
    assert shuffled["image_id"].tolist()[:15] == table["image_id"].tolist()[:15]
    assert shuffled["quality"].to_numpy() == pytest.approx(table["quality"].to_numpy(), abs=1e-3)


def test_rows_have_the_schema_a_rank_and_one_image_each():
    data_set, features = clear_case()
    planted, _ = plant(data_set)
    scores = head_scores(features, planted, LABELS, 5, "heads of the test")
    table = suspicious_labels(planted, LABELS, scores, "top-4", most=20)
    assert table.schema == SUSPICIOUS_LABELS
    frame = table.to_pandas()
    assert frame["rank"].tolist() == list(range(1, 21))
    assert frame["quality"].is_monotonic_increasing
    assert frame["image_id"].is_unique
    assert set(frame["label_set"]) == {"top-4"}
    assert set(frame["scores_by"]) == {"heads of the test"}
    assert {*frame["split"]} == {"train", "validation", "test"}
    for row in frame.itertuples():
        assert row.suggested_main not in row.suggested_subs
        assert (row.suggested_main, *row.suggested_subs) != (row.given_main, *row.given_subs)


def test_quality_and_issues_of_main_labels_are_those_of_cleanlab():
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    data_set, features = clear_case()
    planted, _ = plant(data_set.assign(subs=[[] for _ in range(len(data_set))]))
    scores = head_scores(features, planted, LABELS, 5, "test")
    no_labels = HeldOutScores(scores.main, np.full(scores.labels.shape, np.nan), "test")
    table = suspicious_labels(planted, LABELS, no_labels, "top-4", 1000).to_pandas()
    classes = np.array([LABELS.index(main) for main in planted["main"]])
    expected = find_label_issues(classes, scores.main, return_indices_ranked_by="self_confidence", n_jobs=1)
    assert table["image_id"].tolist() == planted["image_id"].iloc[expected].tolist()
    qualities = get_label_quality_scores(classes, scores.main)[expected]
    assert table["quality"].to_numpy() == pytest.approx(qualities)


def test_worked_example_of_confident_learning():
    """Eight images, two classes. Thresholds (mean self-confidence): Casual 2.8 / 4 = 0.7, Romantic 3.1 / 4 = 0.775.

    Image 3, given Casual, has 0.9 for Romantic: at least 0.775, so it is counted as Romantic (eq. 1 of the paper); no
    other image is off the diagonal. So it is the one issue, with its self-confidence 0.1 as quality.
    """
    casual = np.array([0.95, 0.9, 0.85, 0.1, 0.35, 0.25, 0.2, 0.1])
    main = np.stack([casual, 1 - casual], axis=1)
    data_set = rows(["Casual"] * 4 + ["Romantic"] * 4)
    scores = HeldOutScores(main, np.full((8, 2), np.nan), "test")
    table = suspicious_labels(data_set, LABELS[:2], scores, "pair", 10).to_pandas()
    assert table["image_id"].tolist() == ["00003"]
    row = table.iloc[0]
    assert (row["kind"], row["label"], row["suggested_main"]) == ("wrong_main", "Casual", "Romantic")
    assert row["quality"] == row["probability"] == pytest.approx(0.1)


def test_a_main_label_that_is_there_but_not_the_main_one_becomes_a_sub_label():
    casual = np.array([0.95, 0.9, 0.85, 0.1, 0.35, 0.25, 0.2, 0.1])
    carries = np.full((8, 2), 0.9)
    data_set = rows(["Casual"] * 4 + ["Romantic"] * 4, [[], ["Romantic"], [], ["Romantic"], ["Casual"], [], [], []])
    scores = HeldOutScores(np.stack([casual, 1 - casual], axis=1), carries, "test")
    table = suspicious_labels(data_set, LABELS[:2], scores, "pair", 10).to_pandas().set_index("image_id")
    row = table.loc["00003"]
    assert (row["suggested_main"], list(row["suggested_subs"])) == ("Romantic", ["Casual"])


def test_a_label_of_few_groups_is_not_judged_and_does_not_become_a_verdict():
    data_set, features = clear_case()
    rare = np.flatnonzero(data_set["main"] == "Ethnic")[3:]  # leaves three images, fewer than there are folds
    keep = np.setdiff1d(np.arange(len(data_set)), rare)
    data_set, features = data_set.iloc[keep].reset_index(drop=True), features[keep]
    judged, at_all = judged_labels(data_set, LABELS)
    assert judged.tolist() == [True, True, True, False]
    assert at_all.all(), "as a sub label it is frequent"
    table = judge(data_set, features)
    three = data_set.loc[data_set["main"] == "Ethnic", "image_id"]
    assert not ((table["kind"] == "wrong_main") & table["image_id"].isin(three)).any()
    assert not (table["suggested_main"][table["kind"] == "wrong_main"] == "Ethnic").any()


@pytest.mark.parametrize("count", [0, 1, 2, 2 * LEAST_GROUPS - 2])
def test_too_few_images_give_an_empty_list(count):
    data_set = rows([LABELS[number % 2] for number in range(count)], groups=[f"g{number}" for number in range(count)])
    table = judge(data_set, np.random.default_rng(0).normal(size=(count, 3)))
    assert table.empty


def test_one_group_and_features_without_information_are_no_error():
    mains = [LABELS[number % 2] for number in range(60)]
    assert judge(rows(mains, groups=["g"] * 60), np.random.default_rng(0).normal(size=(60, 3))).empty
    flat = head_scores(np.ones((60, 3)), rows(mains), LABELS, 5, "test")
    assert np.nanmax(flat.main) < 0.7


def test_features_that_do_not_fit_are_refused():
    data_set, features = clear_case(50)
    with pytest.raises(ModelingError, match="50 images need as many rows of features"):
        head_scores(features[:-1], data_set, LABELS, 5, "test")
    with pytest.raises(ModelingError, match=r"must both be \(50, 4\)"):
        suspicious_labels(data_set, LABELS, HeldOutScores(features[:, :3], features[:, :4], "test"), "top-4", 5)


def test_color_layout_counts_colours_by_band():
    picture = np.zeros((1, 8, 4, 3), dtype=np.uint8)
    picture[0, :2] = (255, 0, 0)
    picture[0, 2:] = (64, 128, 192)
    values = color_layout(picture)[0].reshape(4, 4, 4, 4) ** 2
    assert values[0, 3, 0, 0] == pytest.approx(0.25), "two of eight rows, in the first band"
    assert [values[band, 1, 2, 3] for band in range(4)] == pytest.approx([0, 0.25, 0.25, 0.25])
    assert values.sum() == pytest.approx(1)


def test_from_pictures_to_the_list_with_a_random_and_with_a_pretrained_backbone(tmp_path: Path):
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    case = make_case(tmp_path / "pictures", 120)
    names, data_set = ["red", "green", "blue"], case.data_set.copy()
    wrong = data_set.index[::12]
    for row in wrong:
        taken = {data_set.at[row, "main"], *data_set.at[row, "subs"]}
        data_set.at[row, "main"] = next(name for name in names if name not in taken)
    torch.manual_seed(0)
    save_file(models.mobilenet_v3_small(weights=None).state_dict(), tmp_path / "weights.safetensors")
    pretrained = FROM_SCRATCH.model_copy(update={"weights": str(tmp_path / "weights.safetensors")})
    told: list[tuple[int, int]] = []
    for backbone, width in ((FROM_SCRATCH, 256), (pretrained, 576)):
        arguments = (backbone, QUICK)
        features = label_free_features(data_set, *arguments, case.image_path, tmp_path, lambda *done: told.append(done))
        assert features.values.shape == (120, width)
        assert told[-1] == (120, 120)
        table = find_suspicious_labels(
            data_set, names, "colours", *arguments, SuspicionSettings(most=12), case.image_path, tmp_path
        ).to_pandas()
        assert features.source in table["scores_by"].iloc[0]
        if backbone is FROM_SCRATCH:
            assert table.head(8)["image_id"].isin(data_set.loc[wrong, "image_id"]).all(), "colours tell the colour"
    relabelled = data_set.assign(main="red", subs=[[] for _ in range(120)])
    again = label_free_features(relabelled, pretrained, QUICK, case.image_path, tmp_path)
    assert np.array_equal(again.values, features.values), "no label had a part in them"


def test_networks_trained_anew_score_every_image_without_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    case = make_case(tmp_path / "pictures", 120)
    data_set = case.data_set.assign(group_id=[f"g{number // 2}" for number in range(120)])
    data_set.loc[::10, "main"] = [
        {"red": "green", "green": "blue", "blue": "red"}[main] for main in data_set["main"][::10]
    ]
    data_set["subs"] = [[] for _ in range(120)]
    seen = []

    def recorded(rows, *arguments):
        seen.append(rows)
        return train(rows, *arguments)

    monkeypatch.setattr("modeling.retraining.train", recorded)
    told = []
    settings = QUICK.model_copy(update={"epochs": 6})
    suspicion = SuspicionSettings(folds=3, retrain="basic_cnn", most=30)
    table = find_suspicious_labels(
        *(data_set, ["red", "green", "blue"], "colours", FROM_SCRATCH, settings, suspicion),
        *(case.image_path, tmp_path / "cache", lambda *done: told.append(done)),
    )
    assert told[-1] == (144, 144)  # 3 folds, 6 epochs, 8 batches
    assert table.num_rows
    assert table["scores_by"][0].as_py() == "Basic CNN trained anew for each of 3 folds"
    assert list((tmp_path / "cache").iterdir()) == [], "nothing is left behind"
    tested = [image_id for rows in seen for image_id in rows.loc[rows["split"] == "test", "image_id"]]
    assert sorted(tested) == data_set["image_id"].tolist(), "every image is held out once"
    for rows in seen:
        assert set(rows["split"]) == {"train", "validation", "test"}
        assert (rows.groupby("group_id")["split"].nunique() == 1).all()


def test_no_image_gives_an_empty_table(tmp_path: Path):
    arguments = (LABELS, "top-4", FROM_SCRATCH, QUICK)
    for suspicion in (SuspicionSettings(), SuspicionSettings(retrain="backbone")):
        table = find_suspicious_labels(rows([]), *arguments, suspicion, Path, tmp_path)
        assert table.schema == SUSPICIOUS_LABELS
        assert table.num_rows == 0


def test_gallery_shows_the_worst_first_and_survives_a_lost_picture():
    data_set, features = clear_case()
    planted, _ = plant(data_set)
    table = judge(planted, features)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 60), "red").save(buffer, "PNG")
    first = table["image_id"].iloc[0]
    sheet = suspicious_gallery(
        table.sample(frac=1, random_state=0), lambda key: buffer.getvalue() if key == first else None
    )
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    assert np.abs(np.subtract(image.getpixel((60, 80)), (255, 0, 0))).max() < 10
    assert image.width < 1200
    assert sheet == suspicious_gallery(table, lambda key: buffer.getvalue() if key == first else None)


def test_the_report_can_use_it_without_torch_or_scikit_learn():
    code = (
        "import sys, modeling.held_out, modeling.suspicious; print({'torch', 'sklearn', 'cleanlab'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
