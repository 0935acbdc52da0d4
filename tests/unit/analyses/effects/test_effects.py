"""Probes, captions and stability of pico on one scene: records follow from its answers."""

from __future__ import annotations

import pytest

from explorer import analyses
from explorer.analyses.effects import captions, probes, stability, things
from explorer.analyses.effects.things import AskedThing
from explorer.analyses.sharing import case_file, report
from explorer.analyses.sharing.case_file import Looks
from explorer.analyses.sharing.stored_effects import with_effects
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import UnknownMethod
from explorer.metrics.effects.pope import says_yes
from explorer.pico.data import scenes

SCENE = scenes.make(11)


@pytest.fixture(scope="module")
def cache() -> ResultCache:
    return ResultCache(50_000_000)


@pytest.fixture(scope="module")
def request_(cache) -> CaseRequest:
    return CaseRequest.make("pico", SCENE.image, "where is the bus ?")


def test_probes_are_the_answers_of_the_method_and_its_random(request_, cache):
    boat = next(thing for thing in SCENE.things if thing.name == "boat")
    asked = [AskedThing("boat", True, boxes=(boat.box,)), AskedThing("anchor", False)]
    there, absent = probes.probe(request_, asked, "clsattn", cache=cache)
    for found in (there, absent):
        assert [(a.method, a.wished) for a in found.answers] == [
            (spec, budget) for spec in ("clsattn", "random") for budget in (147, 98, 49, 20)
        ]
        one = found.answers[2]
        request = CaseRequest.make("pico", SCENE.image, found.thing.question)
        own = analyses.answer(request, "clsattn", 49, cache=cache)
        assert (one.text, one.says_yes) == (own.text, says_yes(own.text))
        assert (one.p_yes, one.p_no) == own.yes_no and 0.99 < sum(own.yes_no) <= 1.0001
        spoken = max(own.yes_no)
        assert own.tokens[0].probability == pytest.approx(spoken, abs=1e-6)
    assert there.full.covered == pytest.approx(1) and absent.full.covered is None
    cover = [each.covered for each in there.answers[:4]]
    assert cover == sorted(cover, reverse=True), "kept sets of this method are nested"
    for each in absent.answers:
        right = not each.says_yes
        assert (each.mistake == "") == right
        assert (each.change == "fixed") == (right and absent.full.says_yes)


def test_a_method_inside_the_model_goes_as_low_as_it_can(request_, cache):
    (found,) = probes.probe(request_, [AskedThing("owl", False)], "fastv", cache=cache)
    lowest = [each for each in found.answers if each.wished == 20]
    assert [each.method for each in lowest] == ["fastv", "random_inside"]
    assert all(each.budget > 20 for each in lowest) and lowest[0].budget == lowest[1].budget
    with pytest.raises(UnknownMethod):
        list(probes.probe(request_, [], "nomethod", cache=cache))


def test_captions_are_read_against_what_is_there(request_, cache):
    there = [(name,) for name in things.names_in(SCENE)]
    full, *others = captions.describe(request_, there, "clsattn", cache=cache)
    assert full.method == "full" and full.read.chair_i == 0 and full.read.recall == 1
    assert {(c.method, c.wished) for c in others} == {
        (spec, budget) for spec in ("clsattn", "random") for budget in (147, 98, 49, 20)
    }
    for caption in others:
        for mention in caption.read.mentions:
            words = caption.text[mention.start : mention.stop]
            assert words.split()[-1] in mention.thing


def test_stability_counts_what_its_answers_say(request_, cache):
    found = stability.stability(request_, "clsattn", 64, cache=cache)
    assert len(found.rungs) == 10 and found.rungs[-1].agrees and len(set(found.subsets)) >= 1
    same = [text == found.full for text in found.subsets]
    assert len(same) == 10 and found.subsets_keep == sum(same) / 10
    later = [rung.agrees for rung in found.rungs if rung.budget >= found.k_star]
    assert all(later)
    kinds = {(each.kind, each.budget) for each in found.asked}
    assert ("paraphrase", 196) in kinds and ("converse", 196) in kinds
    back = next(each for each in found.asked if (each.kind, each.budget) == ("converse", 196))
    place = found.full.removeprefix("at the ")
    assert back.question == f"what is at the {place} ?" and back.expected == "a bus"
    assert back.consistent == (back.said == "a bus")


def test_nothing_is_asked_back_about_one_of_several_things(cache):
    """Scene 52 has three tomatoes: each is somewhere else."""
    asked = CaseRequest.make("pico", scenes.make(52).image, "what is in the middle ?")
    for counted, single in (("", True), ("how many tomatoes are there ?", False)):
        assert stability._is_single(asked, counted, cache, lambda: False) is single


def test_a_case_and_its_report_keep_what_was_asked(request_, cache):
    asked = [AskedThing("boat", True), AskedThing("owl", False)]
    found = list(probes.probe(request_, asked, "clsattn", cache=cache))
    firm = stability.stability(request_, "clsattn", 64, cache=cache)
    told = list(captions.describe(request_, [("boat",)], "clsattn", cache=cache))
    full, run = (
        analyses.answer(request_, *which, cache=cache) for which in (("full", 1), ("clsattn", 64))
    )
    looks = with_effects(Looks({}), request_, "clsattn", 64, cache)
    case = case_file.load(case_file.save(request_, full, [run], looks=looks))
    said = [(probe.thing, probe.text) for probe in case.probes]
    assert said == [
        (each.thing.name, answer.text)
        for each in found
        for answer in (each.full, *each.answers)
    ]  # fmt: skip
    assert [each.text for each in case.captions] == [each.text for each in told]
    wrong = [m.thing for m in told[0].read.hallucinated]
    assert len(case.captions[0].hallucinated) == len(wrong) > 0, "all but the boat is made up"
    assert (case.stability.k_star, case.stability.flips) == (firm.k_star, firm.flips)
    page = report.page(case, open_case(request_, cache).vision.grid, SCENE.image)
    assert told[0].text in page and ", ".join(case.captions[0].hallucinated) in page
    assert "What pruning does to answers" in page and "random choices of 64 tokens" in page
    assert with_effects(Looks({}), request_, "divprune", 64, cache) == Looks({})
