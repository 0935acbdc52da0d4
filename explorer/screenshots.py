"""Take the pictures of README.md: `python -m explorer.screenshots` writes assets/screenshots.

Needs playwright and a Chromium (tests/requirements.txt).
"""

from __future__ import annotations

from pathlib import Path

from explorer.browser import chromium, served

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "screenshots"
SHOTS = {
    "explore-light": ("?__theme=light", 1366, 1080),
    "explore-dark": ("?__theme=dark", 1366, 1080),
    "explore-phone": ("?__theme=light", 390, 844),
}


def main() -> None:
    """Start the app and photograph it in light, in dark and at the width of a phone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with served() as (url, _), chromium() as browser:
        for name, (theme, width, height) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{url}/{theme}")
            page.wait_for_selector(".vt-stage[data-kept]")
            page.wait_for_timeout(1500)  # fonts and thumbnails
            page.screenshot(path=FOLDER / f"{name}.png")
            page.close()


if __name__ == "__main__":
    main()
