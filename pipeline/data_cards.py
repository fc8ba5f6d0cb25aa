"""What a label set's data card is made from, gathered from the data location, and where the card is kept."""

import hashlib
from collections.abc import Sequence

import pandas as pd

from modeling import card_facts
from modeling.card_facts import CardFacts, FileFacts, Withdrawals
from modeling.label_sets import choose_labels, data_set_version
from pipeline.partitions import window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage

TOOLS = {
    "label_studio": "Label Studio",
    "label_studio_export": "Label Studio (read from an export)",
    "csv": "tools unknown here (read from a CSV file)",
}
POST_COLUMNS = ["post_id", "network", "language", "license", "sensitive", "created_at", "author_hmac"]


def card_key(label_set: str) -> str:
    """Return the key of the card for people."""
    return f"data_cards/{label_set}/README.md"


def croissant_key(label_set: str) -> str:
    """Return the key of the Croissant file.

    It stands at the root: tools that read the format look for pictures below the folder that it stands in.
    """
    return f"croissant-{label_set}.json"


def gather_facts(settings: Settings, storage: Storage, label_set: str) -> CardFacts:
    """Return what the card of a label set says.

    Raises:
        TableError: a table is not there yet.
        ModelingError: the label set cannot be made from the labels any more.
    """
    chosen = settings.label_sets[label_set]
    windows = window_keys(settings.windows)
    data_set = storage.read_table("data_set", (label_set,)).to_pandas()
    labels = choose_labels(storage.read_table("label_frequencies"), chosen)
    unique = storage.read_table("unique_images", columns=["image_id", "window", "kept", "post_id"]).to_pandas()
    return CardFacts(
        title=settings.report.title,
        label_set=label_set,
        labels=labels,
        membership=chosen.membership,
        version=data_set_version(data_set),
        made=storage.written_at("data_set", (label_set,)).date(),
        table=_file(storage, storage.table_key("data_set", (label_set,))),
        images=len(data_set),
        groups=int(data_set["group_id"].nunique()),
        splits=card_facts.split_counts(data_set),
        label_rows=card_facts.label_rows(data_set, labels),
        origin=card_facts.origin(data_set, _posts(storage, windows, data_set, unique)),
        crawled=card_facts.crawled(storage.read_windows("crawl_counts", windows).to_pandas()),
        labelling=card_facts.labelling(
            data_set,
            storage.read_table("annotations", columns=["image_id", "annotator"]).to_pandas(),
            storage.read_table("labels", columns=["image_id", "status"]).to_pandas(),
            storage.read_table("agreement").to_pandas(),
            unique,
            TOOLS[settings.labels.kind],
            named_annotators=settings.labels.kind != "csv",
        ),
        withdrawals=_withdrawals(storage),
        hashtags=_hashtags(settings),
        notices=settings.report.notices,
        by=settings.data_card,
    )


def _posts(storage: Storage, windows: Sequence[str], data_set: pd.DataFrame, unique: pd.DataFrame) -> pd.DataFrame:
    """Return the earliest post of each image of the data set; only a window at a time is in memory as a whole."""
    wanted = unique.loc[unique["image_id"].isin(data_set["image_id"]), ["image_id", "post_id"]]
    parts = []
    for window in windows:
        if storage.has_table("posts", (window,)):
            posts = storage.read_table("posts", (window,), POST_COLUMNS).to_pandas()
            parts.append(posts[posts["post_id"].isin(wanted["post_id"])])
    posts = pd.concat(parts) if parts else pd.DataFrame(columns=POST_COLUMNS)
    return wanted.merge(posts.drop_duplicates("post_id", keep="last"), on="post_id").drop(columns="post_id")


def _withdrawals(storage: Storage) -> Withdrawals:
    if not storage.has_table("withdrawals"):
        return Withdrawals()
    return card_facts.withdrawals(storage.read_table("withdrawals", columns=["kind", "request", "done_at"]).to_pandas())


def _file(storage: Storage, key: str) -> FileFacts:
    content = storage.read_bytes(key)
    return FileFacts(key, hashlib.sha256(content).hexdigest(), len(content))


def _hashtags(settings: Settings) -> list[str]:
    """Return what the sources search for; an archive has no hashtags."""
    return sorted({tag for source in settings.sources.values() for tag in getattr(source, "hashtags", ())})
