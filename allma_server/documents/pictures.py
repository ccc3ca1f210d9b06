"""Pictures: how many pages one has, and each as pixels, within limits.

Pillow decodes them; it is installed with the extra `ocr`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

from allma_server.errors import NothingToIndex, UnreadableDocument

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 60_000_000
"""Pixels of a picture that is decoded: an A3 page at 400 dpi has half of it."""

MAX_PAGES = 2_000
_MIN_SIDE = 16
"""A picture with a shorter side is an icon or a line, and holds no text."""

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "AVIF")
"""What is decoded: Pillow knows more formats, some of which start other programs."""


def count_pages(data: bytes) -> int:
    """Return the number of pages of a picture; only a TIFF may have several.

    Raises:
        NothingToIndex: it is too small to hold text.
        UnreadableDocument: it is damaged, too large, or no picture.
    """
    with open_picture(data) as picture:
        many = picture.format == "TIFF"
        return min(getattr(picture, "n_frames", 1), MAX_PAGES) if many else 1


@contextmanager
def open_picture(data: bytes, page: int = 1) -> Generator["Image"]:
    """Open a page of a picture, whose pixels are not decoded yet.

    Raises:
        NothingToIndex, UnreadableDocument: as `count_pages`.
    """
    if not data:
        raise NothingToIndex("The file is empty.")
    if find_spec("PIL") is None:
        raise UnreadableDocument("Pillow is not installed, which decodes pictures.")
    from PIL import Image, UnidentifiedImageError  # late: of an extra

    Image.MAX_IMAGE_PIXELS = None  # checked here, with a reason for the ledger
    Image.init()
    formats = [each for each in _FORMATS if each in Image.OPEN]
    try:
        with Image.open(BytesIO(data), formats=formats) as picture:
            if page > 1:
                picture.seek(page - 1)
            _check_size(*picture.size)
            yield picture
    except UnidentifiedImageError as exc:
        raise UnreadableDocument("It is not a picture that can be decoded.") from exc
    except (OSError, SyntaxError, ValueError, EOFError) as exc:
        raise UnreadableDocument("The picture is damaged.") from exc


def _check_size(width: int, height: int) -> None:
    if min(width, height) < _MIN_SIDE:
        raise NothingToIndex(f"The picture is too small to hold text ({width}×{height} pixels).")
    if width * height > MAX_PIXELS:
        size, most = round(width * height / 1e6), round(MAX_PIXELS / 1e6)
        raise UnreadableDocument(
            f"The picture has {size} million pixels; at most {most} million are decoded."
        )
