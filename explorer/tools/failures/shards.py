"""Split a long list of work over machines: "2/4" is every fourth item, beginning with the second.

Which items a share holds depends on nothing but the list, so shares can be worked on anywhere, in
any order, and put together again. Knows numbers; not what the work is.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Share `number` of `of`, counted from 1."""

    number: int = 1
    of: int = 1

    def take(self, items: Sequence[Item]) -> Sequence[Item]:
        """Give the items of this share, in their order."""
        return items[self.number - 1 :: self.of]

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


def shard(text: str) -> Shard:
    """Read "2/4"; for argparse, which turns the error into its usage message."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 2/4")
    return Shard(int(found[1]), int(found[2]))
