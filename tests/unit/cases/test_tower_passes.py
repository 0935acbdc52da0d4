"""A tower looks at a picture once, whoever asks for what it saw."""

from __future__ import annotations

import pickle

import pytest
from small_shapes import SMOLVLM, small

from explorer import analyses
from explorer.cases import case as cases
from explorer.cases.cache import BoundedStore, ResultCache, VisionKey
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable
from explorer.methods import catalog
from explorer.pico.data import scenes

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def vlm():
    return small(SMOLVLM)


@pytest.fixture
def looks(vlm, monkeypatch):
    """How many views the tower has looked at through its last layer."""
    seen = []
    norm = vlm.model.model.vision_model.post_layernorm
    hook = norm.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    yield seen
    hook.remove()


def asked(vlm, seed=1):
    return CaseRequest.make(vlm, scenes.make(seed).image.resize((90, 60)), QUESTION)


def draw_what_sees_something_new(request, cache):
    """Ask for maps by themselves, of methods that between them need all that a tower shows."""
    seen, drawn = set(), []
    for method in catalog.choices():
        if method.needs - seen and not method.slow and "rerun_tower" not in method.needs:
            seen |= method.needs
            try:
                analyses.draw(request, method.spec, cache=cache)
                drawn.append(method.spec)
            except MethodUnavailable:
                continue
    return drawn


def test_one_pass_gives_all_that_a_session_asks_for(vlm, looks):
    request = asked(vlm)
    *_, analysis = analyses.unfold(request)
    assert len(analysis.methods) > 30
    assert len(draw_what_sees_something_new(request, None)) > 10
    assert sum(looks) == 5


def test_a_cache_that_holds_few_answers_holds_what_the_tower_saw(vlm, looks):
    request, cache = asked(vlm), ResultCache(50_000)
    for spec in ("visionzip", "fopru", "hired"):
        analyses.draw(request, spec, cache=cache)
        analyses.answer(request, spec, 9, cache=cache)
    assert sum(looks) == 5


def test_methods_that_prune_in_the_tower_run_it_again_but_not_from_the_picture(vlm, monkeypatch):
    request, encoded = asked(vlm), []
    real = cases.encode_image
    monkeypatch.setattr(cases, "encode_image", lambda *given: encoded.append(1) or real(*given))
    for method in catalog.choices():
        if "rerun_tower" in method.needs:
            analyses.draw(request, method.spec)
    assert encoded == [1]


def test_what_is_kept_of_pictures_is_bounded_in_bytes_and_pushes_no_answer_out(vlm):
    one = open_case(asked(vlm)).vision.nbytes
    cache = ResultCache(10_000, BoundedStore(int(2.5 * one)))
    cache.put("an answer", "yes", 3_000)
    for seed in range(4):
        open_case(asked(vlm, seed), cache)
        assert cache.nbytes < 10_000 + 2.5 * one
    held = [VisionKey(vlm.key, asked(vlm, seed).picture.digest) in cache for seed in range(4)]
    assert held == [False, False, True, True] and cache.get("an answer") == "yes"


def test_small_pictures_are_bounded_in_number_too():
    store = BoundedStore(10_000, max_items=2)
    for number in range(4):
        store.put(number, number, 10)
    assert [number in store for number in range(4)] == [False, False, True, True]


def test_what_a_request_keeps_stays_behind_when_it_is_sent_away(vlm):
    request = CaseRequest.make("pico", scenes.make(1).image, QUESTION)
    request.visions.put("seen", object(), 10)
    assert len(pickle.loads(pickle.dumps(request)).visions) == 0 and len(request.visions) == 1
