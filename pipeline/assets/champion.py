"""The champion of a label set: who it is, and how that was decided."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import Field

from modeling.montages import picture_grid
from pipeline.challenge import Challenge, challenge, roll_back
from pipeline.champions import PREVIOUS, champions_lock, promotions, settle, version_before
from pipeline.metadata import column_schema, for_people, markdown, picture, table_metadata
from pipeline.partitions import label_sets
from pipeline.progress import Progress
from pipeline.resources import Clock
from pipeline.settings import Settings
from pipeline.storage import Storage

FIGURES = ("challenger_value", "champion_value", "difference", "low", "high", "p_value", "images")
GALLERY_PICTURES = 18


class ChampionConfig(dg.Config):
    """What a person may ask of the champion."""

    roll_back_to: str | None = Field(
        default=None,
        description="previous, or the version of an earlier champion: make it champion again, whatever it scores",
    )


def champion_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the asset of the champions."""

    @dg.asset(
        group_name="operation",
        kinds={"pytorch"},
        owners=["team:data"],
        metadata={"dagster/column_schema": column_schema("promotions")},
        deps=["comparison", "scores", "evaluation", "model_card"],
        partitions_def=label_sets(settings),
    )
    def champion(
        context: dg.AssetExecutionContext,
        config: ChampionConfig,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
        clock: dg.ResourceParam[Clock],
    ) -> dg.MaterializeResult:
        """The model that answers for a label set: the best new one if it beats the last champion, or is newer.

        Both are compared on test images that neither was trained on. The history of decisions is the table
        `promotions`. With `roll_back_to` an earlier champion takes its place again.
        """
        label_set, root = context.partition_key, context.run.root_run_id or context.run_id
        with for_people(), champions_lock(storage, label_set):
            healed = settle(storage, label_set)
            if config.roll_back_to is None:
                told = progress.step(f"comparing the champion of {label_set} with the best new model")
                ended = challenge(settings, storage, label_set, clock(), told)
            else:
                asked = config.roll_back_to
                to = version_before(storage, label_set, root) if asked == PREVIOUS else asked
                ended = roll_back(storage, label_set, to, clock())
        context.log.info(f"{label_set}: {ended.reason}")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(ended.champion or "none"),
            metadata=_metadata(storage, label_set, ended) | ({"healed": True} if healed else {}),
        )

    return [champion]


def _metadata(storage: Storage, label_set: str, ended: Challenge) -> dict[str, Any]:
    from modeling import figures_operation  # brings matplotlib

    table = promotions(storage, label_set)
    history = table.to_pandas()
    said: dict[str, Any] = {
        "decision": ended.decision,
        "reason": ended.reason,
        "champion": ended.champion or "none",
        "new_row": ended.recorded,
        "history": dg.MetadataValue.md(markdown(history[::-1])),
        "champions": picture(figures_operation.champions(history)),
    }
    if ended.scores is not None and len(history):
        last = history.iloc[-1]
        said |= {name: last[name].item() for name in FIGURES if pd.notna(last[name])}
        said |= {"rule": last["rule"], "challenger": last["challenger"]}
    if ended.scores is not None and ended.champion_scores is not None:
        said["they_differ_on"] = picture(_differing_pictures(storage, ended.scores, ended.champion_scores))
    return table_metadata(table, **said)


def _differing_pictures(storage: Storage, challenger: pd.DataFrame, champion: pd.DataFrame) -> bytes:
    """A JPEG of pictures to which the two give another main label, those first of which they are most sure."""
    first, second = (_first_labels(scores) for scores in (challenger, champion))
    theirs = second[["answer", "score"]].add_suffix("_champion")
    both = first.join(theirs, how="inner")
    both = both[both["answer"] != both["answer_champion"]]
    both = both.assign(sure=both["score"] + both["score_champion"]).sort_values("sure", ascending=False)
    pictures = []
    for image_id, row in both.iterrows():
        content = storage.image_or_none(str(image_id))
        if content is not None and len(pictures) < GALLERY_PICTURES:
            given = " + ".join([row["main"], *row["subs"]])
            said = f"new model: {row['answer']} {row['score']:.0%}\nchampion: {row['answer_champion']} "
            pictures.append((content, f"true: {given}\n{said}{row['score_champion']:.0%}"))
    return picture_grid(pictures, size=(170, 190))


def _first_labels(scores: pd.DataFrame) -> pd.DataFrame:
    """The label with the highest score of each image, over all seeds, by ``image_id``.

    The images' own labels may be others than those that the model knows.
    """
    images = scores.groupby("image_id").agg(
        {"main": "first", "subs": "first", "labels": "first", "scores": lambda seeds: np.mean(np.stack(seeds), axis=0)}
    )
    places = [int(values.argmax()) for values in images["scores"]]
    answers = [labels[place] for labels, place in zip(images["labels"], places, strict=True)]
    surest = [float(values[place]) for values, place in zip(images["scores"], places, strict=True)]
    return images[["main", "subs"]].assign(answer=answers, score=surest)
