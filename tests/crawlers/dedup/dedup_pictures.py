"""Pictures and hash tables for the tests of near-duplicate removal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from crawlers.dedup.hashing import ALGORITHM, HASH_VERSION


def photo(seed: int, width: int = 240, height: int = 320) -> Image.Image:
    """A colourful picture with structure at every scale, different for each seed, without borders."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, strength in ((4, 60), (8, 40), (16, 25), (64, 10)):
        blobs = rng.normal(128, 60, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
        layer = Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(layer).astype(float) - 128) * strength / 60
    return Image.fromarray((128 + total).clip(0, 255).astype(np.uint8))


def image_id(number: int) -> str:
    return f"{number:064x}"


def flipped(bits: bytes, count: int, start: int = 64) -> bytes:
    """The hash with ``count`` bits inverted from bit ``start`` on; a row's 64-bit hash is made of the first 64."""
    array = np.unpackbits(np.frombuffer(bits, np.uint8))
    array[start : start + count] ^= 1
    return np.packbits(array).tobytes()


def random_hash(seed: int, size: int = 32) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def hash_row(number: int, bits: bytes, window: str = "2019-07-01", **changes: Any) -> dict[str, Any]:
    """A row of IMAGE_HASHES whose mirrored hashes are like no other's."""
    mirror = random_hash(10_000 + number)
    row = {
        "image_id": image_id(number),
        "window": window,
        "status": "ok",
        "reason": None,
        "phash64": bits[:8],
        "phash256": bits,
        "trim_phash64": bits[:8],
        "trim_phash256": bits,
        "mirror_phash64": mirror[:8],
        "mirror_phash256": mirror,
        "trim_mirror_phash64": mirror[:8],
        "trim_mirror_phash256": mirror,
        "chroma": bytes([128] * 128),
        "trim_chroma": bytes([128] * 128),
        "trim_luma": bytes([128] * 256),
        "flat": False,
        "width": 100,
        "height": 100,
        "content_width": 100,
        "content_height": 100,
        "posts": 1,
        "post_id": f"archive:{number}",
        "created_at": pd.Timestamp("2019-07-02", tz="UTC"),
        "author_hmac": f"author-{number}",
        "algorithm": ALGORITHM,
        "version": HASH_VERSION,
    }
    return row | changes


def hash_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=list(hash_row(0, random_hash(0))))
    return frame.astype({"created_at": "datetime64[us, UTC]"})
