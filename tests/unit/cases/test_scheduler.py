"""Questions about several pictures, answered side by side, get the answers they get alone."""

from __future__ import annotations

import pytest

from explorer import analyses
from explorer.cases import scheduler
from explorer.cases.answers import full_run_key
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.pico.data import scenes

ASKED = [
    (3, "what is in the middle ?", [("clsattn", 24), ("fastv", 120), ("random", 9)]),
    (3, "describe the picture .", [("visionzip", 40)]),
    (5, "how many things are there ?", []),
    (8, "what is in the middle ?", [("clsattn", 196), ("visiondrop", 100), ("fopru:row", 28)]),
]


def ask(seed: int, question: str) -> CaseRequest:
    return CaseRequest.make("pico", scenes.make(seed).image, question)


@pytest.fixture(scope="module")
def prepared() -> ResultCache:
    cache = ResultCache(64_000_000)
    scheduler.prepare([(ask(seed, question), specs) for seed, question, specs in ASKED], cache)
    return cache


@pytest.mark.parametrize("seed, question, specs", ASKED)
def test_each_is_answered_as_if_alone(prepared, seed, question, specs):
    request = ask(seed, question)
    full = prepared.get(full_run_key(request.id)).answer
    alone = analyses.answer(request, "full", 196)
    assert full.text == alone.text
    assert full.p_full == pytest.approx(alone.p_full, abs=1e-4)
    answers = {
        (t.method, t.budget): t.answer for t in scheduler.cached_answers(request, specs, prepared)
    }
    assert answers.keys() == set(specs), "all are remembered"
    for spec, answer in answers.items():
        own = analyses.answer(request, *spec)
        assert answer.text == own.text and answer.agrees == own.agrees
        assert answer.p_full == pytest.approx(own.p_full, abs=1e-4)
        assert answer.kl == pytest.approx(own.kl, abs=1e-4)
        assert [s.kept.tolist() for s in answer.stages] == [s.kept.tolist() for s in own.stages]
        assert answer.dominance.mdi == pytest.approx(own.dominance.mdi, rel=1e-3)


def test_what_can_not_be_answered_is_left_out():
    request, cache = ask(3, "what is in the middle ?"), ResultCache(64_000_000)
    specs = [("fastv", 2), ("no_such_method", 40), ("clsattn", 24), ("clsattn", 500)]
    scheduler.prepare([(request, specs)], cache)
    cached = scheduler.cached_answers(request, specs, cache)
    assert [(t.method, t.budget) for t in cached] == [("clsattn", 24)]


def test_a_bad_question_is_refused():
    with pytest.raises(VisitorError):
        ask(3, "   ")


def test_little_room_for_caches_gives_the_same_answers(prepared, monkeypatch):
    monkeypatch.setattr(scheduler, "GROUP_BYTES", 1)  # one run at a time
    cache = ResultCache(64_000_000)
    requests = [(ask(seed, question), specs) for seed, question, specs in ASKED[:2]]
    scheduler.prepare(requests, cache)
    for request, specs in requests:
        ours, theirs = (scheduler.cached_answers(request, specs, c) for c in (cache, prepared))
        assert [t.answer.text for t in ours] == [t.answer.text for t in theirs]
        full = [c.get(full_run_key(request.id)).answer.text for c in (cache, prepared)]
        assert full[0] == full[1]


def test_a_small_cache_gives_the_same_answers():
    request, cache = ask(3, "what is in the middle ?"), ResultCache(50_000)
    scheduler.prepare([(request, [("clsattn", 24)])], cache)
    [result] = scheduler.cached_answers(request, [("clsattn", 24)], cache)
    assert result.answer.text == analyses.answer(request, "clsattn", 24).text
