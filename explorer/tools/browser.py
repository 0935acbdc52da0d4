"""Start the app and a Chromium beside it, for tests, measurements and screenshots.

Needs playwright (tests/requirements.txt), which the page itself does not. Uses an installed
Chromium or Chrome where there is one, else the one that playwright brings.
`python -m explorer.tools.browser` tells whether a browser starts.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from explorer import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The shell draws pages and nothing else, for two thirds of the work that a whole browser makes.
NAMES = (
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome",
    "google-chrome-stable", "chrome",
)  # fmt: skip
# In a container there is often no sandbox, and the background requests would only fail.
FLAGS = (
    "--no-sandbox", "--disable-background-networking", "--disable-component-update",
    "--renderer-process-limit=1",  # of a context: its next page finds scripts compiled
)  # fmt: skip
# Suggestions of the address bar are web pages of their own, loaded anew for every session: a second
# of work that nobody sees. Of several such lists only the last counts, so playwright's is repeated.
OFF = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "OptimizationHints", "NetworkTimeServiceQuerying",
    "AimEnabled", "PreconnectToSearch",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a running headless browser."""
    from playwright.sync_api import sync_playwright

    installed = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--disable-features={','.join(OFF)}"]
        browser = playwright.chromium.launch(executable_path=installed, args=flags)
        try:
            yield browser
        finally:
            browser.close()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(*options: str, timeout: float = 120) -> Iterator[tuple[str, subprocess.Popen]]:
    """Run `python app.py` on a free port; gives its address once the page is there."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(port), *options]
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + timeout
        while not _answers(url):
            if app.poll() is not None:
                raise RuntimeError(f"app.py ended with code {app.returncode}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"app.py did not answer within {timeout} s")
            time.sleep(0.05)
        yield url, app
    finally:
        app.terminate()
        try:
            app.wait(10)
        except subprocess.TimeoutExpired:
            app.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return page.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def main() -> int:
    """Start a browser and say which one it is."""
    from playwright.sync_api import Error

    try:
        with chromium() as browser:
            print(f"Chromium {browser.version}")
    except Error as error:
        print(f"No Chromium starts: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
