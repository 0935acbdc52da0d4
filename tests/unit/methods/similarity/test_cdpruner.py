"""What CDPruner does."""

from __future__ import annotations

import pytest
import torch
from random_signals import grid
from torch import Tensor
from torch.nn.functional import normalize

from explorer.errors import MethodUnavailable
from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity import cdpruner
from explorer.methods.similarity.cdpruner import CDPruner
from explorer.methods.similarity.volume import widest


def random(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def signals_of(
    features: Tensor, patch_embeds: Tensor | None = None, text: Tensor | None = None, views: int = 1
) -> Signals:
    """text: of the text tower if there are patch_embeds, else embeddings of the question."""
    n = len(features)
    paired = patch_embeds is not None
    return Signals(
        grid(1, n),
        features,
        patches=torch.arange(n)[:, None],
        hidden=torch.zeros(views, n // views, 1),
        question="where ?",
        embed=lambda _: text,
        patch_embeds=patch_embeds.reshape(views, n // views, -1) if paired else None,
        text_embeds=text if paired else None,
    )


def test_each_token_adds_most_to_the_determinant():
    """Greedy MAP by its definition: the determinant of the kernel of the chosen and one more."""
    x, r = normalize(random(8, 12).double(), dim=1), torch.linspace(0.2, 1, 8).double()
    kernel = r[:, None] * (x @ x.T) * r
    chosen: list[int] = []
    while len(chosen) < 8:
        rest = [j for j in range(8) if j not in chosen]
        chosen.append(
            max(rest, key=lambda j: float(kernel[[*chosen, j]][:, [*chosen, j]].logdet()))
        )
    assert widest(kernel).tolist() == chosen
    assert chosen[0] == 7, "the first token is the most relevant one"


def test_it_stops_where_nothing_new_can_be_added():
    x = random(10, 3)
    assert len(widest(x @ x.T)) == 3
    assert len(widest(torch.zeros(4, 4))) == 0
    assert widest(torch.ones(4, 4)).tolist() == [0]


def test_relevance_is_turned_around_with_a_text_tower_and_joint_over_crops():
    embeds = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]])
    text = torch.tensor([[2.0, 0.0]])
    signals = signals_of(random(4, 6), embeds, text, views=2)
    # cosines 1, 0, -1, .6; turned around and from 0 to 1 over both crops
    expected = torch.tensor([0.0, 0.5, 1.0, 0.2])
    assert torch.allclose(CDPruner().relevances(signals), expected, atol=1e-5)
    assert (CDPruner().relevances(signals) > 0).all()
    assert CDPruner().order(signals)[:2].tolist() == [1, 2], "each crop's most relevant token"


def test_several_texts_are_averaged_after_the_cosine():
    embeds, text = random(5, 4), random(3, 4, seed=6)
    mean = -(normalize(embeds, dim=1) @ normalize(text, dim=1).T).mean(1)
    r = CDPruner().relevances(signals_of(random(5, 6), embeds, text))
    assert r.argsort().tolist() == mean.argsort().tolist()


def test_without_a_text_tower_the_embedded_question_takes_its_place_with_the_sign_kept():
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    text = torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # their mean points along the first patch
    signals = signals_of(features, text=text)
    assert torch.allclose(CDPruner().relevances(signals), torch.tensor([1, 0.5, 0]), atol=1e-5)
    assert CDPruner().recipe(signals) == "llm-embed"
    with pytest.raises(MethodUnavailable, match="text tower"):
        CDPruner(relevance="clip").score(signals)


def test_with_a_text_tower_either_recipe_can_be_asked_for():
    signals = signals_of(random(6, 4), random(6, 4, seed=6), random(1, 4, seed=7))
    assert CDPruner().recipe(signals) == "clip"
    assert torch.equal(CDPruner().score(signals), CDPruner(relevance="clip").score(signals))
    other = CDPruner(relevance="llm-embed").relevances(signals)
    assert not torch.allclose(CDPruner().relevances(signals), other)


def test_the_stand_in_weighs_similarity_with_and_without_relevance_alike():
    features, r = random(3, 4), torch.tensor([1.0, 0.5, 0.0])
    similar = normalize(features.double(), dim=1)
    similar = similar @ similar.T
    plain, mixed = (cdpruner.kernel(features, r, mix) for mix in (False, True))
    assert torch.allclose(plain[0, 1], similar[0, 1] / 2)
    assert torch.allclose(mixed[0, 1], similar[0, 1] * 0.75)
    assert torch.allclose(mixed[2, 2], torch.tensor(0.5).double())


def test_when_the_rank_is_used_up_relevance_decides():
    """Vectors in a plane: two span it, the other eight follow by falling relevance."""
    features, embeds, text = random(10, 2), random(10, 3, seed=6), random(1, 3, seed=7)
    signals = signals_of(features, embeds, text)
    order, r = CDPruner().order(signals), CDPruner().relevances(signals)
    assert sorted(order.tolist()) == list(range(10))
    assert order[0] == r.argmax()
    assert (r[order[2:]].diff() < 0).all()


def test_duplicates_come_last():
    features = torch.eye(4)[[0, 0, 1, 1, 2]]
    signals = signals_of(features, random(5, 3), torch.zeros(1, 3))
    assert torch.equal(CDPruner().relevances(signals), torch.ones(5)), (
        "no difference, all are equal"
    )
    assert CDPruner().keep(signals, Stage(0, 3)).index.tolist() == [0, 2, 4]


def test_theta_weighs_relevance_against_diversity():
    signals = signals_of(random(5, 6), random(5, 3), random(1, 3, seed=7))
    r = CDPruner().relevances(signals)
    assert torch.allclose(CDPruner(theta=0.5).relevances(signals), (r / 2).exp())
