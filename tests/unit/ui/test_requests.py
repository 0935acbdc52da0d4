"""Requests and replies: stale ones stop, mistakes become sentences, nothing empties a block."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from explorer.errors import BadBudget, BadMessage
from explorer.ui.messages import AnswerMessage, ModelMessage
from explorer.ui.requests import Channel, checked, or_skip, replies
from explorer.ui.session import RequestTickets


class Open:
    id, model = "case", "pico"


SENT = {"case": "case", "method": "clsattn", "budget": 64, "ticket": 5}
CHANNEL = Channel("a", None, None, None, event="ask", defaults={"answers": []})


def got(handler, sent=SENT, stop=lambda: False) -> list[dict]:
    return list(replies(CHANNEL, AnswerMessage, handler, sent, Open, stop))


def test_replies_name_case_and_ticket_and_keep_what_earlier_ones_said():
    def handler(session, message, stop) -> Iterator[dict]:
        yield {"progress": 1}
        yield {}
        yield {"answers": [message.budget], "done": True}

    first, last = got(handler)
    head = {"case": "case", "ticket": 5, "error": None, "progress": 1}
    assert first == head | {"answers": []}
    assert last == head | {"answers": [64], "done": True}


def test_a_mistake_of_the_visitor_is_the_last_reply():
    def handler(session, message, stop) -> Iterator[dict]:
        yield {"answers": [1]}
        raise BadBudget("Too many.")

    assert got(handler)[1:] == [
        {"case": "case", "ticket": 5, "answers": [1], "error": "Too many.", "done": True}
    ]


def test_a_mistake_of_ours_fails_loudly():
    def handler(session, message, stop) -> Iterator[dict]:
        yield {}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        got(handler)


@pytest.mark.parametrize("sent", [None, "text", 5, [], {"ticket": 5}, SENT | {"budget": "64"}])
def test_nonsense_gets_one_sentence_and_nobody_works(sent):
    (reply,) = got(lambda *_: pytest.fail("works for nonsense"), sent)
    assert reply["done"] and reply["error"].endswith(".") and reply["answers"] == []


def test_a_message_about_an_earlier_case_is_not_answered():
    assert got(lambda *_: pytest.fail("works for it"), SENT | {"case": "earlier"}) == []


def test_a_stale_run_is_closed_at_its_next_reply():
    closed, stopped = [], iter([False, True])

    def handler(session, message, stop) -> Iterator[dict]:
        try:
            for number in range(9):
                yield {"answers": [number]}
        finally:
            closed.append(number)

    assert len(got(handler, stop=lambda: next(stopped))) == 1
    assert closed == [1]


def test_a_generator_that_gives_nothing_skips_every_block():
    def silent(value) -> Iterator[dict]:
        """Its words."""
        yield from value

    assert list(or_skip(silent)([])) == [gr.skip()]
    assert list(or_skip(silent)([{}, {}])) == [gr.skip()]
    assert list(or_skip(silent)([{"a": 1}, {}])) == [{"a": 1}]
    assert or_skip(silent).__doc__ == "Its words."
    assert or_skip(lambda: {})() == or_skip(lambda: None)() == gr.skip()
    assert or_skip(lambda: {"a": 1})() == {"a": 1}


def test_what_a_handler_is_given_was_checked_and_mistakes_go_to_the_notes():
    def load(message: ModelMessage, other: int) -> dict:
        return {"opened": (message.chosen, other)}

    def load_slowly(message: ModelMessage, other: int) -> Iterator[dict]:
        yield load(message, other)
        raise BadMessage("No.")

    said = {"notes": {"kind": "error", "lines": ["No."]}}
    whole = checked(ModelMessage, "notes", load)
    assert whole({"chosen": "corner"}, 3) == {"opened": ("corner", 3)}
    assert set(whole(None, 3)) == {"notes"}
    slowly = checked(ModelMessage, "notes", load_slowly)
    assert list(slowly({"chosen": "corner"}, 3)) == [{"opened": ("corner", 3)}, said]
    (refused,) = slowly({"chosen": 7}, 3)
    assert set(refused) == {"notes"}


def test_tickets_are_told_apart_by_session_and_channel_and_forgotten_together():
    tickets = RequestTickets(sessions=2)
    tickets.announce("a", "explore", 3)
    tickets.announce("a", "explore", 2)
    tickets.announce("a", "sweep", 9)
    tickets.announce("b", "explore", 1)
    assert [tickets.newest("a", name) for name in ("explore", "sweep", "video")] == [3, 9, 0]
    tickets.announce("c", "explore", 4)
    assert tickets.newest("a", "sweep") == 0, "the oldest session was dropped"
    tickets.forget("b")
    assert (tickets.newest("b", "explore"), tickets.newest("c", "explore")) == (0, 4)
