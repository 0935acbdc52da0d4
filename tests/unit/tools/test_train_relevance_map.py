"""The network of `relevance_map`, how it is trained, and the one that is shipped for pico."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
import torch

from explorer.cases.answers import full_run
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.inference.gradients import gradients
from explorer.methods.attention import relevance_net
from explorer.methods.attention.relevance import Relevance
from explorer.methods.attention.relevance_net import RelevanceNet
from explorer.methods.signals import Signals
from explorer.pico.data import questions, scenes
from explorer.tools.calibration import train_relevance_map
from explorer.vlm.loader import default_loader

SMALL = (4, 8)


def made(n: int = 64, tokens: int = 24) -> train_relevance_map.Samples:
    """Pictures whose relevance is what the left neighbour's attention was."""
    attention = torch.rand(n, tokens, generator=torch.Generator().manual_seed(3)) ** 4
    return train_relevance_map.Samples(attention, attention.roll(1, dims=1))


def fresh(seed: int = 0, widths: tuple[int, ...] = SMALL) -> RelevanceNet:
    torch.manual_seed(seed)
    return RelevanceNet(widths, kernel=3)


# ---- the network --------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 7, 576])
def test_any_number_of_tokens_gets_shares_that_add_up_to_one(tokens):
    shares = fresh()(torch.rand(tokens))
    assert shares.shape == (tokens,)
    assert shares.min() >= 0
    assert float(shares.detach().sum()) == pytest.approx(1, abs=1e-5)
    assert fresh()(torch.zeros(tokens)).isfinite().all()


def test_only_the_shape_of_the_attention_counts():
    attention = torch.rand(30)
    assert torch.allclose(fresh()(attention), fresh()(attention / 30), atol=1e-6)


def test_a_token_hears_of_its_neighbours_alone():
    """Two layers with kernels of three reach two tokens to either side."""
    net, attention = fresh(), torch.ones(1, 21)
    near = attention.clone()
    near[0, 8], near[0, 2] = 2, 0  # the mean stays
    moved = (net.logits(near) - net.logits(attention))[0].abs() > 1e-7
    assert moved.nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_the_published_widths():
    net = RelevanceNet(kernel=3)
    pointwise = [layer for layer in net.layers if getattr(layer, "kernel_size", 0) == (1,)]
    assert [layer.out_channels for layer in pointwise] == [32, 64, 128, 256, 512, 1]
    depthwise = [layer for layer in net.layers if getattr(layer, "kernel_size", 0) == (3,)]
    assert [layer.groups for layer in depthwise] == [1, 32, 64, 128, 256]


@pytest.mark.parametrize("widths", [SMALL, relevance_net.WIDTHS])
def test_weights_come_back_from_a_small_file(tmp_path, widths):
    net, file = fresh(widths=widths), tmp_path / "some" / "net.safetensors"
    relevance_net.save(net, file, {"scenes": "2"})
    assert file.stat().st_size < 1_000_000
    again = relevance_net.load(file)
    attention = torch.rand(40)
    assert torch.allclose(again(attention), net(attention), rtol=0.02)
    assert not any(weight.requires_grad for weight in again.parameters())
    assert relevance_net.load(tmp_path / "none.safetensors") is None


# ---- training -----------------------------------------------------------------------------------


def test_labels_forget_the_lower_half():
    found = torch.tensor([[1.0, 6, 3, 2], [5, 5, 5, 5], [0, 0, 0, 0]])
    wanted = torch.tensor([[0, 6 / 9, 3 / 9, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 0]])
    assert torch.allclose(train_relevance_map.labels(found), wanted)
    assert torch.allclose(
        train_relevance_map.labels(torch.tensor([[1.0, 2, 4]])), torch.tensor([[0, 1, 2]]) / 3
    )


def test_training_learns_what_there_is_to_learn():
    net, samples = fresh(), made(128)
    before = train_relevance_map.judge(net.logits(samples.attention).softmax(-1).detach(), samples)
    losses = train_relevance_map.fit(net, samples, epochs=300)
    after = train_relevance_map.judge(net.logits(samples.attention).softmax(-1).detach(), samples)
    assert losses[-1] < 0.5 * losses[0]
    assert after.overlap > 0.8 > before.overlap
    assert after.spearman > 0.8 > before.spearman


def test_the_same_seed_gives_the_same_weights():
    nets = [fresh(), fresh(), fresh()]
    losses = [
        train_relevance_map.fit(net, made(300), epochs=2, seed=s)
        for net, s in zip(nets, (1, 1, 2), strict=True)
    ]
    assert losses[0] == losses[1] != losses[2]
    same = [
        torch.equal(*pair) for pair in zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    ]
    assert all(same)


def test_a_perfect_guess_is_told_from_a_bad_one():
    samples = made()
    perfect = train_relevance_map.judge(train_relevance_map.labels(samples.relevance), samples)
    assert perfect.loss == pytest.approx(0, abs=1e-5)
    assert perfect.overlap == 1
    assert perfect.spearman > 0.8  # the labels have lost the order of the lower half
    opposite = train_relevance_map.judge((-samples.relevance).softmax(-1), samples)
    assert opposite.spearman == pytest.approx(-1, abs=1e-3)
    assert opposite.overlap == 0


def test_samples_are_questions_that_pico_answers_rightly():
    seeds = range(train_relevance_map.HELD_OUT, train_relevance_map.HELD_OUT + 1)
    samples = train_relevance_map.collect(default_loader().load("pico"), seeds)
    expected = []
    for seed in seeds:
        scene = scenes.make(seed)
        for asked in questions.sample(
            scene, train_relevance_map.random.Random(f"mapping {seed}"), 3
        ):
            case = open_case(CaseRequest.make("pico", scene.image, asked.text))
            full = full_run(case)
            if full.answer.text != asked.answer or len(full.tokens) > train_relevance_map.LONGEST:
                continue
            prompt, ids = case.prompt(frozenset({"question_attention"})), full.tokens
            signals = Signals(
                prompt.signals.grid_position,
                prompt.signals.features,
                explain=lambda target, prompt=prompt, ids=ids, case=case: gradients(
                    case.decoder, prompt, ids, target
                ),
            )
            expected.append((prompt.signals.question_attention, Relevance().score(signals)))
    assert 1 <= len(expected) == len(samples.relevance)
    for row, (attention, found) in enumerate(expected):
        assert torch.allclose(samples.attention[row], attention)
        assert torch.allclose(samples.relevance[row], found, rtol=1e-4)


def test_the_command_writes_weights(tmp_path, monkeypatch, capsys):
    into = tmp_path / "net.safetensors"
    words = f"mapping --scenes 2 --held-out 1 --epochs 1 --into {into}".split()
    monkeypatch.setattr(sys, "argv", words)
    train_relevance_map.main()
    told = capsys.readouterr().out
    assert relevance_net.load(into)(torch.rand(196)).isfinite().all()
    for name in ("network", "attention alone", "same for all"):
        assert f"| {name} |" in told


# ---- the network of pico ------------------------------------------------------------------------


def test_the_shipped_network_knows_more_than_attention_alone():
    file = relevance_net.file_of("pico")
    assert file.stat().st_size < 1_000_000
    net = relevance_net.load(file)
    held = train_relevance_map.collect(
        default_loader().load("pico"),
        range(train_relevance_map.HELD_OUT, train_relevance_map.HELD_OUT + 3),
    )
    found = train_relevance_map.guesses(net, held, held)
    quality = {name: train_relevance_map.judge(guess, held) for name, guess in found.items()}
    ranked = [quality[name] for name in ("network", "attention alone")]
    for better, worse in pairwise(ranked):
        assert better.loss < worse.loss
        assert better.spearman > worse.spearman + 0.05
        assert better.overlap > worse.overlap
