"""What the visitors of one running page share, and what belongs to one of them.

Shared: a cache of results, keyed by content and bounded in bytes, and the newest tickets of every
session, bounded in number. A session is a value that the page hands around; nobody else sees it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import gradio as gr
import numpy as np

from explorer import analyses
from explorer.analyses import failures
from explorer.analyses.attribution.importance import Importance
from explorer.analyses.attribution.restoration import RestorationResult
from explorer.analyses.attribution.score_evaluation import ScoreEvaluation
from explorer.analyses.comparison import Comparison
from explorer.analyses.diagnosis.records import Diagnosis, StepResult
from explorer.analyses.effects.captions import Caption
from explorer.analyses.effects.probes import ProbedThing
from explorer.analyses.effects.stability import Stability
from explorer.analyses.failures import Failure
from explorer.analyses.inside.records import Inside, KeyReads, Removal
from explorer.analyses.region_crop import RegionAnswer
from explorer.analyses.sharing import replay
from explorer.analyses.sharing.replay import Difference
from explorer.analyses.sweep import Sweep
from explorer.analyses.video.answers import VideoAnalysis, VideoDrawing
from explorer.analyses.video.coherence import FewerFrames
from explorer.cases.batch_answers import AnswerResult
from explorer.cases.cache import ResultCache
from explorer.cases.records import Analysis, Answer, MethodMap
from explorer.cases.request import CaseRequest, case_id
from explorer.media.image import Picture
from explorer.pico.data.questions import normalise
from explorer.ui.web.uploads import VisitorFiles
from explorer.vlm.progress import Progress
from explorer.vlm.turns.fair_queue import FairQueue

CACHE_BYTES = 256_000_000
SESSIONS = 10_000


def visitor_of(request: gr.Request) -> str:
    """Name a visitor by his session, whatever he calls it: always as many characters."""
    return hashlib.sha256(str(request.session_hash).encode("utf-8", "replace")).hexdigest()[:32]


class RequestTickets:
    """Which request of a session is the newest on each of its channels; older ones may stop."""

    def __init__(self, sessions: int = SESSIONS):
        self._newest: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._sessions = sessions
        self._lock = threading.Lock()

    def announce(self, session: str, channel: str, ticket: int) -> None:
        """Tell that a session has asked anew."""
        with self._lock:
            newest = self._newest.setdefault(session, {})
            newest[channel] = max(ticket, newest.get(channel, 0))
            self._newest.move_to_end(session)
            while len(self._newest) > self._sessions:
                self._newest.popitem(last=False)

    def newest(self, session: str, channel: str) -> int:
        """Give the newest ticket of a session on a channel, 0 if it has none."""
        return self._newest.get(session, {}).get(channel, 0)

    def forget(self, session: str) -> None:
        """Drop a session that has left."""
        with self._lock:
            self._newest.pop(session, None)


@dataclass(frozen=True)
class UseCases:
    """All that the page and its endpoints ask of models; a test may put others in their place."""

    analyse: Callable[..., Analysis] = analyses.analyse
    unfold: Callable[..., Iterator[Answer | Analysis]] = analyses.unfold
    draw: Callable[..., MethodMap] = analyses.draw
    count_tokens: Callable[..., int] = analyses.count_tokens
    answer: Callable[..., Answer] = analyses.answer
    stream: Callable[..., Iterator[Answer]] = analyses.stream
    compute_answers: Callable[..., Iterator[AnswerResult]] = analyses.compute_answers
    compare: Callable[..., Comparison] = analyses.compare
    sweep: Callable[..., Sweep] = analyses.sweep
    answer_with_crop: Callable[..., Iterator[RegionAnswer]] = analyses.answer_with_crop
    answer_from_tokens: Callable[..., Answer] = analyses.answer_from_tokens
    kept_shares: Callable[..., list[float]] = analyses.kept_shares
    explain: Callable[..., Iterator[Progress | Importance]] = analyses.explain
    find_restoring_patches: Callable[..., Iterator[Progress | RestorationResult]] = (
        analyses.find_restoring_patches
    )
    diagnose: Callable[..., Iterator[Progress | StepResult | Diagnosis]] = analyses.diagnose
    evaluate_scores: Callable[..., Iterator[Progress | ScoreEvaluation]] = analyses.evaluate_scores
    look_inside: Callable[..., Inside] = analyses.look_inside
    patch_map: Callable[..., np.ndarray] = analyses.patch_map
    read_keys: Callable[..., KeyReads] = analyses.read_keys
    remove_by_layer: Callable[..., Iterator[Removal]] = analyses.remove_by_layer
    probe: Callable[..., Iterator[ProbedThing]] = analyses.probe
    describe: Callable[..., Iterator[Caption]] = analyses.describe
    stability: Callable[..., Stability | None] = analyses.stability
    find_failures: Callable[..., Iterator[Failure | None]] = failures.find
    judge_pictures: Callable[..., list[Failure]] = failures.judge
    replay: Callable[..., Iterator[Difference]] = replay.replay
    analyse_video: Callable[..., VideoAnalysis] = analyses.analyse_video
    answer_video: Callable[..., Iterator[VideoDrawing | Answer]] = analyses.answer_video
    coherence: Callable[..., Iterator[FewerFrames]] = analyses.coherence


@dataclass
class AppState:
    """What the visitors of one running page share: results, who has asked for what last, the queue
    in which they take turns, and the files that they still need.
    """

    use_cases: UseCases = UseCases()
    cache: ResultCache = field(default_factory=lambda: ResultCache(CACHE_BYTES))
    tickets: RequestTickets = field(default_factory=RequestTickets)
    fair_queue: FairQueue = field(default_factory=FairQueue)
    files: VisitorFiles = field(default_factory=VisitorFiles)


@dataclass(frozen=True)
class Session:
    """What one visitor looks at.

    truths: the right answers that a scene makes known, by their questions. told: those that the
    visitor has named. untouched: whether he has opened nothing yet, or this is all that is left
    since the server has forgotten what he had opened.
    """

    model: str
    picture: Picture
    question: str
    truths: dict[str, str] = field(default_factory=dict)
    suggestions: tuple[str, ...] = ()
    seed: int | None = None
    told: dict[str, str] = field(default_factory=dict)
    untouched: bool = False

    def __deepcopy__(self, memo: dict) -> Session:
        """Give itself: Gradio copies what every visitor begins with, pictures and all."""
        return self

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return self.picture.nbytes

    @property
    def id(self) -> str:
        """The name of the case that is open."""
        return case_id(self.model, self.picture, self.question)

    @cached_property
    def request(self) -> CaseRequest:
        """The case that is open, checked: what the use cases take. Raises `VisitorError`."""
        return CaseRequest.make(self.model, self.picture, self.question)

    @property
    def truth(self) -> str | None:
        """The right answer to the present question, if it is known."""
        question = normalise(self.question)
        return self.truths.get(question) or self.told.get(question)

    @property
    def is_truth_told(self) -> bool:
        """Tell whether only the visitor can say what is right."""
        return normalise(self.question) not in self.truths


PARTIAL_SECONDS = 0.05  # between two partial answers: more often than the eye can follow is waste


FORGOTTEN = {
    "forgotten": True,
    "error": "The server has forgotten what was open here; it is being opened anew.",
    "done": True,
}
"""Of a reply to a page that shows what its session does not hold any more."""


def is_forgotten(session: object) -> bool:
    """Tell whether a session that is not the one that a page speaks of was lost by the server."""
    return session is None or getattr(session, "untouched", False)
