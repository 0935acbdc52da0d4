"""What each word of the full answer loses by pruning, so that one sees which word broke.

Knows answers; not how they were computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.cases.records import Answer, words_of


@dataclass(frozen=True)
class WordLoss:
    """A word of the full answer: log p with all tokens minus log p pruned, nats.

    Each word is given the full answer before it (teacher forcing). Negative: pruning made it
    likelier.
    """

    text: str
    loss: float


def word_losses(full: Answer, pruned: Answer) -> tuple[WordLoss, ...]:
    """Add up the losses of each word's tokens; those of the answer's end belong to no word."""
    losses = pruned.token_losses
    if len(losses) < len(full.tokens):
        return ()
    return tuple(
        WordLoss(text, sum(losses[first:behind])) for text, first, behind in words_of(full.tokens)
    )


def worst_in_words(losses: Sequence[WordLoss]) -> str:
    """Name the word of the full answer that loses most, if one loses anything to speak of."""
    worst = max(losses, key=lambda word: word.loss, default=None)
    if worst is None or worst.loss < 0.1:
        return ""
    return f" Of the full answer “{worst.text}” loses most: {worst.loss:.1f} nats."
