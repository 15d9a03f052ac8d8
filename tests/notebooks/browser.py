"""Debian's Chromium without a screen, spoken to by its DevTools protocol.

Also a command, for the picture in the documentation:
    python -m tests.notebooks.browser http://127.0.0.1:2718 "Difference" docs/replay.png
"""

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PATIENCE_SECONDS = 90
NUMBERS = count(1)

# Resolves once all the texts are on the page and no figure is still loading. marimo draws inside
# shadow roots, so the page's plain text does not show all of it.
SHOWN = """
new Promise((resolve) => {
  const wanted = %s;
  const text = (node) => ["SCRIPT", "STYLE"].includes(node.tagName) ? "" :
    [...node.childNodes].map((child) => child.nodeType === 3 ? child.data : text(child)).join(" ")
    + (node.shadowRoot ? text(node.shadowRoot) : "");
  const pictures = (node) => [...node.querySelectorAll("*")].flatMap((child) =>
    [...(child.tagName === "IMG" ? [child] : []),
     ...(child.shadowRoot ? pictures(child.shadowRoot) : [])]);
  const look = () => {
    if (!document.body) return requestAnimationFrame(look);
    const now = text(document.body);
    const drawn = pictures(document.body).every((picture) => picture.complete);
    if (drawn && wanted.every((each) => now.includes(each))) resolve(now);
    else requestAnimationFrame(look);
  };
  look();
})
"""


class Page:
    """One open page; without a session, the browser itself."""

    def __init__(self, connection: ClientConnection, session: str | None = None) -> None:
        self._connection = connection
        self._address = {} if session is None else {"sessionId": session}

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer to one command; what it says in between is not for us."""
        number = next(NUMBERS)
        message = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message | self._address))
        while True:
            answer = json.loads(self._connection.recv(timeout=PATIENCE_SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def wait_for(self, *texts: str) -> str:
        """Wait until the page shows all the texts; returns everything it shows."""
        found = self.ask(
            "Runtime.evaluate",
            expression=SHOWN % json.dumps(texts),
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"]["value"]

    def screenshot(self, path: Path) -> None:
        """What the page looks like, as PNG."""
        picture = self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def opened(url: str, width: int = 1280, height: int = 1640) -> Iterator[Page]:
    """A page of Chromium at ``url``; leaving ends the browser."""
    chromium = shutil.which("chromium")
    assert chromium, "no chromium: apt-get install chromium"
    # Chromium may still be writing its profile while it ends.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with connect(_endpoint(browser), max_size=None) as connection:
                yield _page(connection, url, width, height)
        finally:
            browser.terminate()
            browser.communicate(timeout=30)


def _endpoint(browser: subprocess.Popen[str]) -> str:
    assert browser.stderr is not None
    for line in browser.stderr:
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            return found.group(1)
    raise RuntimeError(f"chromium ended with {browser.wait()} before it listened")


def _page(connection: ClientConnection, url: str, width: int, height: int) -> Page:
    browser = Page(connection)
    target = browser.ask("Target.createTarget", url="about:blank")
    attached = browser.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
    page = Page(connection, attached["sessionId"])
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    page.ask("Page.navigate", url=url)  # answers once the new document stands
    return page


if __name__ == "__main__":
    with opened(sys.argv[1]) as page:
        page.wait_for(*sys.argv[2:-1])
        page.screenshot(Path(sys.argv[-1]))
