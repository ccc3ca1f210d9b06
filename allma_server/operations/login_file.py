"""A private file that leads a browser to the page with a code.

Other users of a computer see the command line of a browser, but not what is in this file.
"""

import asyncio
import contextlib
import html
import secrets
import time
from pathlib import Path

from allma_server._internal.private import private_opener
from allma_server._internal.tasks import completed
from allma_server.engine import Engine
from allma_server.errors import AllmaError

POLL_SECONDS = 1.0

_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>Allma</title>
<p><a href="{address}">Open Allma</a></p>
"""


async def make_login_file(engine: Engine, url: str, code: str, seconds: float) -> str | None:
    """Make the file, which is removed when the code was used, and after so many seconds.

    Returns:
        Its path; None if it cannot be written.
    """
    folder = engine.config.data_dir
    try:
        path = await asyncio.to_thread(_written, folder, f"{url}/#code={code}", seconds)
    except OSError:
        return None
    engine.tasks.create_task(_removed_after_use(engine, path, code))
    return str(path)


def _written(folder: Path, address: str, seconds: float) -> Path:
    for old in folder.glob("open-*.html"):  # of an engine that was killed
        with contextlib.suppress(OSError):
            if old.stat().st_mtime < time.time() - seconds:
                old.unlink()
    path = folder / f"open-{secrets.token_hex(8)}.html"
    with open(path, "x", encoding="utf-8", opener=private_opener) as file:
        file.write(_PAGE.format(address=html.escape(address)))
    return path


async def _removed_after_use(engine: Engine, path: Path, code: str) -> None:
    try:
        while await engine.catalog.is_code(code):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
    except AllmaError:
        pass  # the database is damaged: nobody can sign in
    finally:
        await completed(asyncio.to_thread(_remove, path))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
