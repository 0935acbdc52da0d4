"""What a small model shows of large ones: one finding a line, kept in a file, told as a table.

Knows words and verdicts; not how anything was measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from explorer import ROOT

FILE = ROOT / "assets" / "pico" / "phenomena.json"


@dataclass(frozen=True)
class Finding:
    """what: the phenomenon; large: as reported of large models, with the source; pico: as measured.

    shown: whether pico shows it, by the rule of the module that measured it.
    """

    what: str
    large: str
    pico: str
    shown: bool


def write(findings: Sequence[Finding], questions: int, file: Path = FILE) -> None:
    """Write what was found on so many questions as JSON."""
    told = {"questions": questions, "findings": [asdict(each) for each in findings]}
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(file: Path = FILE) -> tuple[list[Finding], int]:
    """Read the findings, and the number of questions that they rest on."""
    told = json.loads(file.read_text(encoding="utf-8"))
    return [Finding(**each) for each in told["findings"]], told["questions"]


def markdown(findings: Sequence[Finding], questions: int) -> str:
    """Write a Markdown table, what the model shows first."""
    lines = [
        f"Measured on {questions:,} questions, one to a scene. Whether a line counts as shown is "
        "decided by a rule in the module that measures it.",
        "",
        "| phenomenon | large models | pico | shown |",
        "| --- | --- | --- | --- |",
    ]
    for each in sorted(findings, key=lambda finding: not finding.shown):
        shown = "yes" if each.shown else "**no**"
        lines.append(f"| {each.what} | {each.large} | {each.pico} | {shown} |")
    return "\n".join(lines) + "\n"
