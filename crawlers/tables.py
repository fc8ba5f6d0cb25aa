"""Arrow schemas of the tables that crawling and near-duplicate removal produce.

Timestamps are UTC. An ``image_id`` is the lower-case hex sha256 of an image's original bytes, a ``post_id`` is
``network:native id``, an author is kept only as a keyed HMAC.
"""

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")

POSTS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),  # network:native id
        pa.field("network", pa.string(), nullable=False),  # mastodon, bluesky, flickr, misskey, archive
        pa.field("source", pa.string(), nullable=False),  # the source's name in the settings
        pa.field("server", pa.string()),  # host of the server, and port if unusual; null for an archive
        pa.field("window", pa.string(), nullable=False),  # crawl window: the partition key
        pa.field("url", pa.string()),  # an address of the post that does not name its author
        pa.field("created_at", UTC_TIME),  # null only in an archive that has no dates
        pa.field("edited_at", UTC_TIME),
        pa.field("author_hmac", pa.string()),  # keyed HMAC-SHA256 of the handle, hex; null if unknown
        pa.field("hashtags", pa.list_(pa.string()), nullable=False),  # without '#', case-folded, NFC, sorted
        pa.field("matched_hashtags", pa.list_(pa.string()), nullable=False),  # those that were asked for
        pa.field("language", pa.string()),
        pa.field("license", pa.string()),  # as the author gave it, where the network has licences
        pa.field("sensitive", pa.bool_(), nullable=False),  # marked sensitive at the source
        pa.field("boost", pa.bool_(), nullable=False),  # shows somebody else's post
        pa.field("opt_out", pa.string()),  # the sign by which the author asks to be left out
        pa.field("image_count", pa.int32(), nullable=False),  # pictures attached to the post
        pa.field("kept", pa.bool_(), nullable=False),  # are its pictures fetched?
        pa.field("reason", pa.string()),  # why not, when kept is false
        pa.field("crawled_at", UTC_TIME, nullable=False),
    ]
)

IMAGES = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("media_index", pa.int32(), nullable=False),  # 0, 1, ... inside the post
        pa.field("window", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),  # address, or path relative to the archive's folder
        pa.field("image_id", pa.string()),  # null when status is failed
        pa.field("status", pa.string(), nullable=False),  # ok, failed
        pa.field("reason", pa.string()),  # short code, e.g. http_404, not_an_image, truncated, too_many_pixels
        pa.field("detail", pa.string()),  # one line for people
        pa.field("http_status", pa.int32()),
        pa.field("attempts", pa.int32(), nullable=False),  # over all crawls, while it failed
        pa.field("robots_txt", pa.string()),  # allowed, absent, forbidden, unreachable; null if not asked
        pa.field("x_robots_tag", pa.string()),  # the answer's headers
        pa.field("tdm_reservation", pa.string()),
        pa.field("format", pa.string()),  # JPEG, PNG, WEBP, GIF as Pillow names them
        pa.field("width", pa.int32()),  # pixels, as stored (before EXIF rotation)
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
        pa.field("what", pa.string(), nullable=False),  # seen, post, image, request, bytes, account, server, page
        pa.field("outcome", pa.string(), nullable=False),  # kept, ok, or the reason
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
        pa.field("outcome", pa.string(), nullable=False),  # deleted, hidden, changed (still there), unverified
        pa.field("http_status", pa.int32()),
        pa.field("image_ids", pa.list_(pa.string()), nullable=False),  # its pictures in the last crawl that met it
        pa.field("last_crawled_at", UTC_TIME, nullable=False),  # of that crawl
        pa.field("noticed_at", UTC_TIME, nullable=False),
    ]
)

IMAGE_HASHES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # ok, failed (then the hashes are null)
        pa.field("reason", pa.string()),
        pa.field("phash64", pa.binary(8)),  # imagehash.phash(hash_size=8), bits packed row by row, big-endian
        pa.field("phash256", pa.binary(32)),  # imagehash.phash(hash_size=16)
        pa.field("trim_phash64", pa.binary(8)),  # of the picture without its uniform border
        pa.field("trim_phash256", pa.binary(32)),
        pa.field("mirror_phash64", pa.binary(8)),  # of the mirrored picture
        pa.field("mirror_phash256", pa.binary(32)),
        pa.field("trim_mirror_phash64", pa.binary(8)),
        pa.field("trim_mirror_phash256", pa.binary(32)),
        pa.field("chroma", pa.binary(128)),  # Cb then Cr of the 8 x 8 thumbnail, uint8
        pa.field("trim_chroma", pa.binary(128)),  # of the picture without its uniform border
        pa.field("trim_luma", pa.binary(256)),  # grey 16 x 16 thumbnail without the border, uint8
        pa.field("flat", pa.bool_()),  # too little variance for a hash to mean anything
        pa.field("width", pa.int32()),  # pixels, upright (after EXIF rotation)
        pa.field("height", pa.int32()),
        pa.field("content_width", pa.int32()),  # pixels without the uniform border
        pa.field("content_height", pa.int32()),
        pa.field("posts", pa.int32(), nullable=False),  # posts of this window that carry the image
        pa.field("post_id", pa.string(), nullable=False),  # the earliest of them
        pa.field("created_at", UTC_TIME),  # of that post
        pa.field("author_hmac", pa.string()),  # of that post
        pa.field("algorithm", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
    ]
)

UNIQUE_IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),  # first window it was seen in
        pa.field("canonical_id", pa.string(), nullable=False),  # itself when kept
        pa.field("best_image_id", pa.string(), nullable=False),  # file to use for the cluster: most pixels
        pa.field("kept", pa.bool_(), nullable=False),  # canonical of its cluster
        pa.field("stage", pa.string()),  # phash, structure or person: what set it aside; null when kept
        pa.field("reason", pa.string()),  # one line for people, null when kept
        pa.field("distance64", pa.int32()),  # bits between the pair of hashes that matched
        pa.field("distance256", pa.int32()),
        pa.field("via", pa.string()),  # plain, trim, mirror, trim_mirror
        pa.field("cluster_size", pa.int32(), nullable=False),
        pa.field("post_id", pa.string(), nullable=False),  # earliest post that carries it
        pa.field("created_at", UTC_TIME),
        pa.field("author_hmac", pa.string()),
        pa.field("posts", pa.int32(), nullable=False),  # posts that carry these very bytes
        pa.field("rule_version", pa.string(), nullable=False),
        pa.field("hash_version", pa.string(), nullable=False),
    ]
)

WITHDRAWALS = pa.schema(
    [
        pa.field("tombstone_id", pa.string(), nullable=False),  # random, with digits that only the same key gives
        pa.field("kind", pa.string(), nullable=False),  # post, author, image (content), look (perceptual hash), name
        # HMAC-SHA256 of post_id, author_hmac, image_id, or a name that label files may use, hex; null for a look
        pa.field("keyed_hash", pa.string()),
        # a look: 256-bit hash of the picture, and of the picture without its border, each XOR a pad that is made from
        # the key and tombstone_id; distances stay, the hash cannot be read back
        pa.field("masked_phash256", pa.binary(32)),
        pa.field("masked_trim_phash256", pa.binary(32)),
        pa.field("request", pa.string(), nullable=False),  # random; the same for all tombstones of one request
        pa.field("reason", pa.string(), nullable=False),  # as given by the person who withdrew
        pa.field("requested_at", UTC_TIME, nullable=False),
        pa.field("done_at", UTC_TIME),  # when everything was removed; null until then
    ]
)

SIMILAR_PAIRS = pa.schema(
    [
        pa.field("image_a", pa.string(), nullable=False),  # image_a < image_b
        pa.field("image_b", pa.string(), nullable=False),
        pa.field("distance64", pa.int32(), nullable=False),
        pa.field("distance256", pa.int32(), nullable=False),
        pa.field("chroma_distance", pa.float32(), nullable=False),
        pa.field("structure", pa.float32()),  # agreement of grey thumbnails, -1 to 1; null up to duplicate_bits
        pa.field("via", pa.string(), nullable=False),
        pa.field("band", pa.string(), nullable=False),  # duplicate, review, distinct
        pa.field("decided_by", pa.string(), nullable=False),  # rule, person
    ]
)
