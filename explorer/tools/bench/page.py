"""Measure the page in a real browser: opening, redraw while dragging, new cases, new answers.

`python -m explorer bench --page` runs it after the other measurements. Needs playwright.
"""

from __future__ import annotations

import time

from playwright.sync_api import Browser, Page

from explorer.tools.bench import slow_line
from explorer.tools.bench.reporting import report
from explorer.tools.browser import chromium, served

VISITS = 5
SCENES = 8
DRAGS = 12
SIZE = {"width": 1366, "height": 1080}
PATIENCE = 60_000  # milliseconds

# Opens the tab "Sweep" and gives the milliseconds to the first point of the plot and to the last.
SWEPT = """async () => {
  const tabs = [...document.querySelectorAll('button[role=tab]')];
  const tab = tabs.find((each) => each.textContent.trim() === 'Sweep');
  const began = performance.now();
  tab.click();
  let first = 0;
  while (true) {
    await new Promise(requestAnimationFrame);
    const now = performance.now() - began;
    if (now > 60000) throw new Error('the sweep does not end');
    const points = Number(document.querySelector('.vt-sweep-plot')?.dataset.points ?? 0);
    if (points && !first) first = now;
    if (first && document.querySelector('.vt-sweep').dataset.is === 'done') return [first, now];
  }
}"""

REDRAWN = """async () => {
  const range = document.querySelector('#vt-budget');
  const times = [];
  range.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}));
  for (let step = 0; step < 60; step++) {
    range.value = String(Number(range.min) + step * 2);
    range.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    times.push(performance.getEntriesByName('explorer.draw').at(-1).duration);
  }
  range.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));
  return times;
}"""

# Opens an example and gives the milliseconds until its picture and its pruned answer are shown.
OPENED = """async (number) => {
  const { dataset } = document.querySelector('.vt-stage');
  const before = dataset.case;
  const began = performance.now();
  document.querySelectorAll('.vt-thumbs button')[number].click();
  while (dataset.case === before || !explorerState().pruned.answer) {
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""

# Draws a new scene and gives the milliseconds to the first words, the scores that are painted, the
# pruned answer, and the maps of all methods.
STARTED = """async () => {
  const { dataset } = document.querySelector('.vt-stage');
  const before = dataset.case;
  const began = performance.now();
  const until = async (there) => {
    while (!there()) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return performance.now() - began;
  };
  document.querySelector('#vt-scene button').click();
  const full = document.querySelector('#vt-full .vt-answer');
  const opened = () => dataset.case !== before && !dataset.pending;
  const words = await until(() => (dataset.pending || opened()) && full.textContent !== '…');
  const maps = await until(opened);
  const answer = await until(() => explorerState().pruned.is === 'computed');
  const all = await until(() => !explorerState().case.rest);
  return { words, maps, answer, all };
}"""

# A budget whose answer nobody knows or is about to tell, far from where the slider stands.
UNKNOWN = """(nth) => {
  const { case: open, ladder, method } = explorerState();
  const known = open.answers.filter(([spec]) => spec === method).map(([, budget]) => budget);
  const asked = new Set([...known, ...ladder.map(({ budget }) => budget)]);
  const free = [...Array(open.tokens).keys()].filter((budget) => budget > 40 && !asked.has(budget));
  return free[(nth * 37) % free.length];
}"""

# Drags to a budget and gives the milliseconds from letting go to its computed answer.
ANSWERED = """async (budget) => {
  const range = document.querySelector('#vt-budget');
  range.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}));
  for (let step = 5; step >= 0; step--) {
    range.value = String(budget + 3 * step);
    range.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise(requestAnimationFrame);
  }
  const now = explorerState();
  if (now.budget !== budget || now.pruned.answer) throw new Error(`${budget} is not new`);
  const released = performance.now();
  range.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));
  range.dispatchEvent(new Event('change', {bubbles: true}));
  while (explorerState().pruned.is !== 'computed') {
    if (performance.now() - released > 20000) throw new Error('no answer came');
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - released;
}"""
LADDER_KNOWN = "explorerState().ladder.every(({ known }) => known)"


def visit(browser: Browser, url: str) -> tuple[Page, float]:
    """Open the page with nothing cached; gives the seconds until its example is complete."""
    page = browser.new_context(viewport=SIZE).new_page()
    began = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(".vt-stage[data-kept]")
    page.wait_for_function("explorerState().pruned.answer && explorerState().full")
    return page, time.perf_counter() - began


def scenes(page: Page) -> list[dict[str, float]]:
    """Draw new scenes, each when the one before has all its answers and nothing is in the queue."""
    times = []
    for _ in range(SCENES):
        page.wait_for_function(LADDER_KNOWN, timeout=PATIENCE)
        times.append(page.evaluate(STARTED))
    return times


def drags(page: Page) -> list[float]:
    """Let go of the slider at budgets nobody has asked for; each must lead to a request."""
    page.wait_for_function(LADDER_KNOWN, timeout=PATIENCE)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    waits = []
    for nth in range(DRAGS):
        requests.clear()
        waits.append(page.evaluate(ANSWERED, page.evaluate(UNKNOWN, nth)))
        if not any("/queue/join" in request for request in requests):
            raise AssertionError("the answer was there before anybody asked")
    return [ms / 1e3 for ms in waits]


def main() -> None:
    """Measure the page of a freshly started app."""
    began = time.perf_counter()
    with served() as (url, _):
        report("python app.py to the first byte of the page", [time.perf_counter() - began], 12)
        _in_chromium(url)


def _in_chromium(url: str) -> None:
    with chromium() as browser:
        opened = [visit(browser, url) for _ in range(VISITS)]
        page, _ = opened[-1]
        for other, _ in opened[:-1]:
            other.context.close()
        report("address entered to the example with its answers", [t for _, t in opened], 2)
        redraws = page.evaluate(REDRAWN)
        report("redraw while dragging, 196 patches", [ms / 1e3 for ms in redraws], 0.008)
        examples = page.locator(".vt-thumbs button").count()
        clicks = [page.evaluate(OPENED, number) for number in [*range(1, examples), 0]]
        report("click on an example to its picture and answers", [ms / 1e3 for ms in clicks], 0.5)
        times = scenes(page)
        for name, key, goal in (
            ("new scene to the first words of the full answer", "words", 0.3),
            ("new scene to the scores on the picture", "maps", 1.0),
            ("new scene to the pruned answer", "answer", 1.3),
            ("new scene to the maps of all methods", "all", None),
        ):
            report(name, [time[key] / 1e3 for time in times], goal)
        report("end of a drag to the new answer on the screen", drags(page), 0.35)
        page.wait_for_function(LADDER_KNOWN, timeout=PATIENCE)
        first, last = page.evaluate(SWEPT)
        report("tab Sweep opened to the first points", [first / 1e3], 0.5)
        report("tab Sweep opened to the last point", [last / 1e3], 5)
        page.context.close()
        slow_line.measure(browser, url)
