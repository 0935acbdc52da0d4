"""What pico shows of large models: each rule on answers that are made up, and pico asked once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.generation import FULL
from explorer.cases.records import Answer, StageMap
from explorer.cases.request import CaseRequest
from explorer.media.grid import touched
from explorer.methods.chance import chance_of
from explorer.metrics import phenomena, text_dominance
from explorer.metrics.agreement import kendall
from explorer.metrics.phenomena import Finding
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question
from explorer.pico.data.scenes import Scene, Thing
from explorer.tools.phenomena import (
    attention_depth,
    attention_vs_random,
    lower_half,
    measure,
    method_order,
    question_kinds,
    retention,
    target_kept,
    withdrawal,
)
from explorer.tools.phenomena import text_dominance as dominance
from explorer.tools.phenomena.observation import Observation, observe
from explorer.tools.phenomena.swap import Swap, swap

N, SIDE = 196, 14
EVEN = torch.full((12,), 0.97)  # what all visual tokens get of attention that is even
OWL = Thing("object", "owl", None, 0, (0, 0, 32, 32))  # on the four patches at the top left
AT = Question("what is at the top left ?", "an owl", "at", (OWL,))
COUNT = Question("how many owls are there ?", "one", "count", (OWL,))


def boxes() -> np.ndarray:
    row, column = np.divmod(np.arange(N), SIDE)
    return 16 * np.stack([column, row, column + 1, row + 1], 1)


def answered(spec: str, budget: int, right: bool = True, kept: np.ndarray | None = None) -> Answer:
    fate = np.full(N, -1)
    fate[np.arange(budget) if kept is None else kept] = 0
    text = "right" if right else "wrong"
    stages = (StageMap(0, fate, 0, None),)
    return Answer(spec, budget, text, (), stages=stages, agrees=right, dominance=listening(2.0))


def listening(mdi: float) -> text_dominance.Dominance:
    """A dominance whose MDI is the same in every layer."""
    return text_dominance.measure(np.full(12, mdi), np.ones(12), 10, [10] * 12, 1)


def observed(
    question: Question = AT, to_first: torch.Tensor = EVEN / N, to_picture: torch.Tensor = EVEN
) -> Observation:
    """One question that every method answers rightly."""
    answers = {spec: answered(*spec) for spec in [(FULL, N), *measure.SPECS]}
    scene = Scene(Image.new("RGB", (224, 224)), (OWL,), 0)
    told = replace(question, answer="right")
    swaps = {spec: Swap(answered(*spec), answered(*spec)) for spec in attention_vs_random.SWAPPED}
    return Observation(scene, told, answers, to_first, to_picture, boxes(), swaps)


def changing(each: Observation, *answers: Answer) -> Observation:
    new = {(answer.method, answer.budget): answer for answer in answers}
    return replace(each, answers={**each.answers, **new})


def wrong(each: Observation, specs) -> Observation:
    return changing(each, *(answered(*spec, right=False) for spec in specs))


def test_retention_counts_what_comes_again_under_each_policy():
    few, policy, best = retention.findings([observed()] * 3)
    assert few.shown and policy.shown and "1.00 / 1.00 / 1.00" in few.pico
    assert not best.shown, "nothing is 10 points above chance where chance keeps all"
    renumbered = wrong(observed(), [("random", budget) for budget in retention.BUDGETS])
    few, policy, best = retention.findings([renumbered, observed()])
    assert few.shown and not policy.shown and "0.50 / 0.50 / 0.50" in policy.pico
    lost = wrong(observed(), [("random?positions=keep", budget) for budget in retention.BUDGETS])
    few, _, best = retention.findings([lost, observed()])
    assert not few.shown and best.shown and "+50 points" in best.pico


def test_methods_in_the_published_order_are_shown_and_others_are_not():
    third = method_order.THIRD
    worst = wrong(observed(), [("fastv", third)])
    both = wrong(observed(), [("fastv", third), ("sparsevlm", third)])
    (found,) = method_order.findings([worst, both, observed()])
    assert found.shown and "tau 1.00" in found.pico
    (found,) = method_order.findings([wrong(observed(), [("mmtok", third), ("divprune", third)])])
    assert not found.shown


def test_reading_the_question_is_judged_where_the_answer_is_in_one_place():
    blind = [(spec, question_kinds.BUDGET) for spec in question_kinds.BLIND]
    (found,) = question_kinds.findings([wrong(observed(), blind), observed(COUNT)])
    assert found.shown and "localised +100 points, counting +0" in found.pico
    (found,) = question_kinds.findings([observed(), wrong(observed(COUNT), blind)])
    assert not found.shown


def test_a_target_is_kept_as_far_as_the_patches_that_it_lies_on():
    each = observed()
    own = np.flatnonzero(touched(each.boxes, OWL.box)).tolist()
    assert own == [0, 1, SIDE, SIDE + 1]
    all_kept = [answered("clsattn", b, kept=np.array(own)) for b in target_kept.BUDGETS]
    (found,) = target_kept.findings([changing(each, *all_kept)])
    assert found.shown and "1.00 at 64 (chance 0.33), 1.00 at 21 (chance 0.11)" in found.pico
    none = [answered("clsattn", b, kept=np.array([N - 1])) for b in target_kept.BUDGETS]
    (found,) = target_kept.findings([changing(each, *none)])
    assert not found.shown


def test_attention_falls_behind_chance_where_it_leaves_nothing_of_a_thing():
    elsewhere = [
        answered(*spec, right=False, kept=np.arange(N - 9, N))
        for spec in attention_vs_random.SWAPPED
    ]
    found, _ = attention_vs_random.findings([changing(observed(), *elsewhere), observed(COUNT)])
    assert found.shown and "FastV 0.50 (1.00), nothing left 0.50 (0.00)" in found.pico
    found, _ = attention_vs_random.findings([observed()])
    assert not found.shown and "FitPrune 1.00 (1.00), nothing left 0.00 (0.00)" in found.pico


def test_what_costs_an_answer_is_what_gives_it_back_when_it_is_exchanged():
    right, lost = (answered("swap", 64, right=is_right) for is_right in (True, False))
    for thing, others, by_the_thing in ((right, lost, True), (lost, right, False)):
        swaps = dict.fromkeys(attention_vs_random.SWAPPED, Swap(thing, others))
        each = replace(wrong(observed(), swaps), swaps=swaps)
        about_many = replace(observed(), question=replace(AT, targets=(OWL, OWL)))
        _, found = attention_vs_random.findings([each, about_many])
        assert found.shown == by_the_thing
        told = "1.00 / 0.00" if by_the_thing else "0.00 / 1.00"
        assert f"FastV 0.00 / {told} / 1.00" in found.pico
        assert found.pico.startswith("so for FastV" if by_the_thing else "so for none")


def test_a_preference_for_the_lower_end_is_seen_in_what_is_kept():
    upper, lower = np.arange(64), np.arange(N - 64, N)
    even = np.concatenate([upper[:32], lower[:32]])
    plain = answered(*lower_half.PLAIN, kept=even)
    for kept, share, shown in ((lower, "1.00", True), (upper, "0.00", False)):
        prefers, goes = lower_half.findings(
            [changing(observed(), answered(*lower_half.ROTARY, kept=kept), plain)]
        )
        assert prefers.shown is shown and share in prefers.pico
        assert goes.shown is shown, "what isn't there can't go"


def test_a_sink_and_a_fall_of_attention_are_seen_by_depth():
    picture = torch.zeros(12)
    picture[:2] = 1  # two layers that see nothing but the picture, then the first token alone
    sink, fall = attention_depth.findings([observed(to_first=1 - picture, to_picture=picture)])
    assert sink.shown and fall.shown and fall.pico.startswith("by layer: 1.00 1.00 0.00")
    sink, fall = attention_depth.findings([observed()])
    assert not sink.shown and not fall.shown


def test_withdrawal_names_the_first_layer_from_which_answers_stay():
    lost = [("vtw", withdrawal.BUDGETS[layer]) for layer in (1, 2)]
    (found,) = withdrawal.findings([wrong(observed(), lost)])
    assert found.shown and "2: 0.00, 4: 1.00" in found.pico and "from layer 4 on" in found.pico
    late = [("vtw", withdrawal.BUDGETS[layer]) for layer in withdrawal.BEFORE if layer < 10]
    (found,) = withdrawal.findings([wrong(observed(), late)])
    assert not found.shown


def test_dominance_is_told_by_stage_and_falls_with_compression():
    levels = zip(dominance.SPECS, (4.0, 2.0, 1.0), strict=True)
    fewer = [replace(answered(*spec), dominance=listening(mdi)) for spec, mdi in levels]
    each = changing(observed(), *fewer)
    full = replace(answered(FULL, N), dominance=listening(8.0))
    text, falls = dominance.findings([changing(each, full)])
    assert falls.shown and "25 %: 4.0 / 4.0 / 4.0" in falls.pico
    assert not text.shown and "MDI 8.0 / 8.0 / 8.0" in text.pico, "no more in later layers"
    _, falls = dominance.findings([each])
    assert not falls.shown, "it rises from 2 to 4 first"


def test_kendall_counts_pairs_in_the_same_order():
    assert kendall([1, 2, 3], [10, 20, 30]) == 1 and kendall([1, 2, 3], [3, 2, 1]) == -1
    assert kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    assert kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / (2 * 3) ** 0.5)
    assert np.isnan(kendall([1, 1], [1, 2]))


def test_the_table_is_read_as_it_was_written_and_puts_what_is_shown_first(tmp_path):
    found = [Finding("a", "b", "c", False), Finding("d", "e", "f", True)]
    phenomena.write(found, 1200, tmp_path / "found.json")
    assert phenomena.read(tmp_path / "found.json") == (found, 1200)
    lines = phenomena.markdown(found, 1200).splitlines()
    assert "1,200 questions" in lines[0]
    assert lines[-2:] == ["| d | e | f | yes |", "| a | b | c | **no** |"]


def test_pico_is_asked_one_question_a_scene_and_answers_by_every_spec():
    specs = [("clsattn", 21), ("vtw", withdrawal.BUDGETS[2])]
    (each,) = observe([5], specs)
    assert set(each.answers) == {(FULL, N), *specs} and each.full.agrees
    assert each.answers[specs[1]].layers[:3] == (N, N, 0), "all leave before layer 2"
    assert bool((each.to_first + each.to_picture < 1).all()), "the rest goes to other words"
    assert bool((each.to_picture > 0).all()) and each.to_first.shape == (12,)
    assert not each.swaps, "nothing was to be exchanged"
    with pytest.raises(ValueError, match="fastv at 2"):
        list(observe([5], [("fastv", 2)]))


@pytest.mark.parametrize("method", [name for name, _ in attention_vs_random.SWAPPED])
def test_an_exchange_is_at_the_methods_layers_and_of_nothing_gives_the_methods_answer(method):
    scene, cache = scenes.make(5), ResultCache(10**8)
    request = CaseRequest.make("pico", scene.image, "what is in the middle ?")
    case, specs = open_case(request, cache), [(method, 64), (chance_of(method), 64)]
    own, random = (answer(request, *spec, cache=cache) for spec in specs)
    nothing, half = np.zeros(N, bool), np.arange(N) < N // 2
    same = swap(case, specs[0], own, random, nothing, cache)
    if not own.stages[-1].merged:
        assert same.thing.text == own.text and same.thing.p_full == pytest.approx(own.p_full)
    assert same.others.text == random.text
    swapped = swap(case, specs[0], own, random, half, cache)
    for mixed, first, second in ((swapped.thing, random, own), (swapped.others, own, random)):
        assert [stage.layer for stage in mixed.stages] == [stage.layer for stage in own.stages]
        for stage, thing, rest in zip(mixed.stages, first.stages, second.stages, strict=True):
            assert ((stage.fate == 0) == np.where(half, thing.fate == 0, rest.fate == 0)).all()
