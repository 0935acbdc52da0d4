"""How far some work is: the loading of a model, or a search that runs it many times.

Knows numbers; not what is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total`, which is 0 where nobody knows.

    stage: what is being done: "waiting", "search", "download" and "weights" of a load; "" where
    there is just one stage.
    """

    done: float = 0
    total: float = 0
    stage: str = ""

    @property
    def share(self) -> float | None:
        """How much of this stage is done, 0 to 1; None where nobody knows."""
        return min(1.0, self.done / self.total) if self.total else None


Report = Callable[[Progress], None]
"""Called with how far the work is; raises where nobody wants it any more."""
