"""One list of work, done by several processes, on one machine or on many."""

from explorer.tools.distributed.team import Team, in_order, launched, run, take_one_card

__all__ = ["Team", "in_order", "launched", "run", "take_one_card"]
