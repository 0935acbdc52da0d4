"""What ZOO-Prune does: sensitivity of the projector, times difference from what is kept."""

from __future__ import annotations

from dataclasses import replace

import torch
from random_signals import differing, grid, tower_signals

from explorer.methods.signals import Signals, Stage
from explorer.methods.similarity import zooprune
from explorer.methods.similarity.zooprune import ZooPrune


def test_a_linear_projector_is_as_sensitive_everywhere():
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    u = zooprune.directions(6, m=16)
    found = zooprune.sensitivity(torch.randn(5, 6), differing(lambda x: x @ matrix), u)
    assert torch.allclose(found, (u @ matrix).norm(dim=1).mean().expand(5), rtol=1e-3)


def test_the_estimate_is_the_length_of_the_derivative():
    """M(x) = x squared, place by place: J u = 2 x u."""
    x, u = torch.tensor([[1.0, 2], [3, 0]]), zooprune.directions(2, m=8)
    expected = (2 * x[:, None] * u).norm(dim=-1).mean(1)
    assert torch.allclose(
        zooprune.sensitivity(x, differing(lambda v: v**2), u), expected, rtol=1e-3
    )


def test_directions_are_unit_vectors_drawn_by_seed():
    assert torch.allclose(zooprune.directions(7, m=5).norm(dim=1), torch.ones(5))
    assert torch.equal(zooprune.directions(7, seed=2), zooprune.directions(7, seed=2))
    assert not torch.equal(zooprune.directions(7, seed=2), zooprune.directions(7, seed=3))


def test_the_heaviest_comes_first_then_weight_times_distance():
    features = torch.tensor([[1.0, 0], [1, 0.01], [0, 1], [-1, 0]])
    weight = torch.tensor([1.0, 0.9, 0.5, 0.1])
    # after 0: its twin 1 is at distance 0, 2 counts 1 x 0.5, 3 counts 2 x 0.1
    assert zooprune.order(weight, features).tolist() == [0, 2, 3, 1]


def test_the_least_sensitive_token_is_taken_last():
    plain = tower_signals("square")
    signals = replace(
        plain, project_difference=differing(lambda x: plain.project(x**3))
    )  # a linear one has no favourite
    u = zooprune.directions(signals.hidden.shape[-1])
    found = zooprune.sensitivity(signals.hidden[0], signals.project_difference, u)
    score = ZooPrune().score(signals)
    assert int(score.argmax()) == int(found.argmax())
    weight = zooprune.weights(found)
    assert weight.min() == 0 and abs(float(weight.max()) - 1) < 1e-5
    assert zooprune.weights(torch.ones(4)).tolist() == [1] * 4


def test_every_direction_counts_once_however_many_go_at_a_time():
    x, u = (
        torch.randn(4, 5, generator=torch.Generator().manual_seed(1)),
        zooprune.directions(5, m=19),
    )
    one_by_one = [zooprune.sensitivity(x, differing(torch.sin), direction[None]) for direction in u]
    expected = torch.stack(one_by_one).mean(0)
    assert torch.allclose(zooprune.sensitivity(x, differing(torch.sin), u), expected, rtol=1e-5)


def test_crops_choose_by_themselves_and_newlines_stay():
    """Two crops of 6 patches and a newline; the second is ten times as sensitive."""
    generator = torch.Generator().manual_seed(3)
    hidden = torch.rand(2, 6, 5, generator=generator)
    hidden[1] *= 10  # where M(x) is x squared
    place = torch.cat([grid(2, 3), grid(2, 3, 1), torch.tensor([[-1, -1, -1]])])
    patches = torch.arange(13)[:, None]
    patches[12] = -1
    features = torch.randn(13, 5, generator=generator)
    signals = Signals(
        place, features, patches=patches, hidden=hidden, project_difference=differing(torch.square)
    )
    kept = ZooPrune().keep(signals, Stage(0, 7)).index.tolist()
    assert kept[-1] == 12
    for view, tokens in ((0, range(6)), (1, range(6, 12))):
        found = zooprune.sensitivity(
            hidden[view], signals.project_difference, zooprune.directions(5)
        )
        chosen = zooprune.order(zooprune.weights(found), features[list(tokens)])[:3] + tokens[0]
        assert [token for token in kept if token in tokens] == sorted(chosen.tolist())


def test_patches_that_the_projector_joins_are_nudged_alike():
    """Tokens of two patches; M(x) is x squared, whose derivative along (u, u) is 2 x (u, u)."""
    hidden = torch.rand(1, 8, 3, generator=torch.Generator().manual_seed(2))
    patches, x = torch.arange(8).view(4, 2), hidden.view(4, 6)
    u = zooprune.directions(3)
    steep = torch.zeros(4)
    for token in range(4):
        for direction in u:
            steep[token] += (2 * x[token] * torch.cat([direction, direction])).norm() / len(u)
    signals = Signals(
        grid(2, 2),
        x**2,
        patches=patches,
        hidden=hidden,
        patches_per_token=2,
        project_difference=differing(torch.square),
    )
    chosen = zooprune.order(zooprune.weights(steep), x**2)
    assert ZooPrune().score(signals).argsort(descending=True).tolist() == chosen.tolist()
