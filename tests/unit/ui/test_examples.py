"""The finished examples: small, of today's methods, and telling."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest

from explorer import analyses
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.media.grid import touched
from explorer.methods import catalog
from explorer.pico.data import scenes
from explorer.tools.examples import rules
from explorer.ui import examples
from explorer.ui.payloads.encoding import in_steps
from explorer.ui.payloads.method import method_payload, method_words

LARGEST = 9_500  # bytes for each method, of which its answers with two readings of MDI take 3,500
FIRST_METHOD = "clsattn"  # what the page shows before anybody chooses


def shown_first(case: dict) -> dict:
    """The pruned answer that a visitor sees when the example opens."""
    (method,) = (method for method in case["methods"] if method["key"] == FIRST_METHOD)
    budget = min(method["ladder"], key=lambda rung: abs(rung - case["grid"]["n"] / 3))
    (answer,) = (
        answer
        for answer in case["answers"]
        if (answer["method"], answer["budget"]) == (FIRST_METHOD, budget)
    )
    return answer


def test_every_example_is_built_and_small():
    assert examples.names() == examples.NAMES and len(examples.NAMES) >= 6
    for name in examples.names():
        methods = len(examples.load(name)["case"]["methods"])
        assert (examples.FOLDER / f"{name}.json").stat().st_size < LARGEST * methods, name


@pytest.mark.parametrize("name", examples.names())
def test_an_example_has_every_method_and_an_answer_of_each(name):
    case = examples.load(name)["case"]
    quick = [method.spec for method in catalog.choices() if not method.slow]
    assert [method["key"] for method in case["methods"]] == quick
    assert {answer["method"] for answer in case["answers"]} == set(quick)
    for method in case["methods"]:
        assert method_words(method["key"]).items() <= method.items()


def test_the_page_opens_with_one_map_and_the_rest_of_its_example_follows():
    whole, first = examples.load(examples.names()[0])["case"], examples.opening()["case"]
    name, text = examples.opening_rest()
    rest = json.loads(text)
    assert first["rest_file"] == name and rest["case"] == whole["id"] == first["id"]
    assert [method["key"] for method in first["methods"]] == [m["key"] for m in whole["methods"]]
    maps = [method for method in first["methods"] if "score" in method]
    assert [method["key"] for method in maps] == [FIRST_METHOD]
    assert shown_first(first) == shown_first(whole)

    def by_key(methods):
        return sorted(methods, key=lambda method: method["key"])

    assert by_key([*maps, *rest["methods"]]) == by_key(whole["methods"])
    assert len(first["answers"]) + len(rest["answers"]) == len(whole["answers"])
    sizes = [len(gzip.compress(json.dumps(case).encode())) for case in (first, whole)]
    assert sizes[0] < sizes[1] / 4


def test_some_examples_show_a_pruned_answer_go_wrong_and_one_a_full_one():
    cases = [examples.load(name)["case"] for name in examples.names()]
    lost = [case for case in cases if case["full"]["right"] and not shown_first(case)["right"]]
    assert len(lost) >= 2
    assert any(case["full"]["right"] is False for case in cases)


def test_the_first_example_stays_right_with_most_methods_until_its_thing_goes():
    shown = examples.load(examples.names()[0])
    case, scene = shown["case"], scenes.make(shown["seed"])
    verdicts = [
        answer["right"]
        for method in case["methods"]
        for answer in case["answers"]
        if answer["method"] == method["key"] and not method["baseline"]
        if answer["budget"] == rules.near_a_third(method["ladder"], case["grid"]["n"])
    ]
    assert len(verdicts) == sum(not method["baseline"] for method in case["methods"])
    assert case["full"]["right"] and np.mean(verdicts) >= rules.MOST
    ladder = [answer["right"] for answer in case["answers"] if answer["method"] == FIRST_METHOD]
    assert rules.MOST <= np.mean(ladder) < 1, "somewhere the slider changes the answer"
    (line,) = case["notes"]
    assert f"{sum(verdicts)} of {len(verdicts)} methods" in line
    (thing,) = (thing for thing in scene.things if thing.cell == rules.MIDDLE)
    request = CaseRequest.make("pico", scene.image, case["question"])
    without = rules.without_thing(request, thing, ResultCache(64_000_000))
    assert f"“{without}”" in line and without != case["truth"]


def test_examples_are_the_first_scenes_that_fit_their_rule():
    seed = examples.load(examples.names()[0])["seed"]
    assert rules.find_opening([0, 1, seed])[0] == seed
    lost = examples.load("count")
    assert rules.find_lost("count", [lost["seed"]]) == (lost["seed"], lost["case"]["question"])
    with pytest.raises(LookupError):
        rules.find_opening([])


def test_a_box_touches_the_patches_that_it_shares_area_with():
    patches = np.array([[0, 0, 16, 16], [16, 0, 32, 16], [0, 16, 16, 32], [40, 40, 56, 56]])
    on_it = touched(patches, (10, 4, 17, 16)).tolist()
    assert on_it == [True, True, False, False], "an edge in common is no overlap"


def test_an_example_is_what_the_model_says_today():
    shown = examples.load("count")
    image, question = scenes.make(shown["seed"]).image, shown["case"]["question"]
    told = shown_first(shown["case"])
    own = analyses.answer(CaseRequest.make("pico", image, question), told["method"], told["budget"])
    assert own.text == told["text"] and own.flops == told["flops"]
    assert (
        analyses.answer(CaseRequest.make("pico", image, question), "full", 1).text
        == shown["case"]["full"]["text"]
    )


def unpacked(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_what_the_page_gets_leaves_nothing_out_but_digits_of_a_colour():
    image = scenes.make(3).image
    for spec in ("fopru", "visionzip", "pyramiddrop"):
        found = analyses.draw(CaseRequest.make("pico", image, "what is it ?"), spec)
        long, lean = method_payload(found), method_payload(found, lean=True)
        assert long["score"] == lean["score"] and long.keys() == lean.keys()
        if found.order is not None:
            assert (unpacked(lean["order"], "u1") == unpacked(long["order"], "<u2")).all()
            continue
        for whole, small in zip(long["knots"], lean["knots"], strict=True):
            for a, b in zip(whole["stages"], small["stages"], strict=True):
                fate = unpacked(a["fate"], "i1")
                if fate.max() < 1:
                    bits = np.unpackbits(unpacked(b["fate"], "u1"), bitorder="little")[: len(fate)]
                    assert ((fate == 0) == bits).all()
                assert (a["score"] is None) == (b["score"] is None)


def test_steps_between_low_and_high_are_fine_enough_for_any_colour():
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)
    told = in_steps(values)
    steps = unpacked(told["steps"], "<u2")
    again = told["low"] + (told["high"] - told["low"]) * steps / 65_535
    assert np.abs(again - values).max() <= (values.max() - values.min()) / 65_535
    assert in_steps(np.full(4, 0.25, np.float32))["steps"] == in_steps(np.zeros(4))["steps"]
