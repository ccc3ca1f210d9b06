"""The worker process that recognises the text of pages, at the lowest priority.

`client.py` starts it as `python -m allma_server.documents.ocr.worker LIMITS` (JSON) and calls it
through a pipe. It enforces the limits of memory and processor time, and the client the limit of
elapsed time.
"""

import faulthandler
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import PurePath
from typing import Any

from allma_server._internal.child_server import Reply, serve
from allma_server._internal.file_hash import file_hash
from allma_server._internal.resource_limits import limit_resources, peak_memory
from allma_server._internal.workspace_files import open_file
from allma_server.documents.cpu_limit import cpu_limit
from allma_server.documents.ocr.calls import OcrLimits, PageCall
from allma_server.documents.ocr.lines import confidence_of, has_known_letters, text_of
from allma_server.documents.ocr.page_images import page_pixels
from allma_server.documents.ocr.recognisers import Recognise, load_recogniser
from allma_server.errors import AllmaError, DocumentNotFound, UnreadableDocument
from allma_server.secrets import masked
from allma_server.types import RecognisedPage

_MIN_CONTRAST = 24
"""A page whose pixels differ by less is blank."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def recognise_page(
    call: PageCall, limits: OcrLimits, loaded: Callable[[], Recognise]
) -> RecognisedPage:
    """Return the text of a page.

    Raises:
        DocumentNotFound: the file has changed or is gone.
        UnreadableDocument: the page cannot be recognised.
    """
    data = _content(call, limits)
    try:
        pixels = page_pixels(data, PurePath(call["path"]), call["page"])
        if int(pixels.max()) - int(pixels.min()) < _MIN_CONTRAST:
            return RecognisedPage("", 0.0)
        lines = loaded()(pixels)
    except AllmaError:
        raise
    except MemoryError:
        raise UnreadableDocument("Recognising it takes too much memory.") from None
    except Exception as exc:
        # Any exception that a malformed picture causes in a library fails this page only.
        traceback.print_exc()
        raise UnreadableDocument(f"The recogniser failed ({type(exc).__name__}).") from exc
    if not has_known_letters(lines):
        raise UnreadableDocument("Its text is in letters that the recogniser does not know.")
    text = text_of(lines)
    return RecognisedPage(masked(text) if limits.mask_secrets else text, confidence_of(lines))


def _content(call: PageCall, limits: OcrLimits) -> bytes:
    try:
        with open_file(call["path"], limits.file_bytes) as file:
            data = file.content()
    except (OSError, AllmaError) as exc:
        raise DocumentNotFound(f"{call['path']} cannot be opened any more.") from exc
    if file_hash([data], limits.identity) != call["file_hash"]:
        raise DocumentNotFound(f"{call['path']} has changed.")
    return data


def handle_recognise(
    limits: OcrLimits, loaded: Callable[[], Recognise], params: PageCall, _: list[bytes]
) -> Reply:
    """Reply to one call with the page's text."""
    with cpu_limit(limits.cpu_seconds):
        page = recognise_page(params, limits, loaded)
    result: dict[str, Any] = {**asdict(page), "peak": peak_memory()}
    return result, ()


def main() -> None:
    """Answer `recognise` calls until the client closes the pipe."""
    faulthandler.enable()
    limits = OcrLimits.from_json(sys.argv[1])
    limit_resources(limits.memory, limits.niceness)
    # OpenCV and the linear algebra of numpy start a thread for each core otherwise.
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # noqa: TID251
    loaded = cache(partial(load_recogniser, limits.recogniser))
    serve({"recognise": partial(handle_recognise, limits, loaded)})


if __name__ == "__main__":
    main()
