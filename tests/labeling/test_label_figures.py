import io
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from labeling_samples import annotation, annotation_frame, image_id
from PIL import Image

from labeling import figures
from labeling.agreement import agreement, confusion_table
from labeling.annotators import annotator_figures
from labeling.styles import FASHION_STYLES
from labeling.tables import AGREEMENT, ANNOTATORS, MAIN_CONFUSION

STYLES = tuple(FASHION_STYLES)
MONDAY = pd.Timestamp("2024-04-29", tz="UTC")


def office(people: int, images: int = 200, styles: tuple[str, ...] = STYLES) -> pd.DataFrame:
    """Answers of so many people, two for each image, over four weeks; the first gets worse in the last."""
    random = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for image in range(images):
        week, truth = image * 4 // images, int(random.integers(len(styles)))
        for person in {image % people, (image + 1 + image // people) % people}:
            right = random.random() < (0.1 if week == 3 and person == 0 else 0.85)
            main = styles[truth if right else int(random.integers(len(styles)))]
            moment = MONDAY + pd.Timedelta(weeks=week, hours=person)
            rows.append(
                annotation(
                    image, f"expert-{person}@example.invalid", main, lead_time=5.0 + image % 60, created_at=moment
                )
            )
    return annotation_frame(rows)


def picture(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def charts(annotations: pd.DataFrame, styles: tuple[str, ...] = STYLES) -> dict[str, bytes]:
    windows = {image: f"2019-07-{1 + place % 3 * 7:02}" for place, image in enumerate(annotations["image_id"].unique())}
    agreed = agreement(annotations, windows, resamples=50).to_pandas()
    return {
        "confusion_map": figures.confusion_map(confusion_table(annotations, styles).to_pandas()),
        "pair_map": figures.pair_map(agreed),
        "agreement_by_window": figures.agreement_by_window(agreed),
        "lead_times": figures.lead_times(annotations),
        "kappa_by_week": figures.kappa_by_week(annotator_figures(annotations, permutations=99).to_pandas()),
    }


def test_every_chart_of_an_office_is_a_picture_of_readable_size_and_always_the_same() -> None:
    annotations = office(4)
    first = charts(annotations)
    assert charts(annotations) == first
    for name, png in first.items():
        width, height = picture(png).size
        assert 300 <= width <= 1600, name
        assert 200 <= height <= 1600, name


def test_cells_of_the_confusion_map_are_as_dark_as_their_shares() -> None:
    rows = [annotation(image, person, "Casual") for image in range(9) for person in "ab"]
    rows += [annotation(9, "a", "Casual"), annotation(9, "b", "Retro")]
    table = confusion_table(annotation_frame(rows), ["Casual", "Retro"]).to_pandas()
    image = picture(figures.confusion_map(table)).convert("L")
    assert (np.asarray(image) < 100).mean() > 0.1  # Casual with itself and Retro with Casual are filled
    blank = picture(figures.confusion_map(table.assign(share=0.0, pairs=0))).convert("L")
    assert (np.asarray(blank) < 100).mean() < 0.05


def test_a_drift_is_ringed() -> None:
    table = annotator_figures(office(2, 200, ("a", "b", "c")), permutations=99).to_pandas()
    assert (table["drift_p"] < figures.SURE).any()
    unsure = table.assign(drift_p=table["drift_p"].where(table["drift_p"].isna(), 0.9))
    assert figures.kappa_by_week(table) != figures.kappa_by_week(unsure)


@pytest.mark.parametrize("people", [1, 20])
def test_few_and_many_annotators_have_charts(people: int) -> None:
    for png in charts(office(people)).values():
        picture(png)


def test_tables_without_rows_have_charts() -> None:
    empty = {
        name: schema.empty_table().to_pandas()
        for name, schema in (("a", AGREEMENT), ("n", ANNOTATORS), ("c", MAIN_CONFUSION))
    }
    pictures = (
        figures.confusion_map(empty["c"]),
        figures.pair_map(empty["a"]),
        figures.agreement_by_window(empty["a"]),
        figures.lead_times(annotation_frame([])),
        figures.kappa_by_week(empty["n"]),
    )
    for png in pictures:
        picture(png)


def test_labels_in_other_scripts_and_with_dollar_signs_are_text() -> None:
    styles = ("캐주얼", "$x^2$ <b>", "Ретро")
    rows = [
        annotation(image, person, styles[image % 3]) for image in range(30) for person in ("김@example.invalid", "$b$")
    ]
    for png in charts(annotation_frame(rows), styles).values():
        picture(png)


def test_values_that_are_undefined_leave_gaps() -> None:
    rows = [annotation(image, person, "Casual") for image in range(4) for person in "abc"]
    table = agreement(annotation_frame(rows), {image_id(image): str(image) for image in range(4)}).to_pandas()
    assert table["value"].isna().any()
    picture(figures.pair_map(table))
    picture(figures.agreement_by_window(table))


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["a@x.invalid", "b@x.invalid"], ["a", "b"]),
        (["a@x.invalid", "a@y.invalid", "b@x.invalid"], ["a@x.invalid", "a@y.invalid", "b"]),
        (["csv", "@x"], ["@x", "csv"]),
    ],
)
def test_short_names_tell_people_apart(names: list[str], short: list[str]) -> None:
    assert list(figures.short_names(names).values()) == short


def test_importing_the_charts_imports_no_matplotlib() -> None:
    code = "import sys, labeling.figures; print('matplotlib' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "False"
