"""The file that answers wait in while effects are measured, so that it may be interrupted.

One line of JSON per scene, as in the log of a leaderboard. Knows files; not how answers are got.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.metrics.effects.table import CaptionRecord, ProbeRecord
from explorer.tools.distributed.log import read_lines


@dataclass(frozen=True)
class MeasuredScene:
    """What one scene gave. weights: of the model, by their digest."""

    seed: int
    weights: str
    probes: tuple[ProbeRecord, ...]
    captions: tuple[CaptionRecord, ...]


def read(file: Path, weights: str) -> Iterator[MeasuredScene]:
    """Read what these weights have answered; see `read_lines`."""
    for told in read_lines(file, weights=weights):
        yield MeasuredScene(
            told["seed"],
            weights,
            tuple(ProbeRecord(**each) for each in told["probes"]),
            tuple(CaptionRecord(**each) for each in told["captions"]),
        )
