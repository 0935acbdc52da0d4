"""Measure the page in a real browser: start-up, redraw while dragging, drag to new answer.

`python -m explorer.bench --page` runs it after the other measurements. Needs playwright.
"""

from __future__ import annotations

import time

from explorer.bench import report
from explorer.browser import chromium, served

DRAGS = 12
WIDTH, HEIGHT = 1366, 1080

# Waits inside the page for the card to show a computed answer, and gives the milliseconds.
ANSWERED = """async (budget) => {
  const range = document.querySelector('.vt-stage input[type=range]');
  const stage = document.querySelector('.vt-stage');
  range.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}));
  for (let step = 5; step >= 0; step--) {
    range.value = String(budget + 3 * step);
    range.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise(requestAnimationFrame);
  }
  const released = performance.now();
  range.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));
  range.dispatchEvent(new Event('change', {bubbles: true}));
  while (true) {
    const { answer, is } = explorer.store.asking.pruned;
    if (answer && is === 'computed' && answer.budget === explorer.store.state.budget) break;
    if (performance.now() - released > 20000) throw new Error('no answer came');
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - released;
}"""

REDRAWN = """async () => {
  const range = document.querySelector('.vt-stage input[type=range]');
  const times = [];
  range.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}));
  for (let step = 0; step < 60; step++) {
    range.value = String(Number(range.min) + step * 2);
    range.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    times.push(explorer.lastDrawMs);
  }
  return times;
}"""


def main() -> None:
    """Measure the page of a freshly started app."""
    began = time.perf_counter()
    with served() as (url, _), chromium() as browser:
        report("python app.py to the first byte of the page", [time.perf_counter() - began], 12)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_selector(".vt-stage[data-kept]")
        report("address entered to the example drawn", [time.perf_counter() - began], 2)
        redraws = page.evaluate(REDRAWN)
        report("redraw while dragging, 196 patches", [ms / 1e3 for ms in redraws], 0.008)
        page.locator("#vt-scene button").click()
        page.wait_for_function("explorer.store.state.case.answers.length === 0")
        waits = [page.evaluate(ANSWERED, 60 + 7 * drag) for drag in range(DRAGS)]
        report("end of a drag to the new answer on the screen", [ms / 1e3 for ms in waits], 0.35)
