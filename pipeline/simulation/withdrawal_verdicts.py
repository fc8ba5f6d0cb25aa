"""Whether nothing is left of an author who withdrew: searched for in every file, table and database."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.demo.planted import MEDIA_FOLDER
from pipeline.simulation.verdicts import Verdict, exact
from pipeline.simulation.year import WORLD_NAME, Lived

_PIECE = 48  # bytes from the middle of a picture, which no other file has
_SHOWN = 3  # places named


def withdrawal_verdicts(lived: Lived) -> list[Verdict]:
    """Search for ids, handle, bytes and looks of everything withdrawn."""
    root = Path(lived.settings.data.location)
    images = lived.world.withdrawn_images()
    names = _names(lived)
    pieces = _pieces(lived.config.parent / WORLD_NAME / MEDIA_FOLDER, images)
    in_files: list[str] = []
    in_tables: list[str] = []
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        place = str(path.relative_to(root))
        content = path.read_bytes()
        if path.name in images or any(piece in content for piece in [*names, *pieces]):
            in_files.append(place)
        if path.suffix == ".parquet" and names & _texts(pq.read_table(path)):
            in_tables.append(place)
    withdrawals = lived.storage.read_table("withdrawals")
    carried_out = withdrawals.num_rows and withdrawals.column("done_at").null_count == 0
    return [
        Verdict("withdrawal", "carried out", "carried out" if carried_out else "open", bool(carried_out)),
        _nowhere("files that name or hold something withdrawn", in_files),
        _nowhere("tables that name something withdrawn", in_tables),
        exact("pictures kept that look like a withdrawn one", 0, _alike(lived, images)),
    ]


def _nowhere(what: str, places: list[str]) -> Verdict:
    found = f"{len(places)}: {', '.join(places[:_SHOWN])}" if places else "none"
    return Verdict(what, "none", found, not places)


def _names(lived: Lived) -> set[bytes]:
    """Return the handle, and the ids of posts and images, as they would stand in a file."""
    posts = lived.world.withdrawn_posts()
    return {name.encode() for name in {lived.world.withdrawn_author, *posts, *lived.world.withdrawn_images()}}


def _pieces(media: Path, images: set[str]) -> list[bytes]:
    """Return a piece of each withdrawn picture, from its middle."""
    contents = (path.read_bytes() for path in media.iterdir())
    found = [content for content in contents if hashlib.sha256(content).hexdigest() in images]
    return [content[len(content) // 2 :][:_PIECE] for content in found]


def _texts(table: pa.Table) -> set[bytes]:
    """Return every string of a table, also in lists, and what stands behind a network's name in it."""
    texts = {text for column in table.columns for text in _strings(column)}
    return {part.encode() for text in texts for part in (text, text.partition(":")[2])}


def _strings(column: pa.ChunkedArray) -> Iterator[str]:
    kind = column.type
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        column = column.combine_chunks().flatten()
        kind = column.type
    if pa.types.is_string(kind):
        yield from (text for text in column.unique().to_pylist() if text)


def _alike(lived: Lived, images: set[str]) -> int:
    """Count images whose perceptual hash is as near to a withdrawn picture's as a duplicate's."""
    from crawlers.dedup.phash import HashFailure, hash_image

    media = lived.config.parent / WORLD_NAME / MEDIA_FOLDER
    looks = []
    for path in media.iterdir():
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() in images:
            hashed = hash_image(path)
            if not isinstance(hashed, HashFailure):
                looks.append(np.frombuffer(hashed.phash256, dtype=np.uint8))
    hashes = lived.storage.read_windows("image_hashes", lived.year.windows, ["phash256"]).column(0).drop_null()
    kept = np.array([np.frombuffer(value, dtype=np.uint8) for value in hashes.to_pylist()])
    limit = lived.settings.deduplication.duplicate_bits
    near = np.zeros(len(kept), dtype=bool)
    for look in looks:
        near |= np.bitwise_count(kept ^ look).sum(axis=1) <= limit
    return int(near.sum())
