"""Nothing depends on torch's default dtype: transformers sets it while it loads a model.

It is one for the whole process, so a visitor who chooses a model in half precision would change
what others get meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from explorer import analyses
from explorer.analyses.attribution import captum_methods
from explorer.cases import answers
from explorer.cases.case import open_case
from explorer.cases.records import MethodMap
from explorer.cases.request import CaseRequest
from explorer.inference.ablation import AblationScorer
from explorer.pico.data import scenes

CASE = ("pico", scenes.make(5).image, "what is in the middle ?")


@contextmanager
def loading() -> Iterator[None]:
    """As it is while somebody's model is being built."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_every_map_is_the_same():
    alone = analyses.analyse(CaseRequest.make(*CASE))
    with loading():
        beside = analyses.analyse(CaseRequest.make(*CASE))
    assert beside.full.text == alone.full.text and beside.full.p_full == alone.full.p_full
    for own, other in zip(alone.methods, beside.methods, strict=True):
        assert _equal(own, other), own.spec


def _equal(own: MethodMap, other: MethodMap) -> bool:
    if not np.array_equal(own.score, other.score, equal_nan=True):
        return False
    if own.order is not None:
        return np.array_equal(own.order, other.order)
    return all(
        np.array_equal(mine.fate, theirs.fate)
        for a, b in zip(own.points, other.points, strict=True)
        for mine, theirs in zip(a.stages, b.stages, strict=True)
    )


def test_every_answer_is_the_same():
    specs = [(each, 120) for each in "clsattn fastv visionzip sparsevlm todre pool".split()]
    with loading():
        beside = list(analyses.answer_many(CaseRequest.make(*CASE), specs))
    alone = list(analyses.answer_many(CaseRequest.make(*CASE), specs))
    assert len(alone) == len(specs)
    for own, other in zip(alone, beside, strict=True):
        mine, theirs = own.answer, other.answer
        assert theirs.text == mine.text, own.method
        assert theirs.p_full == pytest.approx(mine.p_full, rel=1e-4), own.method
        assert theirs.dominance.mdi == pytest.approx(mine.dominance.mdi, rel=1e-4), own.method


def test_the_oracle_is_the_same_but_for_its_librarys_own_steps():
    case = open_case(CaseRequest.make(*CASE))
    prompt, answer = case.prompt(), answers.full_run(case).tokens
    present = (torch.rand(4, case.size.tokens) > 0.5).float()

    def found() -> tuple[torch.Tensor, torch.Tensor]:
        probe = AblationScorer(case.decoder, prompt, answer)
        values, _ = captum_methods.integrated(
            probe.log_prob_replaced, probe.tokens, "mean", steps=10
        )
        return probe.log_prob_ablated(present), values

    with loading():
        beside = found()
    alone = found()
    assert torch.equal(beside[0], alone[0])
    assert beside[1].dtype == torch.float32
    assert torch.allclose(beside[1], alone[1], atol=0.01 * float(alone[1].abs().max()))
