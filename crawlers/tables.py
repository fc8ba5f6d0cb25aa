"""Arrow schemas of the tables that crawling and near-duplicate removal produce.

Timestamps are UTC. An ``image_id`` is the lower-case hex sha256 of an image's original bytes, a ``post_id`` is
``network:native id``, an author is kept only as a keyed HMAC.
"""

import pyarrow as pa


def described(name: str, kind: pa.DataType, words: str, *, nullable: bool = True) -> pa.Field:
    """Return a column with a line for people, which pages and readers of the files can show."""
    return pa.field(name, kind, nullable, {"description": words})


UTC_TIME = pa.timestamp("us", tz="UTC")

POSTS = pa.schema(
    [
        described("post_id", pa.string(), "network:native id", nullable=False),
        described("network", pa.string(), "mastodon, bluesky, flickr, misskey, archive", nullable=False),
        described("source", pa.string(), "the source's name in the settings", nullable=False),
        described("server", pa.string(), "host of the server, and port if unusual; null for an archive"),
        described("window", pa.string(), "crawl window: the partition key", nullable=False),
        described("url", pa.string(), "an address of the post that does not name its author"),
        described("created_at", UTC_TIME, "null only in an archive that has no dates"),
        pa.field("edited_at", UTC_TIME),
        described("author_hmac", pa.string(), "keyed HMAC-SHA256 of the handle, hex; null if unknown"),
        described("hashtags", pa.list_(pa.string()), "without '#', case-folded, NFC, sorted", nullable=False),
        described("matched_hashtags", pa.list_(pa.string()), "those that were asked for", nullable=False),
        pa.field("language", pa.string()),
        described("license", pa.string(), "as the author gave it, where the network has licences"),
        described("sensitive", pa.bool_(), "marked sensitive at the source", nullable=False),
        described("boost", pa.bool_(), "shows somebody else's post", nullable=False),
        described("opt_out", pa.string(), "the sign by which the author asks to be left out"),
        described("image_count", pa.int32(), "pictures attached to the post", nullable=False),
        described("kept", pa.bool_(), "are its pictures fetched?", nullable=False),
        described("reason", pa.string(), "why not, when kept is false"),
        pa.field("crawled_at", UTC_TIME, nullable=False),
    ]
)

IMAGES = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        described("media_index", pa.int32(), "0, 1, ... inside the post", nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("url", pa.string(), "address, or path relative to the archive's folder", nullable=False),
        described("image_id", pa.string(), "null when status is failed"),
        described("status", pa.string(), "ok, failed", nullable=False),
        described("reason", pa.string(), "short code, e.g. http_404, not_an_image, truncated, too_many_pixels"),
        described("detail", pa.string(), "one line for people"),
        pa.field("http_status", pa.int32()),
        described("attempts", pa.int32(), "over all crawls, while it failed", nullable=False),
        described("robots_txt", pa.string(), "allowed, absent, forbidden, unreachable; null if not asked"),
        described("x_robots_tag", pa.string(), "the answer's headers"),
        pa.field("tdm_reservation", pa.string()),
        described("format", pa.string(), "JPEG, PNG, WEBP, GIF as Pillow names them"),
        described("width", pa.int32(), "pixels, as stored (before EXIF rotation)"),
        pa.field("height", pa.int32()),
        pa.field("bytes", pa.int64()),
        pa.field("alt_text", pa.string()),
        pa.field("fetched_at", UTC_TIME, nullable=False),
    ]
)

CRAWL_COUNTS = pa.schema(
    [
        pa.field("window", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        described("what", pa.string(), "seen, post, image, request, bytes, account, server, page", nullable=False),
        described("outcome", pa.string(), "kept, ok, or the reason", nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)

DELETED_POSTS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("network", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("server", pa.string()),
        pa.field("window", pa.string(), nullable=False),
        described("outcome", pa.string(), "deleted, hidden, changed (still there), unverified", nullable=False),
        pa.field("http_status", pa.int32()),
        described("image_ids", pa.list_(pa.string()), "its pictures in the last crawl that met it", nullable=False),
        described("last_crawled_at", UTC_TIME, "of that crawl", nullable=False),
        pa.field("noticed_at", UTC_TIME, nullable=False),
    ]
)

IMAGE_HASHES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("status", pa.string(), "ok, failed (then the hashes are null)", nullable=False),
        pa.field("reason", pa.string()),
        described("phash64", pa.binary(8), "imagehash.phash(hash_size=8), bits packed row by row, big-endian"),
        described("phash256", pa.binary(32), "imagehash.phash(hash_size=16)"),
        described("trim_phash64", pa.binary(8), "of the picture without its uniform border"),
        pa.field("trim_phash256", pa.binary(32)),
        described("mirror_phash64", pa.binary(8), "of the mirrored picture"),
        pa.field("mirror_phash256", pa.binary(32)),
        pa.field("trim_mirror_phash64", pa.binary(8)),
        pa.field("trim_mirror_phash256", pa.binary(32)),
        described("chroma", pa.binary(128), "Cb then Cr of the 8 x 8 thumbnail, uint8"),
        described("trim_chroma", pa.binary(128), "of the picture without its uniform border"),
        described("trim_luma", pa.binary(256), "grey 16 x 16 thumbnail without the border, uint8"),
        described("flat", pa.bool_(), "too little variance for a hash to mean anything"),
        described("width", pa.int32(), "pixels, upright (after EXIF rotation)"),
        pa.field("height", pa.int32()),
        described("content_width", pa.int32(), "pixels without the uniform border"),
        pa.field("content_height", pa.int32()),
        described("posts", pa.int32(), "posts of this window that carry the image", nullable=False),
        described("post_id", pa.string(), "the earliest of them", nullable=False),
        described("created_at", UTC_TIME, "of that post"),
        described("author_hmac", pa.string(), "of that post"),
        pa.field("algorithm", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
    ]
)

UNIQUE_IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        described("window", pa.string(), "first window it was seen in", nullable=False),
        described("canonical_id", pa.string(), "itself when kept", nullable=False),
        described("best_image_id", pa.string(), "file to use for the cluster: most pixels", nullable=False),
        described("kept", pa.bool_(), "canonical of its cluster", nullable=False),
        described("stage", pa.string(), "phash, structure or person: what set it aside; null when kept"),
        described("reason", pa.string(), "one line for people, null when kept"),
        described("distance64", pa.int32(), "bits between the pair of hashes that matched"),
        pa.field("distance256", pa.int32()),
        described("via", pa.string(), "plain, trim, mirror, trim_mirror"),
        pa.field("cluster_size", pa.int32(), nullable=False),
        described("post_id", pa.string(), "earliest post that carries it", nullable=False),
        pa.field("created_at", UTC_TIME),
        pa.field("author_hmac", pa.string()),
        described("posts", pa.int32(), "posts that carry these very bytes", nullable=False),
        pa.field("rule_version", pa.string(), nullable=False),
        pa.field("hash_version", pa.string(), nullable=False),
    ]
)

WITHDRAWALS = pa.schema(
    [
        described("tombstone_id", pa.string(), "random, with digits that only the same key gives", nullable=False),
        described("kind", pa.string(), "post, author, image (content), look (perceptual hash), name", nullable=False),
        described(
            "keyed_hash",
            pa.string(),
            "HMAC-SHA256 of post_id, author_hmac, image_id, or a name that label files may use, hex; null for a look",
        ),
        # distances stay, the hash cannot be read back
        described(
            "masked_phash256", pa.binary(32), "hash of the picture, XOR a pad made from the key and tombstone_id"
        ),
        described("masked_trim_phash256", pa.binary(32), "that of the picture without its border"),
        described("request", pa.string(), "random; the same for all tombstones of one request", nullable=False),
        described("reason", pa.string(), "as given by the person who withdrew", nullable=False),
        pa.field("requested_at", UTC_TIME, nullable=False),
        described("done_at", UTC_TIME, "when everything was removed; null until then"),
    ]
)

SIMILAR_PAIRS = pa.schema(
    [
        described("image_a", pa.string(), "image_a < image_b", nullable=False),
        pa.field("image_b", pa.string(), nullable=False),
        pa.field("distance64", pa.int32(), nullable=False),
        pa.field("distance256", pa.int32(), nullable=False),
        pa.field("chroma_distance", pa.float32(), nullable=False),
        described("structure", pa.float32(), "agreement of grey thumbnails, -1 to 1; null up to duplicate_bits"),
        pa.field("via", pa.string(), nullable=False),
        described("band", pa.string(), "duplicate, review, distinct", nullable=False),
        described("decided_by", pa.string(), "rule, person", nullable=False),
    ]
)
