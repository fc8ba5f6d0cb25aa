"""Small JPEG copies of pictures for one HTML file, within a budget of bytes."""

import base64
import io
from collections.abc import Callable

from PIL import Image, ImageOps, UnidentifiedImageError

GROUND = (255, 255, 255)


class Thumbnails:
    """Turns an image id into a ``data:`` address; every picture is re-encoded, so nothing but pixels gets in.

    ``source`` gives a picture's bytes or None. ``budget`` is the number of base64 characters that may be spent in all;
    what comes after that has no picture.
    """

    def __init__(self, source: Callable[[str], bytes | None], budget: int = 5_500_000, longest_side: int = 132):
        self._source = source
        self._left = budget
        self._side = longest_side
        self._known: dict[str, str | None] = {}

    def uri(self, image_id: str) -> str | None:
        """The picture as a ``data:`` address; None when it cannot be read or the budget is spent."""
        text = self.base64(image_id)
        return None if text is None else f"data:image/jpeg;base64,{text}"

    def base64(self, image_id: str) -> str | None:
        """The JPEG's bytes in base64, the same text for the same image every time."""
        if image_id not in self._known:
            text = self._made(image_id) if self._left > 0 else None
            if text is not None and len(text) > self._left:
                self._left, text = 0, None
            self._left -= len(text or "")
            self._known[image_id] = text
        return self._known[image_id]

    def _made(self, image_id: str) -> str | None:
        raw = self._source(image_id)
        if not raw:
            return None
        try:
            small = shrink(raw, self._side)
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
            return None
        return base64.b64encode(small).decode("ascii")


def shrink(raw: bytes, longest_side: int) -> bytes:
    """A picture's bytes as a small upright RGB JPEG, at most ``longest_side`` pixels either way.

    Raises ``OSError`` or one of its kind when the bytes are no picture.
    """
    with Image.open(io.BytesIO(raw)) as image:
        image.draft("RGB", (2 * longest_side, 2 * longest_side))
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        if upright.mode in ("RGBA", "LA", "PA", "P"):
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, (*GROUND, 255)), upright)
        buffer = io.BytesIO()
        upright.convert("RGB").save(buffer, format="JPEG", quality=72, optimize=True)
        return buffer.getvalue()
