"""The contract of every recogniser of text (OCR) that is installed.

`.ci/full ocr` runs it with the extra `ocr`.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from allma_server.documents.ocr.lines import confidence_of, has_known_letters, text_of
from allma_server.documents.ocr.page_images import Pixels, page_pixels
from allma_server.documents.ocr.recognisers import (
    RECOGNISERS,
    Recognise,
    is_installed,
    load_recogniser,
)
from tests.unit.documents.scans import dots


def letters(*lines: str) -> Image.Image:
    page = Image.new("L", (900, 80 + 60 * len(lines)), 255)
    for number, line in enumerate(lines):
        place = (40, 40 + 60 * number)
        ImageDraw.Draw(page).text(place, line, font=ImageFont.load_default(32), fill=0)
    return page


DRAWN: dict[str, Callable[..., Image.Image]] = {"dots": dots, "rapidocr": letters}


@pytest.fixture(params=[name for name in RECOGNISERS if is_installed(name)], scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def recognise(name: str) -> Recognise:
    return load_recogniser(name)


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"))


def test_lines_are_read_with_their_places(name: str, recognise: Recognise) -> None:
    said = ["The needle lies in the haystack", "It is number 4711"]
    page = pixels(DRAWN[name](*said))
    lines = recognise(page)
    assert text_of(lines) == "\n".join(said)
    assert confidence_of(lines) > 0.9 and has_known_letters(lines)
    height, width = page.shape[:2]
    for line in lines:
        assert all(0 <= x <= width and 0 <= y <= height for x, y in line.corners)
        (left, top), _, (right, bottom), _ = line.corners
        assert left < right and top < bottom


@pytest.mark.parametrize("white", [4_095, 65_535])
def test_a_scan_of_more_than_8_bits_is_read(name: str, recognise: Recognise, white: int) -> None:
    grey = np.asarray(DRAWN[name]("It is number 4711").convert("L"), np.uint16)
    file = BytesIO()
    Image.fromarray(np.where(grey > 128, white, white // 9).astype(np.uint16)).save(file, "TIFF")
    page = page_pixels(file.getvalue(), PurePath("a.tif"), 1)
    assert text_of(recognise(page)) == "It is number 4711"


def test_a_page_without_text_has_no_lines(recognise: Recognise) -> None:
    assert not recognise(np.full((300, 400, 3), 255, np.uint8))


def test_a_picture_that_shows_no_text_does_no_harm(recognise: Recognise) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    for line in recognise(noise):
        assert 0 <= line.confidence <= 1
