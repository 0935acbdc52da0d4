"""What is written by the project itself: methods, what the leaderboard says, the screenshots."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from textwrap import fill

from explorer import ROOT
from explorer.methods.catalog import METHODS, OF_VIDEOS, group_of
from explorer.methods.method import Method
from explorer.metrics import phenomena
from explorer.metrics.leaderboard.table import FOLDER, read_table
from explorer.metrics.leaderboard.text import markdown
from explorer.tools.browser import chromium, served

README = ROOT / "README.md"
OF_METHODS = ROOT / "explorer" / "methods" / "README.md"
OF_PICO = phenomena.FILE.with_name("README.md")
STANDINGS = FOLDER / "README.md"
BETWEEN = re.compile(r"(<!-- (methods|leaderboard|phenomena):[^\n]*-->\n)(.*?)(<!-- /\2 -->)", re.S)


def titles() -> str:
    """List the methods for README.md by what their score is computed from: title and key."""
    groups: dict[str, list[str]] = {}
    for method in (*METHODS, *OF_VIDEOS):
        card = method.card
        groups.setdefault(group_of(method), []).append(f"{card.title} `{card.key}`")
    listed = [f"- {group}: {', '.join(titles)}" for group, titles in groups.items()]
    return "".join(fill(line, 110, subsequent_indent="  ") + "\n" for line in listed)


def _where(method: type[Method]) -> str:
    """Say where a method prunes, and whether it does so for videos alone."""
    return f"{method.where}, in videos" if method in OF_VIDEOS else method.where


def table() -> str:
    """Give the table of what each method rests on, as Markdown."""
    rows = [
        "| key | method | prunes | reads the question | merges | checked against | uncertain |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in (*METHODS, *OF_VIDEOS):
        card = method.card
        paper = f"[{card.arxiv}](https://arxiv.org/abs/{card.arxiv})" if card.arxiv else ""
        named = f"“{card.paper}”," if card.paper else ""
        source = " ".join(filter(None, (f"**{card.title}**", card.authors, named, paper)))
        commit = f"{card.repository} @ `{card.commit}`: " if card.commit else ""
        cells = (
            f"`{card.key}`",
            source,
            _where(method),
            "yes" if method.reads_question else "no",
            "yes" if method.merges else "no",
            commit + card.verified,
            card.uncertain or "—",
        )
        rows.append("| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def standings() -> str:
    """Give what the leaderboard's table says, as Markdown."""
    return markdown(read_table(FOLDER / "leaderboard.csv"))


def shown() -> str:
    """Give what pico shows and does not show of large models, as Markdown."""
    return phenomena.markdown(*phenomena.read())


GENERATED = {README: titles, OF_METHODS: table, STANDINGS: standings, OF_PICO: shown}


def written(file: Path) -> str:
    """Give what stands in a file now where something is generated."""
    return BETWEEN.search(file.read_text(encoding="utf-8")).group(3)


def write_generated() -> None:
    """Write the lists of methods and what the leaderboard says into the READMEs."""
    for file, generate in GENERATED.items():
        text = file.read_text(encoding="utf-8")
        first, end = BETWEEN.search(text).span(3)
        file.write_text(text[:first] + generate() + text[end:], encoding="utf-8")


SCREENSHOTS = ROOT / "assets" / "screenshots"
SHOTS = {
    "explore-light": ("Explore", "light", 1366, 1080),
    "explore-dark": ("Explore", "dark", 1366, 1080),
    "explore-phone": ("Explore", "light", 390, 844),
    "compare": ("Compare", "light", 1366, 1080),
    "sweep": ("Sweep", "light", 1366, 1080),
    "debug": ("Debug", "light", 1366, 1080),
}
SETTLED = 1.5  # seconds that fonts and thumbnails take
DONE = {  # what a tab shows once all its answers are there
    "Compare": ".vt-compare[data-is=done]",
    "Sweep": ".vt-sweep[data-is=done]",
    "Debug": ":nth-match(.vt-debug [data-state=computed], 2)",
}
PATIENCE = 300.0  # seconds that all answers of a tab may take


def take_screenshots() -> None:
    """Start the app and photograph it: in light, in dark, at the width of a phone, and tabs."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with served() as (url, _), chromium() as browser:
        for name, (tab, theme, width, height) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{url}/?__theme={theme}")
            page.wait_for_selector(".vt-stage[data-kept]")
            page.get_by_role("tab", name=tab).click()
            page.wait_for_selector(DONE.get(tab, "body"), timeout=1000 * PATIENCE)
            page.wait_for_timeout(1000 * SETTLED)
            page.screenshot(path=SCREENSHOTS / f"{name}.png")
            page.close()


def main() -> None:
    """Read the command line: what is generated, or the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshots", action="store_true", help="take pictures of the page")
    if parser.parse_args().screenshots:
        take_screenshots()
    else:
        write_generated()
