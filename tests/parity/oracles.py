"""Captum's own results on a toy model, and RISE's curves."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.attribution import captum_methods
from explorer.metrics import insertion_deletion
from parity.reading import Golden, assert_close

TOY_NAMES = ("P", "Q", "A", "Wq", "Wk", "Wv", "Wo", "Wu")


def toy(golden: Golden):
    """The one-layer model that the recording describes: visual tokens [B, N, D] to f [B]."""
    P, Q, A, Wq, Wk, Wv, Wo, Wu = (golden[name] for name in TOY_NAMES)
    answer = golden["answer_ids"].long()
    T, D = len(answer), P.shape[1]

    def f(v: Tensor) -> Tensor:
        rows = len(v)
        rest = [part.expand(rows, -1, -1) for part in (Q, A[:-1])]
        x = torch.cat([P.expand(rows, -1, -1), v, *rest], 1)
        logits = (x @ Wq) @ (x @ Wk).transpose(1, 2) / D**0.5
        future = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
        s = logits.masked_fill(future, float("-inf")).softmax(-1)
        h = torch.tanh(x + s @ (x @ Wv) @ Wo)
        said = (h[:, -T:] @ Wu.T).log_softmax(-1)
        return said.gather(2, answer.expand(rows, -1)[..., None])[..., 0].sum(1)

    return f


def run_oracle(golden: Golden) -> None:
    f, tokens = toy(golden), golden["V"][None]
    n = tokens.shape[1]
    assert_close(f(tokens), golden["f_full"])
    for baseline in ("mean", "zero"):
        absent = captum_methods.baseline_tokens(tokens, baseline)
        empty = torch.zeros_like(tokens) if baseline == "zero" else absent
        assert_close(f(empty), golden[f"f_base_{baseline}"])
        assert_close(
            captum_methods.ablation(f, tokens, baseline), golden[f"ablation_{baseline}"], 1e-3
        )
        found, delta = captum_methods.integrated(f, tokens, baseline)
        assert_close(found, golden[f"ig_{baseline}"], 1e-3)
        assert abs(delta - float(golden[f"ig_delta_{baseline}"])) < 1e-4
        seed = int(golden["torch_seed"])
        sampled = captum_methods.shapley(f, tokens, absent, torch.arange(n), samples=4, seed=seed)
        assert_close(sampled, golden[f"shapley_sampling_{baseline}"], 1e-3)
        if f"shapley_exact_{baseline}" in golden:
            assert_close(exact_shapley(f, tokens, empty), golden[f"shapley_exact_{baseline}"], 1e-3)
    side, window = int(golden["side"]), int(golden["window"])
    square = golden["V"].T.reshape(1, -1, side, side)
    mean = golden["V"].mean(0).view(1, -1, 1, 1).expand_as(square)
    covered = captum_methods.occlusion(
        lambda x: f(x.flatten(2).transpose(1, 2)), square, window, 1, mean
    )
    assert_close(covered, golden["occlusion_mean"], 1e-3)


def exact_shapley(f, tokens: Tensor, empty: Tensor) -> Tensor:
    """The definition, over all orders: what the sampled values tend to."""
    n = tokens.shape[1]
    total = torch.zeros(n)
    orders = list(itertools.permutations(range(n)))
    for order in orders:
        x, before = empty.clone(), float(f(empty))
        for token in order:
            x[0, token] = tokens[0, token]
            after = float(f(x))
            total[token] += after - before
            before = after
    return total / len(orders)


def run_rise(golden: Golden) -> None:
    image, weights = golden["img"], golden["W"]
    order = insertion_deletion.order_of(golden["saliency"].flatten().numpy())
    flat = image.flatten(2)
    best = int((image.flatten(1) @ weights.T).argmax())
    for name, inserting in (("del", False), ("ins", True)):
        substrate = flat.mean(2, keepdim=True) if inserting else torch.zeros(1, 3, 1)

        def f(present: Tensor, substrate: Tensor = substrate) -> Tensor:
            x = torch.where(present[:, None] > 0, flat, substrate.expand_as(flat))
            return (x.flatten(1) @ weights.T).softmax(-1)[:, best]

        scores = insertion_deletion.curve(f, order, int(golden["step"]), inserting)
        assert_close(torch.from_numpy(scores), golden[f"{name}_scores"])
        assert np.isclose(
            insertion_deletion.curve_area(scores), float(golden[f"{name}_auc"]), rtol=1e-4
        )


RUNNERS = {"oracle": run_oracle, "rise": run_rise}
