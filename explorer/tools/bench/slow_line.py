"""Measure a visit over a slow line: bytes, first paint, first answers; the first time and again.

Chromium slows the line down itself. Knows only what stands on the page, so that it measures other
versions of it as well.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from explorer.tools.bench.reporting import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

VISITS = 5
BITS, LATENCY = 1.5e6, 40  # a second, and milliseconds
SIZE = {"width": 1366, "height": 1080}
PATIENCE = 120_000  # milliseconds

# Gives the milliseconds since the address was entered, once the picture and both answers are there.
ALIVE = """() => {
  const said = (id) => {
    const text = document.querySelector(`${id} .vt-answer`)?.textContent;
    return text && text !== '…';
  };
  const drawn = document.querySelector('.vt-stage[data-kept]');
  return drawn && said('#vt-full') && said('#vt-pruned') ? performance.now() : false;
}"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def visit(context: BrowserContext, url: str) -> tuple[float, float, float]:
    """Open the page; gives the seconds to the first paint and to the answers, and bytes."""
    page = context.new_page()
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    speed = {"downloadThroughput": BITS / 8, "uploadThroughput": BITS / 8, "latency": LATENCY}
    line.send("Network.emulateNetworkConditions", {"offline": False, **speed})
    sizes: list[float] = []
    line.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url, wait_until="commit")
    alive = page.wait_for_function(ALIVE, timeout=PATIENCE, polling="raf").json_value()
    painted = page.evaluate(PAINTED)
    page.close()
    return painted / 1e3, alive / 1e3, sum(sizes)


def measure(browser: Browser, url: str) -> None:
    """Visit a page several times with nothing cached, and each time once more."""
    cold, again = [], []
    for _ in range(VISITS):
        context = browser.new_context(viewport=SIZE)
        cold.append(visit(context, url))
        again.append(visit(context, url))
        context.close()
    for name, visits in (("first visit", cold), ("second visit", again)):
        painted, alive, sizes = zip(*visits, strict=True)
        report(f"{name} at {BITS / 1e6} Mbit/s to the first paint", list(painted), 2)
        report(f"{name} at {BITS / 1e6} Mbit/s to the answers", list(alive))
        print(f"{name}: {statistics.median(sizes) / 1e3:.0f} KB received", flush=True)
