"""The rules by which an answer is scored, and which of them suits a question.

Knows texts; not pictures or models.
"""

from __future__ import annotations

from collections.abc import Sequence

from explorer.metrics.effects.pope import says_yes
from explorer.metrics.fidelity import agrees
from explorer.metrics.scoring.choice_letter import LETTERS, letter_of
from explorer.metrics.scoring.vqa_accuracy import ANNOTATORS, vqa_accuracy

RULES = {
    "vqa": "VQA accuracy: what share of people gave that answer",
    "exact": "the same as one of the accepted answers, but for case, punctuation and articles",
    "yesno": "yes or no, read as POPE does",
    "choice": "the letter of the right choice",
}
YES_NO = ("yes", "no")


def rule_for(accepted: Sequence[str], choices: Sequence[str] = ()) -> str:
    """Name the rule that suits a question, a key of `RULES`.

    With choices a letter is asked for; ten answers are those of ten people, as in VQAv2; yes or no
    is POPE's; everything else has to match one of the accepted answers.
    """
    if choices:
        return "choice"
    if len(accepted) == ANNOTATORS:
        return "vqa"
    words = {each.strip().lower() for each in accepted}
    return "yesno" if len(words) == 1 and words <= set(YES_NO) else "exact"


def score(rule: str, said: str, accepted: Sequence[str], choices: Sequence[str] = ()) -> float:
    """Score an answer, 0 to 1. accepted: at least one answer that counts as right.

    Raises ValueError where no accepted answer is one that the rule knows.
    """
    match rule:
        case "vqa":
            return vqa_accuracy(said, accepted)
        case "exact":
            return float(any(agrees(said, each) for each in accepted))
        case "yesno":
            return float(says_yes(said) == is_yes(accepted))
        case "choice":
            return float(letter_of(said, choices) in right_letters(accepted, choices))
    raise ValueError(f"no rule {rule!r}")


def is_yes(accepted: Sequence[str]) -> bool:
    """Tell whether yes is right; ValueError where the accepted answers are neither yes nor no."""
    words = {each.strip().lower().rstrip(".") for each in accepted}
    if len(words) != 1 or not words <= set(YES_NO):
        raise ValueError("the accepted answer is neither yes nor no")
    return words == {"yes"}


def right_letters(accepted: Sequence[str], choices: Sequence[str] = ()) -> set[str]:
    """Name the letters of the accepted answers, which are letters or choices written out.

    ValueError where one is neither.
    """
    written = {}
    for letter, choice in zip(LETTERS, choices, strict=False):
        written.setdefault(choice.strip().lower(), letter)
    found = set()
    for each in accepted:
        text = each.strip().strip("().").strip()
        allowed = LETTERS[: len(choices)] if choices else LETTERS
        letter = written.get(each.strip().lower()) or (text.upper() if len(text) == 1 else "")
        if not letter or letter not in allowed:
            raise ValueError(f"the accepted answer {each[:40]!r} is none of the choices")
        found.add(letter)
    return found
