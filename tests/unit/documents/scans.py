"""Pictures and scanned pages whose text is known, for the recogniser `dots`."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pypdf
from PIL import Image

from tests.unit.documents.pdf_files import pdf_with_pages

CELL = 5


def dots(*lines: str, cell: int = CELL, margin: int = 40) -> Image.Image:
    """A picture of lines as the recogniser `dots` reads them."""
    rows = [_cells(line) for line in lines]
    width = max((row.shape[1] for row in rows), default=10)
    page = np.zeros((max(1, len(rows)) * 12, width), np.uint8)
    for number, row in enumerate(rows):
        page[number * 12 : number * 12 + 8, : row.shape[1]] = row
    pixels = np.pad(np.kron(page, np.ones((cell, cell), np.uint8)), margin)
    return Image.fromarray(np.where(pixels, 0, 255).astype(np.uint8))


def _cells(line: str) -> np.ndarray:
    data = np.frombuffer(line.encode(), np.uint8).reshape(1, -1)
    edge = np.ones((8, 1), np.uint8)
    return np.hstack([edge, np.unpackbits(data, axis=0), edge])


def picture(*lines: str, kind: str = "PNG", **options: object) -> bytes:
    """A file with a picture of lines."""
    file = BytesIO()
    dots(*lines).save(file, kind, **options)
    return file.getvalue()


def scan(*pages: Sequence[str], kind: str = "PDF") -> bytes:
    """A file with a picture of lines on each page, and no text."""
    first, *others = [dots(*lines) for lines in pages]
    file = BytesIO()
    first.save(file, kind, save_all=True, append_images=others)
    return file.getvalue()


def mixed_pdf(*pages: str | Sequence[str]) -> bytes:
    """A PDF with pages of text (strings) and scanned pages (sequences of lines)."""
    writer = pypdf.PdfWriter()
    for page in pages:
        data = pdf_with_pages(page) if isinstance(page, str) else scan(page)
        writer.append(BytesIO(data))
    file = BytesIO()
    writer.write(file)
    return file.getvalue()
