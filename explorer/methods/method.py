"""What a pruning method is: its card, what it looks at, its options, and where tokens leave.

One class per method, and the same calls for all of them; the options are fields, bound when the
method is made: `FoPru(strategy="row")`. Knows no method in particular, no model and no page.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from inspect import get_annotations
from typing import Any, ClassVar, Literal

from torch import Tensor

from explorer.methods.observed import Neurons
from explorer.methods.signals import Kept, Signals, Size, Stage, top

TOWER_ATTENTION = frozenset(
    {
        "cls_attention",
        "first_cls_attention",
        "early_cls_attention",
        "last_cls_attention",
        "wide_cls_attention",
        "last_cls_logits",
        "object_attention",
        "patch_attention",
    }
)
LLAVA = Size(576, layers=32, columns=24, frames=9)  # to ask a method what kind of stages it has
SINKS = (
    "Attention has sinks: in large towers without registers a few patches of empty ground draw "
    "much of it, since the tower keeps there what it knows of the whole picture (arXiv "
    "2309.16588). That they light up says little about what is there."
)
"""What a reader of any map of the attention in a vision tower may get wrong."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader is told of a method; arXiv and authors are empty for a baseline.

    arxiv: its number, with the version where a later one shows another paper; paper is then its
    title, which the number alone doesn't tell.
    repository, commit: the code that it was compared with, and verified what the comparison said.
    uncertain: what is not known, or is ours. headline: what its authors report. traps: what a
    reader of its maps may get wrong. stand_in: what it takes in place of a [CLS] that isn't there.
    """

    key: str
    title: str
    sentence: str
    equation: str
    score_means: str
    traps: str
    verified: str
    uncertain: str = ""
    headline: str = ""
    stand_in: str = ""
    authors: str = ""
    year: int | None = None
    arxiv: str = ""
    paper: str = ""
    repository: str = ""
    commit: str = ""

    @property
    def is_baseline(self) -> bool:
        """Tell whether no paper stands behind it."""
        return not self.arxiv


@dataclass(frozen=True)
class Option:
    """A setting: the values that a spec may name, the authors' own first, and what they mean."""

    values: tuple
    meaning: str


@dataclass(frozen=True)
class Variant:
    """A reading of a method that has a name of its own, after a colon: "fopru:row"."""

    label: str
    options: Mapping[str, Any]
    meaning: str


def option(*values: Any, meaning: str) -> Any:
    """Declare a field of a method as its option; the first value is the authors' own."""
    return field(default=values[0], metadata={"option": Option(values, meaning)})


def positions_option(*values: str) -> Any:
    """Declare what becomes of positions as an option; the first value is the authors' own."""
    return option(*values, meaning="count the positions of those that stay anew, or keep them")


@dataclass(frozen=True)
class Method(ABC):
    """A pruning method with its options.

    needs: the fields of `Signals` that it looks at, beside those that are always there.
    nested: a larger budget only adds tokens, the K largest scores. merges: some tokens are folded
    into others. trained: it rests on a network that was trained for it. slow: it runs only when it
    is asked for. positions: whether those that stay are counted anew.
    """

    card: ClassVar[Card]
    needs: ClassVar[frozenset[str]] = frozenset()
    where: ClassVar[Literal["before the LLM", "inside the LLM", "both"]]
    reads_question: ClassVar[bool] = False
    nested: ClassVar[bool] = True
    merges: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    slow: ClassVar[bool] = False
    positions: ClassVar[Literal["renumber", "keep"]] = "renumber"
    variants: ClassVar[tuple[Variant, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Refuse a misspelt attribute when the file is imported."""
        for name, value in vars(cls).items():
            known = any(name in get_annotations(each) for each in cls.__mro__)
            plain = not callable(value) and not isinstance(value, Field | property | classmethod)
            if plain and not known and not name.startswith("_"):
                raise TypeError(f"{cls.__name__}.{name} is nothing that a method has")

    @abstractmethod
    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Tell where tokens leave, so that the mean over layers is the budget; or `BadBudget`."""

    def floor(self, size: Size) -> int:
        """Give the smallest budget that can be reached: here, one token."""
        return 1

    def reachable(self, size: Size) -> list[int] | None:
        """List the budgets that can be met, ascending; None where it's every one from the floor."""
        return None

    @abstractmethod
    def score(self, signals: Signals) -> Tensor:
        """Give every token that is alive a finite score, [N] in float32: what the page paints."""

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Choose who stays: here, the largest scores, in the order of the picture."""
        return Kept(top(self.known_score(signals), stage.keep))

    def known_score(self, signals: Signals) -> Tensor:
        """Give the score, computed once however many budgets choose by it; not to be changed."""
        return signals.once(("score", self), lambda: self.score(signals))

    def crop_shares(self, signals: Signals) -> tuple[float, Tensor] | None:
        """Give the whole picture's part of a budget and how crops 1..k share the rest, [k].

        None where crops have no budgets of their own.
        """
        return None

    def decoding_neuron_mask(self) -> Callable[[Neurons], Tensor] | None:
        """Give what chooses the neurons [I] that a layer may use in decoding; None uses all."""
        return None

    @property
    def full_cost(self) -> bool:
        """Tell whether all tokens are computed and cached whatever the budget: nothing is saved."""
        stages = self.schedule(LLAVA, self.floor(LLAVA))
        return any(stage.wipe_cache for stage in stages)

    @property
    def in_tower(self) -> bool:
        """Tell whether tokens leave, or become one, in a vision tower that runs again."""
        return False

    @property
    def grid_stride(self) -> int | None:
        """Give every how many rows and columns a patch stays for a while; None: there's no grid."""
        return None

    @property
    def spec(self) -> str:
        """Name the method, its variant and its changed options, always in the same way."""
        own = {name: getattr(self, name) for name in self.options()}
        usual = {name: each.values[0] for name, each in self.options().items()}
        readings = {self.card.key: usual}
        readings |= {
            f"{self.card.key}:{each.label}": usual | each.options for each in self.variants
        }
        changed = {
            reading: [f"{name}={value}" for name, value in own.items() if value != values[name]]
            for reading, values in readings.items()
        }
        nearest = min(changed, key=lambda reading: len(changed[reading]))
        return "?".join(filter(None, [nearest, "&".join(changed[nearest])]))

    @classmethod
    def traps(cls) -> str:
        """Say what a reader may get wrong: the card's, and what holds of all attention in a tower.

        Darcet et al., "Vision Transformers Need Registers", ICLR 2024, arXiv 2309.16588.
        """
        return f"{cls.card.traps} {SINKS}" if cls.needs & TOWER_ATTENTION else cls.card.traps

    @classmethod
    def options(cls) -> dict[str, Option]:
        """List the options by name; what becomes of positions comes last."""
        named = {each.name: each.metadata["option"] for each in fields(cls)}
        return dict(sorted(named.items(), key=lambda each: each[0] == "positions"))


@dataclass(frozen=True)
class BeforeLLM(Method):
    """A method that prunes once, before the language model: every layer sees the same tokens."""

    where = "before the LLM"
    positions: str = positions_option("renumber", "keep")

    def schedule(self, size: Size, budget: int) -> list[Stage]:
        """Give one stage that leaves `budget` tokens."""
        return [Stage(0, budget)]
