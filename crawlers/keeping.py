"""Keeping a picture that was fetched, unless it was withdrawn."""

import hashlib
import uuid
from pathlib import Path

from crawlers.images import ImageRefusedError, inspect_image, keep_image
from crawlers.jobs import CrawlLimits
from crawlers.posts import WITHDRAWN, ImageFacts
from crawlers.storage import ImageStore
from crawlers.withdrawals import Withdrawn

_VARIANTS = ("phash256", "trim_phash256", "mirror_phash256", "trim_mirror_phash256")


class PictureKeeper:
    """Validates pictures and keeps their original bytes; a withdrawn one is refused before it is kept.

    Args:
        limits: bounds on bytes and pixels.
        store: where they are kept.
        withdrawn: what was withdrawn.
        incoming: folder for files that are looked at.
    """

    def __init__(self, limits: CrawlLimits, store: ImageStore, withdrawn: Withdrawn, incoming: Path) -> None:
        self._limits, self._store, self._withdrawn, self._incoming = limits, store, withdrawn, incoming

    def keep(self, source: bytes | Path, sha256: str | None = None) -> ImageFacts:
        """Keep a picture, given as bytes or as a file (then with its sha256), as :func:`crawlers.images.keep_image`.

        Raises:
            ImageRefusedError: as there, and with the reason ``withdrawn`` for the very bytes of a withdrawn picture,
                and for one whose perceptual hash is near its hash.
        """
        if not self._withdrawn:
            return keep_image(source, self._limits, self._store, sha256)
        if sha256 is None:
            sha256 = hashlib.sha256(source if isinstance(source, bytes) else source.read_bytes()).hexdigest()
        if self._withdrawn.has("image", sha256):
            raise ImageRefusedError(WITHDRAWN, "the picture was withdrawn")
        if len(self._withdrawn.looks):
            inspect_image(source, self._limits)  # before anything else decodes it
            self._refuse_look(source)
        return keep_image(source, self._limits, self._store, sha256)

    def _refuse_look(self, source: bytes | Path) -> None:
        from crawlers.dedup.phash import ImageHashes, hash_image  # brings SciPy; most crawls need none

        path = source if isinstance(source, Path) else self._incoming / f"look-{uuid.uuid4().hex}.part"
        try:
            if isinstance(source, bytes):
                path.write_bytes(source)
            hashes = hash_image(path)
        finally:
            if isinstance(source, bytes):
                path.unlink(missing_ok=True)
        if not isinstance(hashes, ImageHashes) or hashes.flat:
            return
        if self._withdrawn.looks_like([getattr(hashes, name) for name in _VARIANTS]):
            raise ImageRefusedError(WITHDRAWN, "the picture looks like a withdrawn one")
