"""The table of methods in README.md, generated from the methods' own constants.

`python -m explorer.methods_table` writes it between the two marks in README.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from explorer.methods import METHODS

README = Path(__file__).resolve().parent.parent / "README.md"
BETWEEN = re.compile(r"(<!-- methods:[^\n]*-->\n)(.*?)(<!-- /methods -->)", re.S)


def table() -> str:
    """Give the table as Markdown."""
    rows = [
        "| key | method | prunes | reads the question | merges | checked against | uncertain |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        paper = f"[{method.ARXIV}](https://arxiv.org/abs/{method.ARXIV})" if method.ARXIV else ""
        source = " ".join(filter(None, (f"**{method.TITLE}**", method.AUTHORS, paper)))
        commit = f"{method.REPOSITORY} @ `{method.COMMIT}`: " if method.COMMIT else ""
        cells = (
            f"`{method.KEY}`",
            source,
            method.WHERE,
            "yes" if method.READS_QUESTION else "no",
            "yes" if method.MERGES else "no",
            commit + method.VERIFIED,
            method.UNCERTAIN or "—",
        )
        rows.append("| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def in_readme(text: str) -> str:
    """Give the table that stands in a README now."""
    return BETWEEN.search(text).group(2)


def main() -> None:
    """Write the table into README.md."""
    text = README.read_text(encoding="utf-8")
    README.write_text(BETWEEN.sub(lambda m: m[1] + table() + m[3], text), encoding="utf-8")


if __name__ == "__main__":
    main()
