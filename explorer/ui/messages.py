"""Everything that the browser sends, as models that check kind and size before anything is read.

A message may come from anybody. What doesn't fit is refused as a whole, in one sentence; a field
that nobody here reads is left out. Knows the shape of messages; whether a method exists, or how
many tokens a picture has, is checked by those who answer them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from explorer.analyses.sharing import case_fields
from explorer.errors import BadBudget, BadMessage
from explorer.methods import catalog

SEEDS = 2**53  # whole numbers that a browser can hold exactly
MAX_SPECS = 40  # methods of one message
MAX_ANSWERS = 2_000  # answers of one message: thirty methods on a ladder, and draws of random
MAX_QUERY = 100_000  # characters of an address; a link that can be followed is shorter

Key = Annotated[str, Field(max_length=200)]  # of a case or an example
# A method with its options; however it is written, from here on it has one form.
Spec = Annotated[str, Field(max_length=catalog.MAX_SPEC), AfterValidator(catalog.canonical)]
Words = Annotated[str, Field(max_length=8_000)]  # what a visitor types
Ticket = Annotated[int, Field(ge=0, lt=SEEDS)]
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Budget = Annotated[int, Field(ge=1, le=case_fields.TOKENS)]


FilePath = Annotated[str, Field(max_length=1_000)]  # of an upload


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
    """Chooses a model. method: what the visitor looks at."""

    chosen: Key
    method: Spec | None = None


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
