"""The pages of a file as pixels, within limits.

pdfium renders the pages of a PDF: a scan may consist of several pictures (strips, layers with
masks), be rotated or cropped, and only the page as a whole shows all of it.
"""

from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pypdfium2 import (  # pyright: ignore[reportMissingTypeStubs]
    PdfDocument,
    PdfiumError,
)

from allma_server.documents.pictures import open_picture
from allma_server.errors import UnreadableDocument
from allma_server.types import is_picture

Pixels = NDArray[np.uint8]
"""A picture: shape (height, width, 3), red, green and blue."""

MAX_SIDE = 2_000
"""Pixels of the longer side: an A4 page at 170 dpi. With more, the detector takes more memory and
finds no more lines.
"""

_DPI = 200

_DEEP = ("I", "F")
"""How Pillow names greys of more than 8 bits."""


def page_pixels(data: bytes, path: PurePath, page: int) -> Pixels:
    """Return a page, counted from 1, scaled down to MAX_SIDE.

    Raises:
        NothingToIndex: a picture that is too small to hold text.
        UnreadableDocument: it is damaged or too large.
    """
    return _picture(data, page) if is_picture(path) else _pdf_page(data, page)


def _picture(data: bytes, page: int) -> Pixels:
    from PIL import Image, ImageOps  # late: of an extra

    with open_picture(data, page) as picture:
        picture.draft("RGB", (MAX_SIDE, MAX_SIDE))  # a JPEG is decoded at a fraction of its size
        if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
            layers = picture.convert("RGBA")
            layers.thumbnail((MAX_SIDE, MAX_SIDE))
            paper = Image.new("RGBA", layers.size, "white")
            return np.asarray(Image.alpha_composite(paper, layers).convert("RGB"))
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith(_DEEP):
            upright = Image.fromarray(_shades(np.asarray(upright, np.float64)))
        upright = upright.convert("RGB")
        upright.thumbnail((MAX_SIDE, MAX_SIDE))
        return np.asarray(upright)


def _shades(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return 256 shades of grey; Pillow would cut what is brighter, which is the paper."""
    values = np.nan_to_num(values, posinf=0, neginf=0).clip(0)
    return (values * (255 / max(1e-9, float(values.max())))).astype(np.uint8)


def _pdf_page(data: bytes, page: int) -> Pixels:
    try:
        with PdfDocument(data) as pdf:
            opened: Any = pdf[page - 1]
            scale = min(_DPI / 72, MAX_SIDE / max(1, *opened.get_size()))
            # A copy, because the bitmap ends with the document.
            return _as_rgb(np.array(opened.render(scale=scale, rev_byteorder=True).to_numpy()))
    except (PdfiumError, IndexError) as exc:
        raise UnreadableDocument("The page cannot be rendered.") from exc


def _as_rgb(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return pixels[:, :, :3]
