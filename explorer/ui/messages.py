"""Everything that the browser sends, as models that check kind and size before anything is read.

A message may come from anybody. What doesn't fit is refused as a whole, in one sentence; a field
that nobody here reads is left out. Knows the shape of messages; whether a method exists, or how
many tokens a picture has, is checked by those who answer them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError

from explorer.analyses.sharing import case_fields
from explorer.errors import BadBudget, BadMessage
from explorer.media import region
from explorer.methods import catalog

SEEDS = 2**53  # whole numbers that a browser can hold exactly
MAX_SPECS = 40  # methods of one message
MAX_ANSWERS = 2_000  # answers of one message: thirty methods on a ladder, and draws of random
MAX_SCENES = 1_000
MAX_ROWS = 8  # questions about own pictures of one message
MAX_JSONL = 400_000  # characters
MAX_QUERY = 100_000  # characters of an address; a link that can be followed is shorter

Key = Annotated[str, Field(max_length=200)]  # of a case or an example
# A method with its options; however it is written, from here on it has one form.
Spec = Annotated[str, Field(max_length=catalog.MAX_SPEC), AfterValidator(catalog.canonical)]
Words = Annotated[str, Field(max_length=8_000)]  # what a visitor types
Ticket = Annotated[int, Field(ge=0, lt=SEEDS)]
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Budget = Annotated[int, Field(ge=1, le=case_fields.TOKENS)]
Patch = Annotated[int, Field(ge=0, lt=case_fields.TOKENS)]
Patches = Annotated[list[Patch], Field(max_length=case_fields.TOKENS)]
# JSON has no tuples, so that a list is taken for one; what stands in it is checked as strictly.
Pair = Annotated[tuple[Spec, Budget], Strict(False)]
Layer = Annotated[int, Field(ge=-1, lt=1_000)]  # or a head; -1 for all
Cell = Annotated[int, Field(ge=0, lt=region.CUTS)]


FilePath = Annotated[str, Field(max_length=1_000)]  # of an upload
Right = Literal["truth", "full"]


def _unique(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return list(dict.fromkeys(pairs))


class Message(BaseModel):
    """What all messages have in common: no text taken for a number, nothing infinite.

    ticket: the number of the request; the page shows replies to its newest one.
    """

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
    ticket: Ticket = 0

    @property
    def place(self) -> dict[str, str]:
        """What the replies name, so that the page knows what they are about."""
        return {}

    def meant_for(self, session: object) -> bool:
        """Tell whether the message is about what the visitor looks at now."""
        return True


class CaseMessage(Message):
    """A message about a case. case: its id; one about an earlier case is not answered."""

    case: Key

    @property
    def place(self) -> dict[str, str]:
        """The case."""
        return {"case": self.case}

    def meant_for(self, session: object) -> bool:
        """Tell whether the case is still open. session: with an id."""
        return session.id == self.case


# ---- the tab "Explore" ---------------------------------------------------------------------------


class AnswerMessage(CaseMessage):
    """Asks for the answer at this method and budget."""

    method: Spec
    budget: Budget


class LadderMessage(CaseMessage):
    """Asks for the answers of a method at a few budgets."""

    method: Spec
    budgets: Annotated[list[Budget], Field(max_length=MAX_ANSWERS)]


class ModelMessage(Message):
    """Chooses a model."""

    chosen: Key


class SaveMessage(CaseMessage):
    """Wants to take the case home, with the answer at this method and budget."""

    method: Spec
    budget: Budget
    kind: Literal["case", "report"] = "case"


class AnimationMessage(CaseMessage):
    """Wants an animation of the tokens that leave, for a method and a budget."""

    method: Spec
    budget: Budget
    kind: Literal["gif", "mp4"]


class MapMessage(CaseMessage):
    """Asks for the map of one more method or setting."""

    spec: Spec

    @property
    def place(self) -> dict[str, str]:
        """The case and the method."""
        return {"case": self.case, "spec": self.spec}


# ---- the other tabs ------------------------------------------------------------------------------


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
    start and correction: where the authors choose.
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


class VideoMessage(Message):
    """Asks for QuoTA's answer over the frames of a film, and for a method's.

    film: its id. alpha, version: how scores become shares of the budget. tables, map: what else the
    page doesn't have yet. at: the budget at which the method answers, none for no answer of it.
    """

    film: Key
    budget: Budget
    alpha: float
    version: Key
    method: Spec
    tables: bool = False
    map: bool = False
    at: Budget | None = None

    @property
    def place(self) -> dict[str, str]:
        """The film."""
        return {"film": self.film}

    def meant_for(self, session: object | None) -> bool:
        """Tell whether the film is still open. session: with an id; None where none was opened."""
        return session is not None and session.id == self.film


Kind = TypeVar("Kind", bound=Message)


def read(kind: type[Kind], sent: object) -> Kind:
    """Check what a browser has sent; raises `BadMessage` with a sentence if it doesn't fit."""
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = fault["loc"]
        if place and place[-1] == "budget":
            most, sent = case_fields.TOKENS, fault["input"] if fault["type"] != "missing" else None
            raise BadMessage(str(BadBudget.not_within(most, sent))) from None
        where = " → ".join(map(str, place)) or "the whole of it"
        raise BadMessage(f"The page has asked in a way that is not known: {where}.") from None


def ticket_of(sent: object) -> int:
    """Give the ticket of a message that may not fit otherwise; 0 if it has none."""
    try:
        return Message.model_validate(sent).ticket
    except ValidationError:
        return 0
