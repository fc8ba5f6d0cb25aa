"""Which models learned from withdrawn pictures, and the note that their cards carry from then on."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from modeling.card_files import CARD_NAME, MODEL_CARD_NAME, card_bytes
from modeling.model_card import render_model_card
from pipeline.model_inputs import INPUTS
from pipeline.storage import Storage
from pipeline.withdrawal.kept import KeptTable
from pipeline.withdrawal.plan import Plan

CARD_KEY = "withdrawn_training_images"
LEARNED_FROM = ("train", "validation")  # splits that decide the weights


def training_counts(storage: Storage, tables: list[KeptTable], plan: Plan) -> dict[str, int]:
    """Return the folder of each model that learned from something in the plan, with its number of such images so far.

    Images of earlier withdrawals, which its card counts, are in the number.
    """
    counts = {}
    for table in tables:
        if table.partition is not None or table.name != "data_set":
            continue
        rows = table.read(storage, ["image_id", "file_id", "split"]).to_pylist()
        held = sum(
            row["split"] in LEARNED_FROM and not plan.images.isdisjoint((row["image_id"], row["file_id"]))
            for row in rows
        )
        folder = str(PurePosixPath(table.key).parent.parent)
        if held and PurePosixPath(table.key).parent.name == INPUTS:
            counts[folder] = held + int(read_card(storage, folder).get(CARD_KEY, 0))
    return counts


def read_card(storage: Storage, folder: str) -> dict[str, Any]:
    """Return the card of a model's folder, empty where there is none."""
    try:
        card: dict[str, Any] = json.loads(storage.read_bytes(f"{folder}/{CARD_NAME}"))
    except FileNotFoundError:
        return {}
    return card


def mark_cards(storage: Storage, plan: Plan) -> None:
    """Write into the cards how many of a model's training images were withdrawn since; safe to repeat."""
    for folder, number in plan.models.items():
        card = read_card(storage, folder)
        if card and card.get(CARD_KEY) != number:
            card[CARD_KEY] = number
            storage.write_bytes(f"{folder}/{CARD_NAME}", card_bytes(card))
        if card and storage.exists(f"{folder}/{MODEL_CARD_NAME}"):
            storage.write_bytes(f"{folder}/{MODEL_CARD_NAME}", render_model_card(card).encode())


def marked_models(storage: Storage) -> Iterator[tuple[str, int]]:
    """Yield the folder of each model and champion whose card counts withdrawn training images, and how many."""
    for root in ("models", "champions"):
        for key in storage.files(root):
            path = PurePosixPath(key)
            if path.name == CARD_NAME and not path.parent.name.startswith("seed-"):
                number = int(read_card(storage, str(path.parent)).get(CARD_KEY, 0))
                if number:
                    yield str(path.parent), number
