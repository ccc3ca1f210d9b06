"""Recognisers: one module each, with a function `load` that returns a `Recognise`.

To add one, add a module here and a line in RECOGNISERS. It runs in a worker process.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    # Their imports are heavy, and the engine only asks what is installed.
    from allma_server.documents.ocr.lines import Line
    from allma_server.documents.ocr.page_images import Pixels

Recognise: TypeAlias = "Callable[[Pixels], Sequence[Line]]"
"""Returns the lines of a picture in any order; none for one without text."""

RECOGNISERS: Mapping[str, tuple[str, ...]] = {
    "rapidocr": ("rapidocr", "PIL"),
    "dots": (),
}
"""The packages that each one needs; those of `rapidocr` are in the extra `ocr`."""


def is_installed(name: str) -> bool:
    """Return whether the packages of a recogniser are installed."""
    return all(find_spec(package) is not None for package in RECOGNISERS[name])


def load_recogniser(name: str) -> Recognise:
    """Load a recogniser's models."""
    return import_module(f"{__name__}.{name}").load()
