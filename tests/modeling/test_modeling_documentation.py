"""docs/modeling.md names every setting, every architecture and every loss, each where people look for it."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from modeling.architectures import ARCHITECTURES
from modeling.settings import AblationSettings, EvaluationSettings, GraphForm, GraphSettings, SweepSettings
from modeling.training_settings import (
    AttentionHeadSettings,
    BackboneSettings,
    GraphHeadSettings,
    LossName,
    LossSettings,
    Stage,
    TrainingSettings,
)

TEXT = (Path(__file__).parent.parent.parent / "docs" / "modeling.md").read_text(encoding="utf-8")


def keys_under(heading: str) -> set[str]:
    """First cells of the first table behind a heading."""
    _, _, rest = TEXT.partition(f"\n{heading}\n")
    assert rest, f"docs/modeling.md has no {heading}"
    table = re.search(r"(?:^\|.*\n)+", rest, flags=re.MULTILINE)
    assert table is not None
    return set(re.findall(r"^\| `(\w+)` \|", table[0], flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("### `[graph]`", GraphSettings),
        ("### `[backbone]`", BackboneSettings),
        ("### `[training]`", TrainingSettings),
        ("`[training.graph]`", GraphHeadSettings),
        ("`[training.attention]`", AttentionHeadSettings),
        ("`[training.loss_options]`", LossSettings),
        ("`[[training.stages]]`", Stage),
        ("### `[tau_sweep]`", SweepSettings),
        ("### `[ablation]`", AblationSettings),
        ("### `[evaluation]`", EvaluationSettings),
    ],
)
def test_every_setting_is_explained_and_no_other(heading: str, settings: type[BaseModel]):
    assert keys_under(heading) == set(settings.model_fields)


def test_every_architecture_form_and_loss_is_explained():
    assert keys_under("## Architectures") == set(ARCHITECTURES)
    assert keys_under("## Losses") == set(get_args(LossName))
    assert keys_under("## Label graph") == set(get_args(GraphForm))


def test_links_within_the_document_lead_somewhere():
    headings = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
