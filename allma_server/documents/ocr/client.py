"""The engine's end of text recognition: one process, which recognises one page at a time."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from allma_server._internal.child_process import Child, ChildFailed
from allma_server.config import Config, child_environment
from allma_server.documents import cpu_limit
from allma_server.documents.ocr.calls import OcrLimits, PageCall
from allma_server.documents.ocr.recognisers import RECOGNISERS, is_installed
from allma_server.errors import InvalidArgument, UnreadableDocument
from allma_server.secrets import MASKED
from allma_server.types import INSTALL_OCR, RecognisedPage

AUTO, OFF, USUAL = "auto", "off", "rapidocr"

CPU_SECONDS = 60.0
"""Processor time for one page; a dense page of A4 takes a tenth of it."""

WALL_FACTOR = 30
"""The limit of elapsed time, as a multiple: at the lowest priority, a page may wait for long."""

NICENESS = 19
"""The lowest priority: it takes what others leave."""

PAGES_PER_PROCESS = 200
MAX_PEAK_MEMORY = 1_500 << 20
IDLE_SECONDS = 30.0
_CLOSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class OcrWorker:
    """Implements `ports.TextRecogniser` with a child process.

    It starts for the first page, and ends when it was idle for IDLE_SECONDS, has recognised
    PAGES_PER_PROCESS pages, or has held more than MAX_PEAK_MEMORY bytes.
    """

    def __init__(self, limits: OcrLimits) -> None:
        self.identity = limits.identity
        self._limits = limits
        self._wall = limits.cpu_seconds * WALL_FACTOR
        module = "allma_server.documents.ocr.worker"
        self._child = Child(module, (limits.to_json(),), environment=child_environment())
        self._idle_timer: asyncio.TimerHandle | None = None
        self._pages = 0

    @property
    def pid(self) -> int | None:
        """The id of the process, while it runs."""
        return self._child.pid

    async def recognise(self, path: str, page: int, file_hash: str) -> RecognisedPage:
        if self._idle_timer:
            self._idle_timer.cancel()
        params = PageCall(path=path, page=page, file_hash=file_hash)
        try:
            found, _ = await self._child.call("recognise", params, limit=self._wall)
        except UnreadableDocument as exc:
            return RecognisedPage("", 0.0, exc.message)
        except ChildFailed as exc:
            return RecognisedPage("", 0.0, self._problem(exc, path, page))
        finally:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(IDLE_SECONDS, self._child.dismiss)
        self._pages += 1
        peak = found.pop("peak")
        if self._pages >= PAGES_PER_PROCESS or peak > MAX_PEAK_MEMORY:
            self._pages = 0
            self._child.dismiss()
        return RecognisedPage(**found)

    async def close(self) -> None:
        """End the process, also while it recognises a page."""
        if self._idle_timer:
            self._idle_timer.cancel()
        await self._child.close(_CLOSE_SECONDS)

    def _problem(self, exc: ChildFailed, path: str, page: int) -> str:
        if exc.exit_code == cpu_limit.EXIT_CODE:
            return f"It took more than {self._limits.cpu_seconds:.3g} s of processor time."
        if exc.hung:
            return f"It did not end within {self._wall:.3g} s."
        if exc.bug:
            _log.error("The recogniser failed on page %d of %s:\n%s", page, path, exc.bug)
        return "The recogniser crashed on it."


@asynccontextmanager
async def open_recogniser(config: Config) -> AsyncGenerator[OcrWorker | None]:
    """Open the recogniser in the settings; None when it is off or not installed.

    Raises:
        InvalidArgument: there is no such recogniser.
    """
    name = USUAL if config.ocr == AUTO else config.ocr
    if name == OFF or check_recogniser(name) is not None:
        yield None
        return
    masks = config.mask_secrets
    limits = OcrLimits(
        recogniser=name,
        file_bytes=config.max_file_mb * 1_000_000,
        cpu_seconds=CPU_SECONDS,
        mask_secrets=masks,
        niceness=NICENESS,
        identity=f"{name}:{MASKED}" if masks else name,
    )
    worker = OcrWorker(limits)
    try:
        yield worker
    finally:
        await worker.close()


def check_recogniser(name: str) -> str | None:
    """Return why a recogniser cannot be used now; None if it can.

    Raises:
        InvalidArgument: there is no such recogniser.
    """
    if name in (AUTO, OFF):
        return None
    if name not in RECOGNISERS:
        known = ", ".join((AUTO, OFF, *RECOGNISERS))
        raise InvalidArgument(f"There is no recogniser {name!r}.", f"The setting ocr is {known}.")
    return None if is_installed(name) else f"{name} is not installed. Install it: {INSTALL_OCR}."
