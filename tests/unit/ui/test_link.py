"""Links restore what they name; a wrong one is refused in a sentence that a person understands."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from explorer.errors import BadLink
from explorer.pico.data import questions, scenes
from explorer.ui import examples, link


def test_a_link_names_scene_question_model_method_and_budget():
    asked = {
        "scene": "5",
        "question": "is there an owl & a cat ?",
        "model": "pico",
        "method": "random?seed=3",
        "budget": "9",
    }
    found = link.read("?" + urlencode(asked))
    assert (found.seed, found.question, found.model) == (5, asked["question"], "pico")
    assert found.show == {"method": "random?seed=3", "budget": 9} and found.example is None


def test_what_is_left_out_is_what_the_page_shows_at_first():
    first = examples.load(examples.names()[0])
    found = link.read("method=fastv")
    assert (found.seed, found.question) == (first["seed"], first["case"]["question"])
    assert found.example == examples.names()[0] and found.show == {"method": "fastv"}
    assert link.read("scene=7").question == questions.suggest(scenes.make(7))[0]


def test_an_example_is_shown_finished_only_where_it_shows_just_this():
    shown = examples.load("find")
    whole = {"scene": shown["seed"], "question": shown["case"]["question"]}
    assert link.read(urlencode(whole)).example == "find"
    assert link.read("example=find").example == "find"
    assert link.read("example=find&question=what do you see ?").example is None
    assert link.read("example=find&model=llava-1.5-7b").example is None


@pytest.mark.parametrize("query", ["", "?", "?__theme=dark", "?utm_source=elsewhere"])
def test_an_address_that_asks_for_nothing_of_ours_is_no_link(query):
    assert link.read(query) is None


@pytest.mark.parametrize(
    "query",
    [
        "scene=-1", "scene=1e3", "scene=", "scene=\u0663", f"scene={10**15}{10**15}",
        "example=nothing", "example=../corner", "model=gpt", "method=nonsense", "method=",
        "budget=0", "budget=1.5", "budget=200000", "question=", "question=" + "a" * 501,
        "scene=5&question=" + "a" * 5_000,
    ],
)  # fmt: skip
def test_a_wrong_link_is_refused_in_a_sentence(query):
    with pytest.raises(BadLink) as refused:
        link.read(query)
    sentence = str(refused.value)
    assert sentence.startswith("This link can't be followed") and sentence.endswith(".")
