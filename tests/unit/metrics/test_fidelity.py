"""What it means that an answer stayed the same: probabilities, distances and words."""

from __future__ import annotations

import math

import pytest
import torch

from explorer.metrics import fidelity


def logits(*rows: list[float]) -> torch.Tensor:
    """Logits whose softmax is the given probabilities, shifted as a model's would be."""
    return torch.tensor(rows).log() + 3


def test_probability_of_an_answer_is_the_product_over_its_tokens():
    said = logits([0.5, 0.25, 0.25], [0.1, 0.1, 0.8])
    assert fidelity.probability(said, [0, 2]) == pytest.approx(0.4)
    assert fidelity.probability(said, (1, 0)) == pytest.approx(0.025)


def test_lost_log_probability_is_a_mean_over_tokens_in_nats():
    full = logits([0.5, 0.25, 0.25], [0.1, 0.1, 0.8])
    pruned = logits([0.25, 0.5, 0.25], [0.1, 0.5, 0.4])
    assert fidelity.log_probability_loss(full, pruned, [0, 2]) == pytest.approx(math.log(2))
    assert fidelity.log_probability_loss(full, full, [0, 2]) == 0
    assert fidelity.log_probability_loss(full, pruned, [1, 1]) < 0  # pruning made it likelier
    each = fidelity.token_losses(full, pruned, [0, 1])
    torch.testing.assert_close(each, torch.tensor([2.0, 0.2]).log(), msg="token by token")


def test_rows_and_tokens_must_match():
    """A missing token would otherwise be scored as if it were not there."""
    said = logits([0.5, 0.5], [0.5, 0.5])
    for tokens in ([], [0], [0, 1, 0]):
        with pytest.raises(ValueError, match="2 rows"):
            fidelity.probability(said, tokens)
    with pytest.raises(ValueError, match="1 rows"):
        fidelity.log_probability_loss(said, said[:1], [0, 1])


def test_kl_punishes_mass_that_pruning_loses():
    full, pruned = logits([0.5, 0.5], [0.5, 0.5]), logits([0.5, 0.5], [0.9, 0.1])
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    torch.testing.assert_close(fidelity.kl(full, pruned), torch.tensor([0.0, expected]))
    backwards = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(fidelity.kl(pruned, full)[1]) == pytest.approx(backwards)


def test_kl_is_the_distance_that_torch_computes():
    generator = torch.Generator().manual_seed(0)
    full, pruned = torch.randn(2, 4, 100, generator=generator) * 5
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=full), torch.distributions.Categorical(logits=pruned)
    )
    torch.testing.assert_close(fidelity.kl(full, pruned), theirs)


def test_kl_of_impossible_tokens():
    full, pruned = logits([1.0, 0.0, 0.0]), logits([0.5, 0.5, 0.0])
    assert float(fidelity.kl(full, pruned)[0]) == pytest.approx(math.log(2))
    assert float(fidelity.kl(pruned, full)[0]) == math.inf


def test_kl_is_never_negative_by_rounding():
    said = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0)) * 10
    assert float(fidelity.kl(said, said + 1e-6).min()) >= 0


def test_kl_does_not_stretch_one_row_over_many():
    with pytest.raises(ValueError, match="logits"):
        fidelity.kl(torch.zeros(3, 5), torch.zeros(1, 5))


def test_half_precision_logits_are_compared_in_float32():
    said = logits([0.5, 0.25, 0.25]).half()
    assert fidelity.kl(said, said).dtype == torch.float32
    assert fidelity.probability(said, [0]) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The cat.", "cat"),
        ("  A red,\n round BALL! ", "red round ball"),
        ("an apple; the pear", "apple pear"),
        ("T-shirt", "t shirt"),
        ("it's", "its"),
        ("it’s", "its"),
        ("“Stop”", "stop"),
        ("theatre and another", "theatre and another"),
        ("A.", "a"),
        ("...", ""),
    ],
)
def test_normalise(text: str, plain: str):
    assert fidelity.normalise(text) == plain
    assert fidelity.normalise(plain) == plain


def test_agreement_is_of_words_not_of_letters_and_dots():
    assert fidelity.agrees("A red ball.", "red Ball")
    assert not fidelity.agrees("red ball", "ball red")
    assert not fidelity.agrees("3.5", "35")
    assert not fidelity.agrees("A", "The")


def test_kept_sets_are_compared_by_their_tokens():
    a, b = torch.tensor([1, 3, 5, 7]), [7, 5, 2, 0]
    assert fidelity.overlap(a, b, 4) == 0.5
    assert fidelity.overlap(a, a, 4) == 1
    assert fidelity.overlap(a, [0, 2], 4) == 0
