"""Label frequencies, and the data set of a label set: its images with their labels and their split."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modeling.errors import ModelingError
from modeling.settings import LabelSetSettings, Membership, SplitSettings
from modeling.splits import SPLITS, assign_splits
from modeling.tables import DATA_SET, LABEL_FREQUENCIES, SPLIT_BALANCE


def as_frame(table: pd.DataFrame | pa.Table) -> pd.DataFrame:
    """A table as pandas, whichever of the two it is."""
    frame: pd.DataFrame = table.to_pandas() if isinstance(table, pa.Table) else table
    return frame


def label_matrix(mains: Iterable[str], subs: Iterable[Sequence[str]], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which image carries which label, main or sub: ``(images, C)`` bool in the order of ``labels``.

    Raises ModelingError that names a label outside ``labels``.
    """
    position = {label: index for index, label in enumerate(labels)}
    carried = [{main, *extra} for main, extra in zip(mains, subs, strict=True)]
    matrix = np.zeros((len(carried), len(labels)), dtype=np.bool_)
    for row, names in enumerate(carried):
        for name in sorted(names):
            if name not in position:
                raise ModelingError(f"label {name!r} is not in the label set {list(labels)}: make the data set anew")
            matrix[row, position[name]] = True
    return matrix


def label_frequencies(labels: pd.DataFrame | pa.Table, taxonomy_labels: Sequence[str]) -> pa.Table:
    """How often each label of the taxonomy is main and sub label (Table 2), most frequent main label first.

    Takes LABELS rows; those without a main label (a conflict, or an answer that is no style) do not count. Equal counts
    stand in taxonomy order. Raises ModelingError that names a label outside the taxonomy.
    """
    rows = _decided(as_frame(labels))
    mains = rows["main"].value_counts()
    subs = pd.Series([sub for extra in rows["subs"] for sub in extra], dtype="str").value_counts()
    unknown = sorted({*mains.index, *subs.index} - set(taxonomy_labels))
    if unknown:
        raise ModelingError(f"label {unknown[0]!r} is not in the taxonomy: add it there, or correct the labels")
    frame = pd.DataFrame({"label": list(taxonomy_labels)})
    frame["main_images"] = [int(mains.get(label, 0)) for label in taxonomy_labels]
    frame["sub_images"] = [int(subs.get(label, 0)) for label in taxonomy_labels]
    frame["main_share"] = frame["main_images"] / max(len(rows), 1)
    frame["sub_share"] = frame["sub_images"] / max(int(frame["sub_images"].sum()), 1)
    frame = frame.sort_values("main_images", ascending=False, kind="stable")
    frame["rank"] = range(1, len(frame) + 1)
    return _table(frame, LABEL_FREQUENCIES)


def choose_labels(frequencies: pd.DataFrame | pa.Table, settings: LabelSetSettings) -> list[str]:
    """The labels of a label set in label order: the given ones, or the most frequent main labels by rank.

    Raises ModelingError when fewer labels than asked for have an image, or a given one is unknown or without images.
    """
    rows = as_frame(frequencies).sort_values("rank", kind="stable")
    with_images = rows.loc[rows["main_images"] > 0, "label"].tolist()
    where = f"label set {settings.name!r}"
    if settings.labels is None:
        top = settings.top or 0
        if len(with_images) < top:
            raise ModelingError(
                f"{where} asks for the {top} most frequent labels, but only {len(with_images)} are the main label of "
                "an image: label more images, or lower top"
            )
        return with_images[:top]
    for label in settings.labels:
        if label not in set(rows["label"]):
            raise ModelingError(
                f"{where}: label {label!r} is not in the taxonomy; known are {', '.join(rows['label'])}"
            )
        if label not in with_images:
            raise ModelingError(
                f"{where}: no image has {label!r} as its main label: label some, or take it out of the set"
            )
    return list(settings.labels)


def data_set(
    labels: pd.DataFrame | pa.Table,
    unique: pd.DataFrame | pa.Table,
    pairs: pd.DataFrame | pa.Table,
    label_set: Sequence[str],
    membership: Membership = "all",
    splits: SplitSettings | None = None,
    name: str = "",
    earlier: Mapping[str, str] | None = None,
) -> pa.Table:
    """The images of a label set with their labels and split: a DATA_SET table sorted by image_id.

    Takes LABELS, UNIQUE_IMAGES and SIMILAR_PAIRS rows. An image belongs when all of its labels are in the set
    (``membership="all"``) or its main label is (``"main"``; other sub labels are dropped). The split comes from all
    unique images, labelled or not, so it is the same in every label set. ``name`` is the label set's name for messages,
    ``earlier`` the split that images had in earlier data sets, by image_id and file_id: they keep it.

    Raises ModelingError when the set is empty or a split has no image.
    """
    return chosen_images(data_set_candidates(labels, unique, pairs, label_set, membership, splits, earlier), name)


def chosen_images(candidates: pd.DataFrame, name: str = "") -> pa.Table:
    """Return those of ``data_set_candidates`` that are in the label set: a DATA_SET table sorted by image_id.

    Raises ModelingError when the set is empty or a split has no image.
    """
    inside = candidates[candidates["reason"].isna()].sort_values("image_id", kind="stable")
    _check_splits(inside["split"], Counter(candidates["reason"].dropna()), name)
    return _table(inside, DATA_SET)


def data_set_candidates(
    labels: pd.DataFrame | pa.Table,
    unique: pd.DataFrame | pa.Table,
    pairs: pd.DataFrame | pa.Table,
    label_set: Sequence[str],
    membership: Membership = "all",
    splits: SplitSettings | None = None,
    earlier: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Every labelled image with the reason that keeps it out of the label set, null for those in it.

    Columns are those of DATA_SET and ``reason``: no_main (a conflict, or an answer that is no style), not_unique
    (unknown, or set aside as a near-duplicate), other_main (main label not in the set), other_sub (a sub label not in
    the set), bridging (joins groups of different splits; see ``modeling.splits``).
    """
    images = as_frame(unique)
    assigned = assign_splits(images, as_frame(pairs), splits or SplitSettings(), earlier)
    rows = as_frame(labels).drop(columns="window", errors="ignore").sort_values("image_id", kind="stable")
    rows = rows.merge(images[images["kept"]][["image_id", "window"]], on="image_id", how="left", validate="one_to_one")
    rows = rows.merge(assigned, on="image_id", how="left", validate="one_to_one")
    chosen = set(label_set)
    reasons = [
        _reason(main, extra, window, left_out, chosen, membership)
        for main, extra, window, left_out in zip(
            rows["main"], rows["subs"], rows["window"], rows["reason"], strict=True
        )
    ]
    inside = [
        [label for label in label_set if label in set(extra) and label != main]
        for main, extra in zip(rows["main"], rows["subs"], strict=True)
    ]
    rows["reason"] = pd.Series(reasons, rows.index, dtype=object)
    rows["subs"] = pd.Series(inside, rows.index, dtype=object)
    return rows[[*DATA_SET.names, "reason"]]


def data_set_version(table: pd.DataFrame | pa.Table) -> str:
    """Hex sha256 of a data set's rows, whatever their order."""
    rows = as_frame(table).sort_values("image_id", kind="stable")
    digest = hashlib.sha256()
    for row in rows[DATA_SET.names].itertuples(index=False):
        values = [list(value) if isinstance(value, (np.ndarray, list)) else value for value in row]
        digest.update(json.dumps(values, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def split_balance(
    table: pd.DataFrame | pa.Table, labels: Sequence[str] | None = None, splits: SplitSettings | None = None
) -> pa.Table:
    """How far each label's images are off the target shares: a SPLIT_BALANCE table, all images first.

    A label's images are those that carry it, as main or sub. ``labels`` gives the order; without it, most images first.
    """
    rows = as_frame(table)
    carried = [{main, *extra} for main, extra in zip(rows["main"], rows["subs"], strict=True)]
    if labels is None:
        counts = pd.Series([label for names in carried for label in sorted(names)], dtype="str").value_counts()
        labels = sorted(counts.index, key=lambda label: (-int(counts[label]), label))
    targets = (splits or SplitSettings()).shares
    balance = []
    for label in (None, *labels):
        inside = rows["split"] if label is None else rows["split"][[label in names for names in carried]]
        for split in SPLITS:
            images = int((inside == split).sum())
            share = images / len(inside) if len(inside) else 0.0
            balance.append({"label": label, "split": split, "images": images, "share": share, "target": targets[split]})
    return pa.Table.from_pylist(balance, SPLIT_BALANCE)


def _decided(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[labels["main"].notna()]


def _reason(
    main: object, subs: Iterable[str], window: object, left_out: object, chosen: set[str], membership: Membership
) -> str | None:
    if not isinstance(main, str):
        return "no_main"
    if not isinstance(window, str):
        return "not_unique"
    if main not in chosen:
        return "other_main"
    if membership == "all" and not chosen.issuperset(subs):
        return "other_sub"
    return left_out if isinstance(left_out, str) else None


def _check_splits(inside: pd.Series, reasons: Mapping[str, int], name: str) -> None:
    where = f"label set {name!r}" if name else "the label set"
    if inside.empty:
        counted = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        raise ModelingError(
            f"{where} has no image ({counted or 'no labelled image at all'}): label more images, choose other labels, "
            "or set membership to main"
        )
    missing = [split for split in SPLITS if split not in set(inside)]
    if missing:
        raise ModelingError(
            f"{where} has {len(inside)} images but none in the {' and '.join(missing)} split: label more images (of "
            f"more authors), raise the share of {missing[0]} in the split settings, or choose another split salt"
        )


def _table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame as an Arrow table of this schema: columns selected and ordered, no index, no pandas metadata."""
    return pa.Table.from_pandas(frame[schema.names], schema, preserve_index=False).replace_schema_metadata(None)
