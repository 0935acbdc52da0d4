"""What MMTok does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from random_signals import WIDTH, grid, tower_signals
from torch import Tensor

from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity.keywords import NOTHING_ASKED, keywords
from explorer.methods.similarity.mmtok import MMTok


def signals_of(
    features: Tensor, hidden: Tensor, text: Tensor, padding: tuple[int, ...] = (), views: int = 1
) -> Signals:
    n = len(features)
    return Signals(
        grid(1, n),
        features,
        patches=torch.arange(n)[:, None],
        hidden=hidden.reshape(views, n // views, -1),
        question="where is the red square ?",
        embed=lambda _: text,
        padding=torch.tensor([i in padding for i in range(n)]),
    )


def random(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def softmaxed_cosines(a: list, b: list, temperature: float) -> list[list[float]]:
    def cosine(x: list, y: list) -> float:
        return sum(p * q for p, q in zip(x, y, strict=True)) / (math.hypot(*x) * math.hypot(*y))

    rows = [[math.exp(cosine(x, y) / temperature) for y in b] for x in a]
    return [[value / sum(row) for value in row] for row in rows]


def test_mmtok_covers_words_and_picture_one_token_after_the_other():
    """Maximum coverage, spelled out: try every token, take the one that raises f(S) most."""
    features, hidden, text = random(9, 6), random(9, 4, seed=6), random(3, 6, seed=7)
    words = softmaxed_cosines(text.tolist(), features.tolist(), 0.02)
    picture = softmaxed_cosines(hidden.tolist(), hidden.tolist(), 0.2)

    def covered(chosen: list[int]) -> float:
        by_words = sum(max(row[j] for j in chosen) for row in words) / 3
        by_picture = sum(max(row[j] for j in chosen) for row in picture) / 9
        return by_words + 0.5 * by_picture

    expected: list[int] = []
    while len(expected) < 9:
        rest = [j for j in range(9) if j not in expected]
        expected.append(max(rest, key=lambda j: covered([*expected, j])))
    signals = signals_of(features, hidden, text)
    assert MMTok().order(signals, 9).tolist() == expected
    assert MMTok().score(signals).argsort(descending=True).tolist() == expected
    assert MMTok().keep(signals, Stage(0, 4)).index.tolist() == sorted(expected[:4])


def test_a_patch_that_a_word_names_comes_before_its_equals():
    """Four patches that look alike; after the projector, the third is what the word means."""
    features = torch.eye(4)
    signals = signals_of(features, torch.ones(4, 2), features[2:3])
    assert MMTok().order(signals, 1)[0] == 2


def test_without_weight_on_the_picture_only_words_count():
    hidden = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    signals = signals_of(torch.eye(4), hidden, torch.tensor([[0.0, 0, 0, 1]]))
    assert MMTok(alpha=0.0).order(signals, 1)[0] == 3
    # with a great weight, one of the three that are alike covers most
    assert MMTok(alpha=9.0).order(signals, 1)[0] == 3
    assert MMTok(alpha=9.0).order(signals, 2)[1] == 2


def test_a_question_without_tokens_leaves_the_picture():
    signals = signals_of(random(6, 4), random(6, 3), torch.zeros(0, 4))
    assert sorted(MMTok().order(signals, 6).tolist()) == list(range(6))


def test_padding_is_chosen_last_but_counts_as_something_to_cover():
    features, hidden, text = random(8, 6), random(8, 4, seed=6), random(2, 6, seed=7)
    free = MMTok().order(signals_of(features, hidden, text), 8).tolist()
    padding = tuple(free[:3])
    order = MMTok().order(signals_of(features, hidden, text, padding), 8).tolist()
    assert set(order[:5]) == set(free[3:])
    assert order[5:] == sorted(padding)
    alone = MMTok().cover(text, features, hidden)
    assert alone.shape == (2 + 8, 8)


def test_every_crop_chooses_by_itself_and_gets_the_same_number():
    features, hidden, text = random(8, 6), random(8, 4, seed=6), random(2, 6, seed=7)
    both = MMTok().order(signals_of(features, hidden, text, views=2), 8)
    left, right = (
        MMTok().order(signals_of(features[part], hidden[part], text), 4)
        for part in (slice(4), slice(4, 8))
    )
    assert both[0::2].tolist() == left.tolist()
    assert both[1::2].tolist() == (right + 4).tolist()


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("What color is the dog ?", "color dog"),
        ("Is there NOT a cat on it?", "there NOT cat on"),
        ("Which one? A. red B. blue", "one red B blue"),
        ("what is it ?", "what is it ?"),
        ("How many?\nAnswer the question using a single word or phrase.", "many"),
        ("", ""),
    ],
)
def test_keywords(question, left):
    assert keywords(question) == left


def test_the_embeddings_are_those_of_the_keywords():
    asked = []

    def embed(text: str) -> Tensor:
        asked.append(text)
        return torch.ones(1, WIDTH)

    for question in ("what is left of the red square ?", " "):
        MMTok().score(replace(tower_signals("square"), embed=embed, question=question))
    assert asked == ["left of red square", keywords(NOTHING_ASKED)]
