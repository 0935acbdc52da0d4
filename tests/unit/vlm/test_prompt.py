"""Questions as a model reads them: checked, cleaned, and put into the template at a known place."""

from __future__ import annotations

import pytest

from explorer.analyses import overview
from explorer.cases.request import CaseRequest
from explorer.errors import BadQuestion
from explorer.methods import catalog
from explorer.methods.baselines.uniform import Uniform
from explorer.pico.data import scenes
from explorer.vlm.prompt import as_read, check_question

QUESTION = "what is in the middle ?"
MARKED = "what is <image> in the </s> middle ?"
SIX_METHODS = ("cdpruner", "mmtok", "fastv", "corematching", "relevance_map", "clsattn")


@pytest.mark.parametrize(
    "question", [None, 7, "", "  \n", "x" * 501, "half \ud83d of it", "\udc00"]
)
def test_what_is_no_question_gets_a_sentence(question):
    with pytest.raises(BadQuestion) as refused:
        check_question(question)
    assert str(refused.value).endswith(".") and str(refused.value).isprintable()


def test_a_whole_emoji_is_a_question():
    assert check_question(" \U0001f600  ? ") == "\U0001f600 ?"


@pytest.mark.parametrize("spec", SIX_METHODS)
def test_marks_in_a_question_change_no_kept_set(spec):
    picture = scenes.make(5).image
    plain, marked = (
        overview.draw(CaseRequest.make("pico", picture, text), spec) for text in (QUESTION, MARKED)
    )
    assert plain.score.tolist() == marked.score.tolist()


def test_the_page_is_told_what_was_taken_out(monkeypatch):
    monkeypatch.setattr(catalog, "choices", lambda: [Uniform()])  # notes of words need no maps
    picture = scenes.make(5).image
    notes = " ".join(overview.analyse(CaseRequest.make("pico", picture, MARKED)).notes)
    assert f"it reads “{QUESTION}”" in notes
    assert "reads no question" in " ".join(
        overview.analyse(CaseRequest.make("pico", picture, "<image>")).notes
    )


def test_without_words_cdpruner_is_left_with_diversity():
    picture = scenes.make(5).image
    nothing, something = (
        overview.draw(CaseRequest.make("pico", picture, text), "cdpruner")
        for text in ("<image>", QUESTION)
    )
    assert nothing.order.tolist() != something.order.tolist()
    assert (
        nothing.order.tolist()
        == overview.draw(CaseRequest.make("pico", picture, "</s>"), "cdpruner").order.tolist()
    )


def test_line_breaks_of_a_prompt_of_ours_stay():
    class Tokenizer:
        added_tokens_decoder, all_special_tokens = {}, ["<image>"]

    assert as_read(" one\ntwo  three ", Tokenizer) == "one\ntwo  three"
    assert as_read("one <image>  two <image>", Tokenizer) == "one two"
