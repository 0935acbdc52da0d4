"""The file that results wait in while a long list is worked on, so that it may be interrupted.

One line of JSON per result, written at once when it comes. Knows files; not what a result is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path


def append(file: Path, result: object) -> None:
    """Write a result, a dataclass, behind the others."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def read_lines(file: Path, **fields: str) -> Iterator[dict]:
    """Read the lines that have these fields; a last one that was cut off is taken away.

    fields: what a line must hold, as the weights that answered; a line without them is not given.
    """
    if not file.exists():
        return
    with file.open("rb+") as lines:
        whole = 0
        while (line := lines.readline()).endswith(b"\n"):
            whole += len(line)
            told = json.loads(line)
            if all(told.get(name) == value for name, value in fields.items()):
                yield told
        if line:
            lines.truncate(whole)
