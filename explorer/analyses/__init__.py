"""What can be asked of a case: the public use cases, one function each.

Each takes a `CaseRequest` first (a `VideoRequest` for a video) and, as keyword `cache`, a
`ResultCache` that the caller owns. Knows cases, methods and metrics; not pages, sessions or
commands.
"""

from explorer.analyses.attribution.importance import explain
from explorer.analyses.attribution.restoration import find_restoring_patches
from explorer.analyses.attribution.score_evaluation import evaluate_scores
from explorer.analyses.comparison import compare
from explorer.analyses.diagnosis.diagnose import diagnose
from explorer.analyses.effects.captions import describe
from explorer.analyses.effects.probes import probe
from explorer.analyses.effects.stability import stability
from explorer.analyses.inside.key_reads import read_keys
from explorer.analyses.inside.looking import look_inside
from explorer.analyses.inside.patch_map import patch_map
from explorer.analyses.inside.removal import remove_by_layer
from explorer.analyses.overview import analyse, draw, score_all, unfold
from explorer.analyses.picked import answer_from_tokens, kept_shares
from explorer.analyses.region_crop import answer_with_crop
from explorer.analyses.sweep import sweep
from explorer.analyses.video.answers import analyse_video, answer_video
from explorer.analyses.video.coherence import coherence
from explorer.cases.answers import answer, stream
from explorer.cases.case import count_tokens
from explorer.cases.scheduler import answer_many, cached_answers, compute_answers, prepare

__all__ = [
    "analyse",
    "analyse_video",
    "answer",
    "answer_from_tokens",
    "answer_many",
    "answer_video",
    "answer_with_crop",
    "cached_answers",
    "coherence",
    "compare",
    "compute_answers",
    "count_tokens",
    "describe",
    "diagnose",
    "draw",
    "evaluate_scores",
    "explain",
    "find_restoring_patches",
    "kept_shares",
    "look_inside",
    "patch_map",
    "prepare",
    "probe",
    "read_keys",
    "remove_by_layer",
    "score_all",
    "stability",
    "stream",
    "sweep",
    "unfold",
]
