"""Take the pictures of README.md: `python -m explorer.screenshots` writes assets/screenshots.

Needs playwright and a Chromium (tests/requirements.txt).
"""

from __future__ import annotations

from pathlib import Path

from explorer.browser import chromium, served

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "screenshots"
SHOTS = {
    "explore-light": ("Explore", "light", 1366, 1080),
    "explore-dark": ("Explore", "dark", 1366, 1080),
    "explore-phone": ("Explore", "light", 390, 844),
    "compare": ("Compare", "light", 1366, 1080),
    "sweep": ("Sweep", "light", 1366, 1080),
    "debug": ("Debug", "light", 1366, 1080),
}
SETTLED = 1.5  # seconds that fonts and thumbnails take
WORKED = 20.0  # seconds that answers take


def main() -> None:
    """Start the app and photograph it: in light, in dark, at the width of a phone, and tabs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with served() as (url, _), chromium() as browser:
        for name, (tab, theme, width, height) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{url}/?__theme={theme}")
            page.wait_for_selector(".vt-stage[data-kept]")
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(1000 * (SETTLED if tab == "Explore" else WORKED))
            page.screenshot(path=FOLDER / f"{name}.png")
            page.close()


if __name__ == "__main__":
    main()
