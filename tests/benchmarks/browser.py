"""The visible text of a page in headless Chromium, driven over its debugging pipe."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SECONDS = 30.0
"""For one page."""

# Navigation is left out on purpose, in HTML's own words and in those of ARIA.
_SCRIPT = """(() => {
  const aside = 'nav, aside, footer, [role=navigation], [role=complementary], '
    + '[role=contentinfo], [role=search]';
  for (const part of document.querySelectorAll(aside))
    part.style.setProperty('display', 'none', 'important');
  const headings = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
    .filter(each => each.checkVisibility()).map(each => each.innerText);
  return [location.href, document.body ? document.body.innerText : '', headings];
})()"""

_LEADS_ELSEWHERE = ("Page.frameScheduledNavigation", "Page.frameRequestedNavigation")


def program() -> str | None:
    """The first Chromium on this computer."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class _LedElsewhere(RuntimeError):
    """The page was left for another one while it was asked something."""


class Browser:
    """One page after the other in one process, without a network."""

    def __init__(self, path: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = (
            "--headless --no-sandbox --disable-gpu --remote-debugging-pipe "
            "--disable-background-networking --blink-settings=imagesEnabled=false"
        ).split()
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4, which only a shell can arrange
        # without running Python between fork and exec.
        command = ["sh", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "sh", path]
        self._process = subprocess.Popen(
            [
                *command,
                *options,
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={self._profile.name}",
                "about:blank",
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._calls = 0
        self._session: str | None = None
        self._stages: list[tuple[str, str, str]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")
        self._call("Page.setLifecycleEventsEnabled", enabled=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)  # the browser ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        self._profile.cleanup()

    def shown(self, page: Path) -> tuple[str, list[str]] | None:
        """The text and the headings of a page; None when it leads to another one."""
        address = page.resolve().as_uri()
        self._stages.clear()
        begun = self._call("Page.navigate", url=address)
        own = ("init", begun["frameId"], begun["loaderId"])
        if self._loaded(own) != begun["loaderId"]:
            return None
        try:
            answer = self._call("Runtime.evaluate", expression=_SCRIPT, returnByValue=True)
        except _LedElsewhere:
            return None
        reached, text, headings = answer["result"]["value"]
        leaves = ("leave", begun["frameId"], "") in self._stages[self._stages.index(own) :]
        return (text, headings) if reached.split("#")[0] == address and not leaves else None

    def _loaded(self, own: tuple[str, str, str]) -> str:
        """The loader of the page that is there first: that of `own`, or of what replaced it."""
        ends = time.monotonic() + SECONDS
        while True:
            later = self._stages[self._stages.index(own) :] if own in self._stages else []
            for stage, frame, loader in later:
                if stage == "load" and frame == own[1]:
                    return loader
            self._received(ends)

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        """The answer to one call."""
        self._calls += 1
        message: dict[str, Any] = {"id": self._calls, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        ends = time.monotonic() + SECONDS
        while (received := self._received(ends)).get("id") != self._calls:
            pass
        if "result" in received:
            return received["result"]
        reason = str(received.get("error"))
        raise (_LedElsewhere if "navigated" in reason else RuntimeError)(f"{method}: {reason}")

    def _received(self, ends: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, ends - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer" if not ready else "it ended")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        method, about = message.get("method"), message.get("params", {})
        if method == "Page.lifecycleEvent":
            self._stages.append((about["name"], about["frameId"], about["loaderId"]))
        elif method in _LEADS_ELSEWHERE:
            self._stages.append(("leave", about["frameId"], ""))
        return message
