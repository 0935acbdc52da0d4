"""Questions about several pictures, answered side by side, get the answers they get alone."""

from __future__ import annotations

import pytest

from explorer.analyses import api
from explorer.cases import request, scheduler
from explorer.cases.cache import ResultCache
from explorer.errors import VisitorError
from explorer.media.image import open_picture
from explorer.pico.data import scenes

ASKED = [
    (3, "what is in the middle ?", [("clsattn", 24), ("fastv", 120), ("random", 9)]),
    (3, "describe the picture .", [("visionzip", 40)]),
    (5, "how many things are there ?", []),
    (8, "what is in the middle ?", [("clsattn", 196), ("visiondrop", 100), ("fopru:row", 28)]),
]


@pytest.fixture(scope="module")
def prepared() -> ResultCache:
    memory = ResultCache(64_000_000)
    asked = [(scenes.make(seed).image, question, wanted) for seed, question, wanted in ASKED]
    scheduler.prepare("pico", asked, memory)
    return memory


@pytest.mark.parametrize("seed, question, wanted", ASKED)
def test_each_is_answered_as_if_alone(prepared, seed, question, wanted):
    case = ("pico", open_picture(scenes.make(seed).image), question)
    full = prepared.get(("full", request.make_request(*case).id)).answer
    alone = api.answer(*case, "full", 196)
    assert full.text == alone.text
    assert full.p_full == pytest.approx(alone.p_full, abs=1e-4)
    told = {
        (t.method, t.budget): t.answer for t in scheduler.cached_answers(*case, wanted, prepared)
    }
    assert told.keys() == set(wanted), "all are remembered"
    for wish, answer in told.items():
        own = api.answer(*case, *wish)
        assert answer.text == own.text and answer.same == own.same
        assert answer.p_full == pytest.approx(own.p_full, abs=1e-4)
        assert answer.kl == pytest.approx(own.kl, abs=1e-4)
        assert [s.kept.tolist() for s in answer.stages] == [s.kept.tolist() for s in own.stages]
        assert answer.dominance.mdi == pytest.approx(own.dominance.mdi, rel=1e-3)


def test_what_can_not_be_answered_is_left_out():
    image, memory, question = (
        scenes.make(3).image,
        ResultCache(64_000_000),
        "what is in the middle ?",
    )
    wanted = [("fastv", 2), ("no_such_method", 40), ("clsattn", 24), ("clsattn", 500)]
    scheduler.prepare("pico", [(image, question, wanted)], memory)
    told = scheduler.cached_answers("pico", image, question, wanted, memory)
    assert [(t.method, t.budget) for t in told] == [("clsattn", 24)]


def test_a_bad_question_is_refused():
    with pytest.raises(VisitorError):
        scheduler.prepare("pico", [(scenes.make(3).image, "   ", [])], ResultCache(1_000_000))


def test_little_room_for_caches_gives_the_same_answers(prepared, monkeypatch):
    monkeypatch.setattr(scheduler, "GROUP_BYTES", 1)  # one run at a time
    memory = ResultCache(64_000_000)
    asked = [(scenes.make(seed).image, question, wanted) for seed, question, wanted in ASKED[:2]]
    scheduler.prepare("pico", asked, memory)
    for image, question, wanted in asked:
        case = ("pico", image, question)
        ours, theirs = (scheduler.cached_answers(*case, wanted, m) for m in (memory, prepared))
        assert [t.answer.text for t in ours] == [t.answer.text for t in theirs]
        full = [
            m.get(("full", request.make_request(*case).id)).answer.text for m in (memory, prepared)
        ]
        assert full[0] == full[1]


def test_little_memory_gives_the_same_answers():
    case, memory = ("pico", scenes.make(3).image, "what is in the middle ?"), ResultCache(50_000)
    scheduler.prepare(*case[:1], [(*case[1:], [("clsattn", 24)])], memory)
    [told] = scheduler.cached_answers(*case, [("clsattn", 24)], memory)
    assert told.answer.text == api.answer(*case, "clsattn", 24).text
