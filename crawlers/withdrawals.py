"""Posts, authors and pictures that were withdrawn: recognised by keyed hashes, and kept out of every crawl.

A table of withdrawals (``crawlers.tables.WITHDRAWALS``) holds tombstones. None of them says what it stands for: posts,
authors, pictures and their names stand as HMAC-SHA256 under the key of ``STYLEGRAPH_HMAC_KEY``; the perceptual hash of
a picture (a "look") is XORed with a pad made from that key. Whoever has the key can ask "is it this one?", and no more.
"""

import hmac
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from crawlers.errors import CrawlError
from crawlers.identity import KEY_VARIABLE
from crawlers.posts import Post
from crawlers.tables import WITHDRAWALS

Kind = Literal["post", "author", "image", "name", "look"]
Words = npt.NDArray[np.uint64]  # (N, 4): 256 bits

_CHECK_DIGITS = 16  # of a tombstone's id: they tell whether a key is the one that it was made with


def keyed_hash(key: bytes, kind: str, value: str) -> str:
    """Return the HMAC-SHA256 of a post_id, author_hmac, image_id or name, in hex; each kind has values of its own."""
    message = f"withdrawn {kind}\n{value}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, message, "sha256").hex()


def new_tombstone_id(key: bytes) -> str:
    """Return a random id that a tombstone made with this key has, and (nearly surely) none with another key."""
    nonce = secrets.token_hex(12)
    return nonce + _check_digits(key, nonce)


def _check_digits(key: bytes, nonce: str) -> str:
    return keyed_hash(key, "tombstone", nonce)[:_CHECK_DIGITS]


def masked(key: bytes, tombstone_id: str, hash256: bytes, which: Literal["plain", "trim"]) -> bytes:
    """XOR a 256-bit hash with the pad of a tombstone; done twice, it gives the hash back."""
    pad = bytes.fromhex(keyed_hash(key, f"look {which}", tombstone_id))
    return bytes(one ^ other for one, other in zip(hash256, pad, strict=True))


def words(hashes: Iterable[bytes]) -> Words:
    """Turn 256-bit hashes of 32 bytes each into ``(N, 4) uint64``."""
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 4)


def require_key(tombstone_ids: Iterable[str], key: bytes) -> None:
    """Make sure that tombstones were made with this key: under another one, nothing of theirs is recognised.

    Raises:
        CrawlError: they were not.
    """
    for tombstone_id in tombstone_ids:
        nonce, digits = tombstone_id[:-_CHECK_DIGITS], tombstone_id[-_CHECK_DIGITS:]
        if not hmac.compare_digest(_check_digits(key, nonce), digits):
            raise CrawlError(
                f"{KEY_VARIABLE} is not the key that the withdrawals were made with, so they would not be recognised: "
                "set the key of the first crawl again"
            )


@dataclass(frozen=True)
class Withdrawn:
    """Answers whether a post, an author, a picture, a name or a look was withdrawn.

    Args:
        key: of the keyed hashes.
        hashes: the tombstones' keyed hashes by kind.
        looks: 256-bit hashes of the looks, ``(N, 4) uint64``: whole and without border.
        bits: how far a hash may be from one of ``looks`` to count as the same picture.
    """

    key: bytes
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    looks: Words = field(default_factory=lambda: np.empty((0, 4), np.uint64))
    bits: int = 32

    @classmethod
    def of(cls, table: pa.Table, key: bytes, bits: int) -> "Withdrawn":
        """Read a table of withdrawals.

        Raises:
            CrawlError: it was made with another key.
        """
        hashes: dict[str, set[str]] = {}
        looks: list[bytes] = []
        rows = table.to_pylist()
        require_key((row["tombstone_id"] for row in rows), key)
        for row in rows:
            if row["keyed_hash"] is not None:
                hashes.setdefault(row["kind"], set()).add(row["keyed_hash"])
            for which in ("plain", "trim"):
                hidden = row["masked_phash256" if which == "plain" else "masked_trim_phash256"]
                if hidden is not None:
                    looks.append(masked(key, row["tombstone_id"], hidden, which))
        frozen = {kind: frozenset(values) for kind, values in hashes.items()}
        return cls(key, frozen, np.unique(words(looks), axis=0) if looks else words([]), bits)

    @classmethod
    def from_file(cls, path: Path | None, key: bytes | None, bits: int) -> "Withdrawn":
        """Read a Parquet file of withdrawals; without one, nothing was withdrawn.

        Raises:
            CrawlError: it cannot be read, or there is no key, or another one.
        """
        if path is None or key is None:
            return cls(b"")
        try:
            table = pq.read_table(path, schema=WITHDRAWALS, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise CrawlError(f"the withdrawals {path} cannot be read: {str(error).splitlines()[0]}") from error
        return cls.of(table, key, bits)

    def __bool__(self) -> bool:
        return bool(self.hashes) or len(self.looks) > 0

    def has(self, kind: Kind, value: str | None) -> bool:
        """Say whether there is a tombstone for a post_id, author_hmac, image_id or name."""
        known = self.hashes.get(kind)
        return bool(known) and value is not None and keyed_hash(self.key, kind, value) in (known or ())

    def among(self, kind: Kind, values: Iterable[str | None]) -> set[str]:
        """Return those of the values for which there is a tombstone."""
        known = self.hashes.get(kind)
        if not known:
            return set()
        hashed = partial(keyed_hash, self.key, kind)
        return {value for value in set(values) if value is not None and hashed(value) in known}

    def mark(self, post_id: str) -> str:
        """Return what tells a post from others without its id."""
        return keyed_hash(self.key, "post", post_id)

    def covers(self, post: Post) -> bool:
        """Say whether a post, or its author, was withdrawn."""
        return self.has("post", post.post_id) or self.has("author", post.author_hmac)

    def looks_like(self, hashes: Collection[bytes]) -> bool:
        """Say whether one of a picture's 256-bit hashes is that of a withdrawn picture, or near it."""
        if not len(self.looks) or not hashes:
            return False
        return bool((distances(words(hashes), self.looks) <= self.bits).any())


def distances(left: Words, right: Words) -> npt.NDArray[np.uint16]:
    """Return the Hamming distances of 256-bit hashes, ``(N, M)``."""
    result = np.zeros((len(left), len(right)), np.uint16)
    for word in range(left.shape[1]):
        result += np.bitwise_count(left[:, None, word] ^ right[None, :, word])
    return result
