"""The file that answers wait in while effects are measured, so that it may be interrupted.

One line of JSON per scene, written at once when it is done. Knows files; not how answers are got.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from explorer.metrics.effects.table import CaptionRecord, ProbeRecord


@dataclass(frozen=True)
class MeasuredScene:
    """What one scene gave. weights: of the model, by their digest."""

    seed: int
    weights: str
    probes: tuple[ProbeRecord, ...]
    captions: tuple[CaptionRecord, ...]


def append(file: Path, scene: MeasuredScene) -> None:
    """Write one scene behind the others."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(scene)) + "\n")


def read(file: Path, weights: str) -> Iterator[MeasuredScene]:
    """Read what these weights have answered; a last line that was cut off is taken away."""
    if not file.exists():
        return
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        file.write_bytes(whole)
    for line in whole.decode("utf-8").splitlines():
        told = json.loads(line)
        if told["weights"] == weights:
            yield MeasuredScene(
                told["seed"],
                told["weights"],
                tuple(ProbeRecord(**each) for each in told["probes"]),
                tuple(CaptionRecord(**each) for each in told["captions"]),
            )
