"""Near-duplicate removal: perceptual hashes, exact search, and clusters around canonical images."""

from crawlers.dedup.clusters import unique_images
from crawlers.dedup.hashing import HASH_VERSION, HashFailure, ImageHashes, hash_image, hash_images, image_hashes_table
from crawlers.dedup.rule import DedupRule
from crawlers.dedup.search import near_pairs

__all__ = [
    "HASH_VERSION",
    "DedupRule",
    "HashFailure",
    "ImageHashes",
    "hash_image",
    "hash_images",
    "image_hashes_table",
    "near_pairs",
    "unique_images",
]
