"""What a diagnosis says, in words: the sentence of the verdict, and whether an answer is right.

Pure: texts in, texts out. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.analyses.diagnosis.verdict import Verdict
from explorer.metrics.fidelity import agrees


@dataclass(frozen=True)
class RightAnswer:
    """What answers are measured by: the truth, or the full answer where nobody knows the truth."""

    truth: str | None
    full: str

    @property
    def text(self) -> str:
        """The answer that counts as right."""
        return self.full if self.truth is None else self.truth

    def is_given_by(self, text: str) -> bool:
        """Tell whether a text says the same, articles and punctuation aside."""
        return agrees(text, self.text)

    def judged(self, text: str) -> str:
        """Quote an answer and say how it compares: "“a duck”, which is wrong"."""
        return f"{quoted(text)}, which is {self.judgement(text)}"

    def judgement(self, text: str) -> str:
        """Say whether an answer is right, or equals the full answer where that is all we know."""
        given = self.is_given_by(text)
        if self.truth is None:
            return "the full answer" if given else "not the full answer"
        return "right" if given else "wrong"


def quoted(text: str) -> str:
    """Put an answer in quotation marks; say so where there is none."""
    return f"“{text}”" if text else "nothing"


@dataclass(frozen=True)
class Reasons:
    """What the sentence of a verdict may need. method: its title; full, pruned: the two answers.

    old: whether the other way to count positions keeps the old ones; returned, spread: patches in
    words, those whose return restores the answer and those that it rests on but that were dropped.
    """

    method: str
    budget: int
    right: RightAnswer
    full: str
    pruned: str
    blind: str = ""
    old: bool = True
    returned: str = ""
    spread: str = ""


def sentence_of(verdict: Verdict, why: Reasons) -> str:
    """Say a verdict in one sentence, with its reason."""
    says = quoted(why.right.text)
    blindly = ", which it says without any patch, too" if why.right.is_given_by(why.blind) else ""
    at = f"{why.method} at {why.budget}"
    if verdict is Verdict.MODEL_WRONG:
        after = quoted(why.pruned)
        pruned = f"{after}, which is right" if why.right.is_given_by(why.pruned) else after
        return (
            f"The model was wrong anyway: with all tokens it says {quoted(why.full)}, right is "
            f"{says}; after pruning it says {pruned}."
        )
    if verdict is Verdict.NOTHING_BROKE:
        return f"Nothing broke: from what {at} keeps it says {quoted(why.pruned)}, too."
    if verdict is Verdict.NOT_LOOKING:
        kept = (
            "so that this case proves nothing about the method"
            if why.right.is_given_by(why.pruned)
            else f"and what {at} keeps misleads it to {quoted(why.pruned)}"
        )
        return (
            f"It answers without looking: with no patch at all it says {quoted(why.blind)}, {kept}."
        )
    if verdict is Verdict.POSITIONS:
        way = "with their old positions" if why.old else "with positions counted anew"
        return f"Positions shifted: from the same tokens {way} it says {says}{blindly}."
    if verdict is Verdict.MERGED:
        return (
            f"Merging blurred the evidence: from the same patches, none merged, it says "
            f"{says}{blindly}."
        )
    if verdict is Verdict.LAYERS:
        return (
            f"What matters is where tokens leave: from the same patches, the others dropped at "
            f"once before the language model, it says {says}{blindly}."
        )
    if verdict is Verdict.EVIDENCE:
        return f"The evidence was dropped: with {why.returned} back it says {says}."
    spread = f"; what it rests on and lacks is {why.spread}" if why.spread else ""
    return f"Not explained: no few dropped patches that were tried restore {says}{spread}."


def as_sentence(text: str) -> str:
    """Begin with a capital letter and end with a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def names_in_words(names: Sequence[str], one: str = "is", several: str = "are") -> str:
    """Say who, with a verb: "A and B are", "none is"."""
    if not names:
        return f"none of the others {one}"
    head = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{head} {several if len(names) > 1 else one}"
