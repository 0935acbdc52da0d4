"""What the browser sends from the tabs beside "Explore", checked as all messages are.

Knows the shape of messages; whether a method exists, or how many tokens a picture has, is checked
by those who answer them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, Strict

from explorer.analyses.sharing import case_fields
from explorer.media import region
from explorer.methods import catalog
from explorer.ui.messages import (
    MAX_ANSWERS,
    MAX_SPECS,
    Budget,
    CaseMessage,
    FilePath,
    Key,
    Message,
    Seed,
    Spec,
    Words,
)

MAX_SCENES = 1_000
MAX_ROWS = 8  # questions about own pictures of one message
MAX_JSONL = 400_000  # characters
Patch = Annotated[int, Field(ge=0, lt=case_fields.TOKENS)]
Patches = Annotated[list[Patch], Field(max_length=case_fields.TOKENS)]
# JSON has no tuples, so that a list is taken for one; what stands in it is checked as strictly.
Pair = Annotated[tuple[Spec, Budget], Strict(False)]
Layer = Annotated[int, Field(ge=-1, lt=1_000)]  # or a head; -1 for all
Cell = Annotated[int, Field(ge=0, lt=region.CUTS)]
Right = Literal["truth", "full"]


def _unique(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return list(dict.fromkeys(pairs))


class BatchMessage(CaseMessage):
    """Asks for many answers at once. wanted: pairs of a method's spec and a budget."""

    wanted: Annotated[list[Pair], Field(max_length=MAX_ANSWERS), AfterValidator(_unique)]


class PickMessage(CaseMessage):
    """Asks what is answered from hand-picked patches. method: the one that the set came from."""

    kept: Patches
    method: Spec | None = None


class RestoreMessage(PickMessage):
    """Asks which dropped patches broke the answer. truth: look for the right answer instead."""

    truth: bool = False


class ImportanceMessage(CaseMessage):
    """Asks what an answer rests on: one word of it, by its number, or another text.

    method: the one that it is held against, whose rule for positions counts.
    """

    way: Key
    method: Spec | None = None
    word: Annotated[int, Field(ge=0, lt=case_fields.ANSWER)] | None = None
    text: Words | None = None


class DiagnosisMessage(CaseMessage):
    """Asks why the method's answer fails at this budget."""

    method: Spec
    budget: Budget


class EvaluationMessage(CaseMessage):
    """Puts the scores of methods on trial at a budget."""

    methods: Annotated[list[Spec], Field(max_length=MAX_SPECS), AfterValidator(catalog.unique)]
    budget: Budget


class RegionMessage(CaseMessage):
    """Asks for a second look at a region.

    cells: first column and row, last column and row; none means those around the patches that the
    method likes best. dilate: take in one cell more on every side.
    """

    method: Spec
    cells: Annotated[list[Cell], Field(min_length=4, max_length=4)] | None = None
    dilate: bool = False


class InsideMessage(CaseMessage):
    """Asks what happened inside the full answer and inside that of a method at a budget."""

    method: Spec
    budget: Budget


class InsideMapMessage(InsideMessage):
    """Asks for one map of both: attention of a layer and a head (-1: the mean), or another."""

    what: Literal["attention", "rollout", "norm", "change", "tower", "token"]
    layer: Layer = -1
    head: Layer = -1


class ReadsMessage(InsideMessage):
    """Asks which patches TidalDecode and TokenSelect would read; run: in which of the two answers.

    layer: of TokenSelect's votes. The other fields are the methods'; see `metrics.reading`. Without
    start or correction: where the authors choose.
    """

    run: Literal["full", "pruned"] = "full"
    layer: Annotated[int, Field(ge=0, lt=1_000)] = 0
    keys: Budget
    scope: Literal["all", "visual"] = "all"
    start: Layer | None = None
    correction: Layer | None = None
    theta: Annotated[float, Field(ge=-1, le=1)] = 0.9
    kv_map: Literal["group", "mod"] = "group"
    rope: Literal["own", "n_local"] = "own"
    n_local: Annotated[int, Field(ge=0, le=100_000)] = 512
    scale: bool = False
    smooth: Annotated[int, Field(ge=0, le=99)] = 0


class FailuresMessage(Message):
    """Looks for failures of a method in the next few scenes.

    against: who is right there; right: what counts as right, see analyses/failures.
    """

    method: Spec
    budget: Budget
    against: Spec
    right: Right = "truth"
    first: Seed
    count: Annotated[int, Field(ge=1, le=MAX_SCENES)]


class OwnRow(BaseModel):
    """A question about an uploaded picture. path: of the upload; name: as the visitor calls it."""

    model_config = Message.model_config
    path: FilePath
    name: Annotated[str, Field(max_length=500)]
    question: Words
    answer: Words | None = None


class OwnPicturesMessage(Message):
    """Looks for failures of a method in own pictures; see `FailuresMessage`."""

    method: Spec
    budget: Budget
    against: Spec
    right: Right = "truth"
    rows: Annotated[list[OwnRow], Field(min_length=1, max_length=MAX_ROWS)]


class OwnLinesMessage(Message):
    """Has a JSONL file of own pictures read. text: of the file."""

    text: Annotated[str, Field(max_length=MAX_JSONL)]


class ProbeMessage(CaseMessage):
    """Asks whether a model sees things. there, absent: what a visitor types, with commas."""

    method: Spec
    strategy: Literal["random", "popular", "adversarial"] = "random"
    there: Words = ""
    absent: Words = ""


class DescribeMessage(CaseMessage):
    """Asks for captions. there: the things that are in the picture, with commas."""

    method: Spec
    there: Words = ""


class StabilityMessage(CaseMessage):
    """Asks how firmly an answer stands. budget: of random choices."""

    method: Spec
    budget: Budget


class CaptionWordMessage(CaseMessage):
    """Asks what some words of a caption rest on. word: the first of `words`, counted by blanks."""

    method: Spec
    text: Words
    word: Annotated[int, Field(ge=0, lt=case_fields.ANSWER)]
    words: Annotated[int, Field(ge=1, le=4)] = 1


class FilmMessage(Message):
    """Asks what a method answers from the frames of a film at one budget. film: its id."""

    film: Key
    budget: Budget
    method: Spec

    @property
    def place(self) -> dict[str, str]:
        """The film."""
        return {"film": self.film}

    def meant_for(self, session: object | None) -> bool:
        """Tell whether the film is still open. session: with an id; None where none was opened."""
        return session is not None and session.id == self.film


class VideoMessage(FilmMessage):
    """Asks for QuoTA's answer over the frames of a film, and for a method's.

    alpha, version: how scores become shares of the budget. tables, map: what else the page doesn't
    have yet. at: the budget at which the method answers, none for no answer of it.
    """

    alpha: float
    version: Key
    tables: bool = False
    map: bool = False
    at: Budget | None = None
