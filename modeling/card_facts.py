"""What a data card says of a data set: figures counted from the tables of the graph. Nothing names a person."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from modeling.settings import DataCardSettings, Membership
from modeling.splits import SPLITS

UNKNOWN = "not given"
OPT_OUTS = ("opted_out", "robots_txt")  # outcomes of a crawl by which somebody asks to be left out
MEASURES = ("same_main", "cohen_kappa", "krippendorff_alpha", "masi", "krippendorff_alpha_masi")


@dataclass(frozen=True)
class FileFacts:
    """A file of the data location: its path inside the location, the sha256 of its content, its size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class LabelRow:
    """How many images of the data set carry a label, as main or as sub, and as main by split."""

    label: str
    main: int
    sub: int
    by_split: Mapping[str, int]


@dataclass(frozen=True)
class AgreementRow:
    """One measure of agreement over all annotators, with its 95% interval."""

    measure: str
    value: float
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Origin:
    """What is known of the posts behind the images; each mapping counts images."""

    networks: Mapping[str, int]
    languages: Mapping[str, int]
    licences: Mapping[str, int]
    windows: Mapping[str, int]
    first: date | None  # of the posts' dates, UTC
    last: date | None
    sensitive: int  # images of posts that are marked sensitive
    authors: int
    largest_author: float  # share of the images, 0 to 1
    without_author: int  # images whose author is unknown


@dataclass(frozen=True)
class Crawled:
    """What the crawls left out: counts over all windows, by what was met and why."""

    posts_found: int
    posts_kept: int
    left_out: Mapping[str, int]  # posts inside the windows, by reason
    opt_outs: Mapping[tuple[str, str], int]  # (post, image, account or page, outcome) -> how many


@dataclass(frozen=True)
class Labelling:
    """How the labels came about."""

    tool: str  # what experts worked with, for people
    annotators: int | None  # None where the source does not say who answered
    answers: int
    answers_per_image: float  # mean over the images of the data set
    statuses: Mapping[str, int]  # images of the data set by how their label was settled
    agreement: Sequence[AgreementRow]
    labelled: Mapping[str, int]  # images with an answer of experts, by window
    unique: Mapping[str, int]  # unique images by window


@dataclass(frozen=True)
class Withdrawals:
    """What people asked to have removed: from the whole collection, not from this data set alone."""

    requests: int = 0
    waiting: int = 0  # requests that are not carried out yet
    blocked: Mapping[str, int] = field(default_factory=dict)  # by kind: post, author, image, look


@dataclass(frozen=True)
class CardFacts:
    """Everything that a data card shows."""

    title: str
    label_set: str
    labels: Sequence[str]
    membership: Membership
    version: str  # hash of the data set's rows
    made: date  # when the data set was made, UTC
    table: FileFacts
    images: int
    groups: int
    splits: Mapping[str, int]
    label_rows: Sequence[LabelRow]
    origin: Origin
    crawled: Crawled
    labelling: Labelling
    withdrawals: Withdrawals
    hashtags: Sequence[str]  # that were searched for
    notices: Sequence[str] = ()
    by: DataCardSettings = field(default_factory=DataCardSettings)

    def share(self, count: int) -> float:
        """Return a number of images as a share of the data set, 0 to 1."""
        return count / self.images if self.images else 0.0


def label_rows(data_set: pd.DataFrame, labels: Sequence[str]) -> list[LabelRow]:
    """Count the images of each label: DATA_SET rows, labels in the order of the result."""
    mains = data_set["main"].value_counts()
    subs = pd.Series([sub for extra in data_set["subs"] for sub in extra], dtype=object).value_counts()
    split = {name: data_set.loc[data_set["split"] == name, "main"].value_counts() for name in SPLITS}
    return [
        LabelRow(
            label,
            int(mains.get(label, 0)),
            int(subs.get(label, 0)),
            {name: int(split[name].get(label, 0)) for name in SPLITS},
        )
        for label in labels
    ]


def split_counts(data_set: pd.DataFrame) -> dict[str, int]:
    """Count the images of each split."""
    return {name: int((data_set["split"] == name).sum()) for name in SPLITS}


def origin(data_set: pd.DataFrame, posts: pd.DataFrame) -> Origin:
    """Count where the images come from.

    ``posts`` has one row an image of the data set, of the earliest post that carries it, with the columns image_id,
    network, language, license, sensitive, created_at and author_hmac; images without a row count as unknown.
    """
    rows = data_set[["image_id", "window"]].merge(posts, on="image_id", how="left", validate="one_to_one")
    times = pd.to_datetime(rows["created_at"], utc=True).dropna()
    authors = rows["author_hmac"].dropna().value_counts()
    return Origin(
        networks=_counts(rows["network"]),
        languages=_counts(rows["language"]),
        licences=_counts(rows["license"]),
        windows={str(key): int(count) for key, count in rows["window"].value_counts().sort_index().items()},
        first=None if times.empty else times.min().date(),
        last=None if times.empty else times.max().date(),
        sensitive=int(rows["sensitive"].eq(True).sum()),
        authors=len(authors),
        largest_author=float(authors.iloc[0]) / len(rows) if len(authors) else 0.0,
        without_author=int(rows["author_hmac"].isna().sum()),
    )


def crawled(counts: pd.DataFrame) -> Crawled:
    """Sum CRAWL_COUNTS rows of all windows; a post outside its window is met by every crawl and does not count."""
    posts = counts[(counts["what"] == "post") & (counts["outcome"] != "outside_window")]
    by_reason = posts.groupby("outcome")["count"].sum()
    asked = counts[counts["outcome"].isin(OPT_OUTS)].groupby(["what", "outcome"], as_index=False)["count"].sum()
    return Crawled(
        posts_found=int(by_reason.sum()),
        posts_kept=int(by_reason.get("kept", 0)),
        left_out={str(key): int(count) for key, count in by_reason.items() if key != "kept"},
        opt_outs={
            (str(what), str(outcome)): int(count)
            for what, outcome, count in zip(asked["what"], asked["outcome"], asked["count"], strict=True)
        },
    )


def labelling(
    data_set: pd.DataFrame,
    annotations: pd.DataFrame,
    labels: pd.DataFrame,
    agreement: pd.DataFrame,
    unique: pd.DataFrame,
    tool: str,
    *,
    named_annotators: bool = True,
) -> Labelling:
    """Count who labelled what: rows of DATA_SET, ANNOTATIONS, LABELS, AGREEMENT and UNIQUE_IMAGES."""
    inside = annotations[annotations["image_id"].isin(data_set["image_id"])]
    kept = unique[unique["kept"]]
    answered = kept[kept["image_id"].isin(annotations["image_id"])]
    settled = labels[labels["image_id"].isin(data_set["image_id"])]
    return Labelling(
        tool=tool,
        annotators=int(inside["annotator"].nunique()) if named_annotators else None,
        answers=len(inside),
        answers_per_image=len(inside) / len(data_set) if len(data_set) else 0.0,
        statuses=_counts(settled["status"]),
        agreement=_overall(agreement),
        labelled={str(key): int(count) for key, count in answered.groupby("window").size().items()},
        unique={str(key): int(count) for key, count in kept.groupby("window").size().items()},
    )


def withdrawals(rows: pd.DataFrame) -> Withdrawals:
    """Count WITHDRAWALS rows; one request can block several things."""
    waiting = rows.loc[rows["done_at"].isna(), "request"].nunique()
    return Withdrawals(int(rows["request"].nunique()), int(waiting), _counts(rows["kind"]))


def _overall(agreement: pd.DataFrame) -> list[AgreementRow]:
    """The measures over all annotators that are defined, in the order of ``MEASURES``."""
    narrowed = agreement[["window", "annotator_a", "annotator_b", "label"]].notna().any(axis=1)
    rows = {row["measure"]: row for row in agreement[~narrowed & agreement["value"].notna()].to_dict("records")}
    return [
        AgreementRow(
            measure,
            float(rows[measure]["value"]),
            _number(rows[measure]["low"]),
            _number(rows[measure]["high"]),
            int(rows[measure]["images"]),
        )
        for measure in MEASURES
        if measure in rows
    ]


def _number(value: float) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _counts(values: pd.Series) -> dict[str, int]:
    """Count values, most frequent first; missing ones as ``UNKNOWN``."""
    counts = values.astype(object).where(values.notna(), UNKNOWN).value_counts()
    return {str(key): int(count) for key, count in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))}
