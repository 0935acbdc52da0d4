"""What relevance does, with numbers small enough to follow by hand."""

from __future__ import annotations

import pytest
import torch
from random_signals import WIDTH, grid

from explorer.cases.method_maps import plan_of
from explorer.errors import MethodUnavailable
from explorer.methods.attention import relevance
from explorer.methods.attention.relevance import Relevance
from explorer.methods.observed import AnswerGradient
from explorer.methods.signals import Signals, Size, Stage

VISUAL = torch.tensor([0, 1])


def explained(attention: list, gradient: list, row: int = 2) -> AnswerGradient:
    return AnswerGradient(torch.tensor(attention), torch.tensor(gradient), row, VISUAL)


def signals(*steps: AnswerGradient, count: int = 2) -> Signals:
    return Signals(grid(1, count), torch.zeros(count, WIDTH), explain=lambda target: iter(steps))


ATTENTION = [[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]]
ONES = [[1.0] * 3] * 3


def test_one_layer_is_attention_times_gradient():
    step = explained([[ATTENTION]], [[[[0.0] * 3, [0.0] * 3, [2.0, 1.0, 4.0]]]])
    assert torch.allclose(relevance.row_of(step), torch.tensor([0.4, 0.3, 1 + 2.0]))
    assert torch.allclose(Relevance().score(signals(step)), torch.tensor([0.4, 0.3]))


def test_negative_heads_are_cut_off_before_the_mean():
    heads = [[[1.0] * 3] * 3, [[-1.0] * 3] * 3]  # their mean is zero
    step = explained([[ATTENTION, ATTENTION]], [heads])
    assert torch.allclose(Relevance().score(signals(step)), torch.tensor([0.1, 0.15]))


def test_relevance_flows_through_other_positions_of_earlier_layers():
    """The last position looks only at position 1, which in the layer before looked at 0."""
    first = [[1.0, 0, 0], [0.6, 0.4, 0], [0.0, 0, 1]]
    second = [[1.0, 0, 0], [0.0, 1, 0], [0.0, 1, 0]]
    step = explained([[first], [second]], [[ONES], [ONES]])
    # (e + C2's row) = [0, 1, 1], and then C1 sends 0.6 of position 1 to 0 and 0.4 back to 1
    assert torch.allclose(Relevance().score(signals(step)), torch.tensor([0.6, 1.4]))


def test_the_row_equals_the_whole_product_of_matrices():
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(4, 3, 9, 9, generator=generator).tril()
    gradient = torch.randn(4, 3, 9, 9, generator=generator)
    whole = torch.eye(9)
    for a, g in zip(attention, gradient, strict=True):
        whole = whole + (a * g).clamp(min=0).mean(0) @ whole
    for row in (5, 8):
        step = AnswerGradient(attention, gradient, row, VISUAL)
        assert torch.allclose(relevance.row_of(step), whole[row], rtol=1e-5)


def test_a_score_is_the_mean_over_the_answer():
    once = explained([[ATTENTION]], [[ONES]])
    twice = explained([[ATTENTION]], [[[[3.0] * 3] * 3]])
    assert torch.allclose(Relevance().score(signals(once, twice)), torch.tensor([0.4, 0.6]))


def test_an_answer_without_a_token_says_nothing_about_any_patch():
    silent = signals(count=4)
    assert Relevance().score(silent).tolist() == [0, 0, 0, 0]
    assert Relevance().keep(silent, Stage(0, 2)).index.tolist() == [0, 1]


def test_the_target_is_passed_on():
    asked = []
    kept = Signals(
        grid(1, 2), torch.zeros(2, WIDTH), explain=lambda target: iter(asked.append(target) or ())
    )
    Relevance().score(kept)
    Relevance(target="logprob").score(kept)
    assert asked == ["logit", "logprob"]


def test_positions_may_be_kept():
    size = Size(9, 4, 3)
    assert plan_of(Relevance(), size, 4).renumber
    assert not plan_of(Relevance(positions="keep"), size, 4).renumber


def test_a_model_without_gradients_is_refused_in_words():
    with pytest.raises(MethodUnavailable, match="gradients"):
        Relevance().score(Signals(grid(1, 2), torch.zeros(2, WIDTH)))


def test_the_card_says_that_it_uses_the_answer():
    assert "oracle" in Relevance.card.title
    assert "uses the answer" in Relevance.card.sentence
