"""Questions on which a method fails and the full model does not: in scenes, or in own pictures."""

from explorer.analyses.failures.in_scenes import FIRST_SEED, QUESTIONS, find
from explorer.analyses.failures.judging import RIGHT, Asked, Failure, judge, ranked

__all__ = ["FIRST_SEED", "QUESTIONS", "RIGHT", "Asked", "Failure", "find", "judge", "ranked"]
