"""What scripts send is judged by who answers, in one sentence, and reaches him untouched."""

from __future__ import annotations

import inspect
import io

import gradio as gr
import pytest
from PIL import Image

from explorer import analyses
from explorer.cases.cache import ResultCache
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.media.video import even
from explorer.pico.data import scenes
from explorer.ui.components import WholeInput
from explorer.ui.endpoints import Endpoints
from explorer.ui.session import AppState, UseCases

QUESTION = "what is in the middle ?"
PICTURE = scenes.make(1).image


def endpoints(answer) -> Endpoints:
    return Endpoints(AppState(UseCases(answer=answer)))


@pytest.mark.parametrize(
    ("budget", "sent"),
    [(64.6, "64.6"), (None, "none"), ("64", "'64'"), (True, "True"), (197, "197"), ([1], "[1]")],
)
def test_what_is_no_budget_gets_one_sentence_from_functions_and_endpoints(budget, sent):
    sentence = f"The budget must be a whole number from 1 to 196, not {sent}."
    with pytest.raises(VisitorError) as refused:
        request, known = CaseRequest.make("pico", PICTURE, QUESTION), ResultCache(10**8)
        analyses.answer(request, "random", 1, cache=known)
        analyses.answer(request, "random", budget, cache=known)
    assert str(refused.value) == sentence
    handed_over = WholeInput().preprocess(budget)
    with pytest.raises(gr.Error) as refused:
        endpoints(analyses.answer).answer(PICTURE, QUESTION, "random", handed_over, "pico")
    assert refused.value.message == sentence


def test_what_is_no_whole_number_is_refused_by_every_endpoint_that_takes_one():
    """Not rounded: a script that sends 1.5 has made a mistake that it should hear of."""
    app = Endpoints(AppState(cache=ResultCache(10**8)))
    wanted = [
        (name, argument)
        for name, function in inspect.getmembers(app, inspect.ismethod)
        if not name.startswith("_")
        for argument, parameter in inspect.signature(function).parameters.items()
        if parameter.annotation == "int"
    ]
    assert len(wanted) == 8, wanted
    others = {"method": "fastv", "budget": 64, "there": "a dog"}
    for name, argument in wanted:
        endpoint = getattr(app, name)
        taken = inspect.signature(endpoint).parameters.keys() & others.keys()
        for wrong in (1.5, True, None):
            sent = {key: others[key] for key in taken} | {argument: WholeInput().preprocess(wrong)}
            with pytest.raises(gr.Error, match="whole number"):
                endpoint(PICTURE, QUESTION, **sent)
    frames = WholeInput(precision=0, minimum=2)
    for wrong in (9.5, True, None, "9"):
        with pytest.raises(VisitorError, match="2 to 16 frames"):
            even(40, frames.preprocess(wrong))


def test_what_can_not_be_explained_gets_a_sentence():
    app = Endpoints(AppState(cache=ResultCache(10**8)))
    with pytest.raises(gr.Error, match="no method called"):
        app.diagnose(PICTURE, QUESTION, "full", 64)
    with pytest.raises(gr.Error, match="no such way"):
        app.oracle(PICTURE, QUESTION, "", "magic")


def test_a_whole_number_is_a_budget_however_a_client_writes_it():
    assert [WholeInput().preprocess(each) for each in (64, 64.0)] == [64, 64]
    assert isinstance(WholeInput().preprocess(64.0), int)


@pytest.mark.parametrize(
    ("model", "question", "method", "words"),
    [
        (None, QUESTION, "random", "no model named None"),
        ("pi\ud83d", QUESTION, "random", "no model named"),
        ("pico", None, "random", "type a question"),
        ("pico", "is it \ud83d ?", "random", "half a character"),
        ("pico", QUESTION, None, "no method called None"),
        ("pico", QUESTION, "cls\ud83d", "no method called"),
    ],
)
def test_nothing_and_half_a_letter_get_a_sentence(model, question, method, words):
    with pytest.raises(VisitorError, match=words):
        analyses.answer(CaseRequest.make(model, PICTURE, question), method, 64)
    with pytest.raises(gr.Error, match=words):
        endpoints(analyses.answer).answer(PICTURE, question, method, 64, model)


def test_an_answer_tells_what_was_done_to_the_picture():
    film = io.BytesIO()
    PICTURE.save(film, "GIF", save_all=True, append_images=[Image.new("RGB", PICTURE.size)])
    known = Answer("random", 64, "a cat", (), layers=(64,))
    told = endpoints(lambda *_, **__: known).answer(film.getvalue(), QUESTION, "random", 64)
    assert any("first" in note for note in told["notes"])


def test_inside_tells_of_words_layers_and_keys_and_what_is_wrong_in_one_sentence():
    ask = Endpoints(AppState()).inside
    told = ask(PICTURE, QUESTION, "fastv", 64, 3, 1, 32, "pico")
    for name in ("full", "pruned"):
        run = told[name]
        assert run["says"][-1] == run["predicted"]
        assert run["attention"]["rows"] == len(run["predicted"])
    assert told["reads"]["tidal"]["keys"] == told["reads"]["select"]["keys"] == 32
    assert [each["layer"] for each in told["removal"]] == list(range(12))
    for wrong, words in (
        (("fastv", 64, 12, -1, 32), "from 0 to 11, heads"),
        (("fastv", 64, -1, 2, 32), "A head is one of a layer"),
        (("fastv", 64, None, -1, 32), "from 0 to 11, heads"),
        (("fastv", 64, 3, -1, 0), "a whole number from 1 on, not 0"),
        (("fastv", 64, 3, -1, None), "a whole number from 1 on, not None"),
        (("nobody", 64, 3, -1, 32), "no method called"),
        (("fastv", 197, 3, -1, 32), "whole number from 1 to 196"),
    ):
        with pytest.raises(gr.Error, match=words):
            ask(PICTURE, QUESTION, *wrong, "pico")
