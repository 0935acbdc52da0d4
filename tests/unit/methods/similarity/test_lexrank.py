"""What LexRank does, on graphs that fit on a page."""

from __future__ import annotations

import torch
from random_signals import grid

from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity import lexrank
from explorer.methods.similarity.lexrank import LexRank

# a star: 0 is like 1, 2 and 3, which are not like each other; 4 is alone
STAR = torch.tensor([[1, 1, 1.0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]])


def cosine(x: torch.Tensor) -> torch.Tensor:
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    return unit @ unit.T


def test_degree_counts_neighbours_and_oneself():
    assert lexrank.centrality(cosine(STAR), "degree", 0.5).tolist() == [4, 2, 2, 2, 1]


def test_a_walk_is_most_often_in_the_middle_of_a_star():
    p = lexrank.centrality(cosine(STAR), "threshold", 0.5)
    assert abs(float(p.sum()) - 1) < 1e-9
    assert int(p.argmax()) == 0
    assert abs(float(p[4]) - 1 / 5) < 1e-9, "who is alone keeps an equal share"
    # what arrives at 0: a hop, its own quarter, and half of each ray
    f = LexRank().damping
    assert abs(float(p[0] - ((1 - f) / 5 + f * (p[0] / 4 + p[1] / 2 * 3)))) < 1e-9


def test_the_solved_walk_is_where_walking_ends():
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(2)) + 0.4
    for kind in ("threshold", "continuous"):
        graph = cosine(x)
        weight = (graph > 0.5).double() if kind == "threshold" else graph.clamp(min=0)
        walk = weight / weight.sum(1, keepdim=True)
        for damping in LexRank.options()["damping"].values:
            p = torch.full((20,), 1 / 20).double()
            for _ in range(600):
                p = (1 - damping) / 20 + damping * walk.T @ p
            assert torch.allclose(lexrank.centrality(graph, kind, 0.5, damping), p, atol=1e-9)


def test_copies_win_unless_they_have_to_wait():
    x = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    signals = Signals(grid(1, 6), x)
    # each copy is as central as the next; three of a kind come before two, and two before one
    assert LexRank(kind="degree").keep(signals, Stage(0, 3)).index.tolist() == [0, 1, 2]
    reranked = LexRank(kind="degree", rerank=True).keep(signals, Stage(0, 3))
    assert reranked.index.tolist() == [0, 3, 5]


def test_auto_links_a_fifth_of_the_pairs():
    x = torch.randn(40, 8, generator=torch.Generator().manual_seed(3))
    degree = lexrank.centrality(cosine(x), "degree", "auto")
    assert int((degree - 1).sum()) == 2 * round(0.2 * 40 * 39 / 2)
    assert lexrank.centrality(cosine(x[:1]), "degree", "auto").tolist() == [1]


def test_rerank_spelled_out_with_loops():
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(6))
    signals, graph = Signals(grid(4, 6), x), cosine(x)
    ranking = torch.argsort(LexRank().score(signals), descending=True, stable=True).tolist()
    for budget in (1, 3, 6, 15, 24):
        kept: list[int] = []
        for token in ranking:
            if all(graph[token, other] <= lexrank.ALIKE for other in kept):
                kept.append(token)
        kept += [token for token in ranking if token not in kept]
        found = LexRank(rerank=True).keep(signals, Stage(0, budget)).index
        assert found.tolist() == sorted(kept[:budget])


def test_centring_removes_what_all_patches_have_in_common():
    x = STAR + 50  # every cosine is now nearly 1
    signals = Signals(grid(1, 5), x)
    assert LexRank(kind="degree").score(signals).tolist() == [5] * 5
    around = cosine(STAR - STAR.mean(0))
    expected = lexrank.centrality(around, "degree", 0.5).tolist()
    assert LexRank(kind="degree", centred=True).score(signals).tolist() == expected


def test_a_walk_that_jumps_more_tells_less_apart():
    """Damping weighs links against a jump to anywhere: without links all are equal."""
    signals = Signals(grid(1, 5), STAR)
    spread = [LexRank(damping=f).score(signals).std() for f in (0.5, 0.7, 0.85, 0.95)]
    assert spread == sorted(spread) and spread[0] < spread[-1]
    assert torch.equal(LexRank().score(signals), LexRank(damping=0.85).score(signals))
