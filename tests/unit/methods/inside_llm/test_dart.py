"""What DART does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_signals import WIDTH, grid
from torch import Tensor
from torch.nn.functional import cosine_similarity

from explorer.errors import BadBudget
from explorer.methods.inside_llm import dart
from explorer.methods.inside_llm.dart import DART
from explorer.methods.signals import Signals, Size, Stage

START, N, TAIL = 35, 30, 7


def made(seed: int = 5) -> Signals:
    generator = torch.Generator().manual_seed(seed)
    return Signals(
        grid(5, 6),
        torch.zeros(N, WIDTH),
        normed=torch.randn(N, WIDTH, generator=generator),
        tail_normed=torch.randn(TAIL, WIDTH, generator=generator),
        key_norms=torch.rand(N, generator=generator),
        tail_key_norms=torch.rand(TAIL, generator=generator),
        n_leading_tokens=START,
    )


def longest(norms: Tensor, count: int) -> list[int]:
    return sorted(range(len(norms)), key=lambda i: -float(norms[i]))[:count]


def released(signals: Signals, per: int) -> set[int]:
    """The code with 4 + 4 pivots, spelled out in absolute positions."""
    image = [START + i for i in longest(signals.key_norms, 4)]
    text = [START + N + i for i in longest(signals.tail_key_norms, 4)]
    state = dict(enumerate([*signals.normed, *signals.tail_normed], START))
    kept, left = set(image), set(range(START, START + N)) - set(image)
    for pivot in list(set(image + text)):
        by_likeness = sorted(left, key=lambda i: cosine_similarity(state[pivot], state[i], dim=0))
        kept |= set(by_likeness[:per])
        left -= set(by_likeness[:per])
    return {position - START for position in kept}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("per", [0, 1, 2, 3])
def test_each_pivot_takes_what_is_least_like_it(seed, per):
    signals = made(seed)
    kept = DART().keep(signals, Stage(2, 4 + 8 * per)).index
    assert set(kept.tolist()) == released(signals, per)


def test_a_remainder_is_added_to_what_the_code_keeps():
    """Asked for 17 = 4 + 8 + 5: the code's 12, and one more for each of the first five pivots."""
    signals = made()
    twelve, seventeen = (
        set(DART().keep(signals, Stage(2, keep)).index.tolist()) for keep in (12, 17)
    )
    assert twelve == released(signals, 1) and twelve < seventeen and len(seventeen) == 17
    _, everyone = dart.pivots(signals)
    state = torch.cat([signals.normed, signals.tail_normed])
    left = sorted(set(range(N)) - twelve)
    likeness = cosine_similarity(state[everyone[0]], state[left], dim=1)
    assert left[int(likeness.argmin())] in seventeen


def test_fewer_than_four_tokens_are_the_longest_keys():
    signals = made()
    for keep in (1, 2, 3, 4):
        kept = DART().keep(signals, Stage(2, keep)).index.tolist()
        assert kept == sorted(longest(signals.key_norms, keep))


def test_the_order_of_the_pivots_matters_and_can_be_chosen():
    signals = made()
    visual = longest(signals.key_norms, 4)
    words = [N + i for i in longest(signals.tail_key_norms, 4)]
    assert dart.pivots(signals, order="norm") == (visual, visual + words)
    by_set = [p - START for p in list(set([START + p for p in visual + words]))]
    assert dart.pivots(signals)[1] == by_set
    others = [
        not torch.equal(
            DART().keep(made(seed), Stage(2, 12)).index,
            DART(order="norm").keep(made(seed), Stage(2, 12)).index,
        )
        for seed in range(5)
    ]
    assert any(others)


def test_words_are_pivots_but_are_never_kept():
    """Only a word's state sets tokens apart here, and it is least like the last token."""
    signals = made()
    same = torch.ones(N, 2)
    same[N - 1] = torch.tensor([1.0, -3.0])
    signals = replace(signals, normed=same, tail_normed=torch.ones(TAIL, 2))
    signals = replace(signals, key_norms=torch.arange(N).flip(0).float())
    kept = DART().keep(signals, Stage(2, 12)).index.tolist()
    assert N - 1 in kept and max(kept) < N
    assert kept[:4] == [0, 1, 2, 3]


def test_the_score_is_unlikeness_with_the_pivots_on_top():
    signals = made()
    scores = DART().score(signals)
    visual, everyone = dart.pivots(signals)
    state = torch.cat([signals.normed, signals.tail_normed])
    for token in range(N):
        if token in visual:
            assert scores[token] == scores.max()
        else:
            alike = cosine_similarity(state[token], state[everyone], dim=1).max()
            assert scores[token] == pytest.approx(1 - float(alike), abs=1e-5)


def test_two_layers_see_everything_and_the_others_a_number_that_makes_the_mean():
    """Published: 132 tokens after layer 2 of 32, a mean of (2 * 576 + 30 * 132) / 32 = 160."""
    size = Size(576, 32, 24)
    assert DART().schedule(size, 160) == [Stage(2, 132)]
    assert DART().floor(size) == 37
    assert DART().schedule(size, 37) == [Stage(2, 1)]
    assert DART().positions == "keep"
    with pytest.raises(BadBudget, match="smaller than 37"):
        DART().schedule(size, 36)


def test_steps_of_eight_only_add_tokens():
    signals = made()
    sets = [set(DART().keep(signals, Stage(2, 4 + 8 * m)).index.tolist()) for m in range(4)]
    assert sets[0] < sets[1] < sets[2] < sets[3]
