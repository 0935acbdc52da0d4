"""A page whose state the server has lost recovers, and invented sessions don't cost it that."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import gradio as gr
import httpx
import pytest
from conftest import answered_all, leave, state, until, visit
from PIL import Image

from explorer.ui import page as ui_page
from explorer.ui.messages import AnswerMessage
from explorer.ui.requests import Channel, replies
from explorer.ui.web import session_states
from explorer.ui.web.presence import Presence
from explorer.ui.web.session_states import SessionStates

MAX_ABSENT = 2  # in these tests: Gradio makes a copy of the whole page for every state
CHANNEL = Channel("a", None, None, None, event="ask")


@pytest.fixture(scope="module")
def demo(_canned) -> Iterator[gr.Blocks]:
    canned, _ = _canned
    canned.reset()
    demo = ui_page.build(use_cases=canned.use_cases())
    settings = ui_page.launch_settings()
    demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **settings)
    yield demo
    demo.close()


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(session_states, "MAX_ABSENT", MAX_ABSENT)


@pytest.mark.browser
def test_a_page_opens_anew_what_the_server_has_forgotten(browser, demo):
    page = visit(browser, demo.local_url)
    picture = io.BytesIO()
    Image.effect_mandelbrot((224, 224), (-3, -2.5, 2, 2.5), 50).convert("RGB").save(picture, "PNG")
    before = state(page)["case"]["id"]
    file = {"name": "own.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    page.locator("#vt-picture input[type=file]").set_input_files(file)
    until(page, "state.case.id !== before", before=before)
    answered_all(page)
    own = state(page)["case"]["id"]
    demo.app.state_holder.session_data.clear()
    page.evaluate("document.querySelector('.vt-stage input[aria-valuetext]').focus()")
    page.keyboard.press("ArrowLeft")
    for _ in range(600):
        states = [each.state_data for each in demo.app.state_holder.session_data.values()]
        ids = [getattr(value, "id", None) for held in states for value in held.values()]
        if own in ids:
            break
        page.wait_for_timeout(100)
    assert own in ids
    until(page, "state.case.id === own", own=own)
    answered_all(page)
    assert page.errors == []
    leave(page)


class Untouched:
    id, untouched = "first", True


def test_only_what_a_lost_session_does_not_know_is_said_to_be_forgotten():
    sent = {"case": "own", "method": "clsattn", "budget": 64, "ticket": 5}

    def nobody(*_) -> Iterator[dict]:
        pytest.fail("works for it")

    (said,) = replies(CHANNEL, AnswerMessage, nobody, sent, Untouched, lambda: False)
    assert said["forgotten"] and said["done"] and said["case"] == "own" and said["ticket"] == 5
    known = type("Session", (), {"id": "other", "untouched": False})
    assert list(replies(CHANNEL, AnswerMessage, nobody, sent, known, lambda: False)) == []


def test_invented_sessions_do_not_cost_an_open_page_its_state(demo, few):
    url, holder = f"{demo.local_url}gradio_api", demo.app.state_holder
    with httpx.stream("GET", f"{url}/heartbeat/visitor") as alive:
        lines = alive.iter_lines()  # closed with its last reference, and the connection with it
        next(lines)
        assert holder["visitor"]
        for number in range(MAX_ABSENT + 2):
            assert holder[f"invented{number}"]
        httpx.post(f"{url}/queue/join", json={"session_hash": "more", "data": [], "fn_index": 0})
        assert "visitor" in holder and len(holder.session_data) <= MAX_ABSENT + 2
        assert "invented0" not in holder and lines


def test_replies_that_nobody_fetches_are_not_kept(demo, few):
    url, queue = f"{demo.local_url}gradio_api/queue/join", demo._queue
    for number in range(MAX_ABSENT + 2):
        unread = {"session_hash": f"unread{number}", "data": [None, 1, "", 1, "pico"]}
        httpx.post(url, json=unread | {"fn_index": 0}).raise_for_status()
    held, names = queue.pending_messages_per_session, queue.pending_event_ids_session
    for _ in range(600):  # until all of them have been refused, a moment after they came
        if not queue.event_ids_to_events:
            break
        time.sleep(0.1)
    httpx.post(url, json={"session_hash": "last", "data": [], "fn_index": 0})
    assert len(held) <= MAX_ABSENT + 1 and "unread0" not in held and "unread0" not in names
    assert f"unread{MAX_ABSENT + 1}" in held, "what is new waits for its reader"


def test_what_open_pages_hold_is_bounded_in_bytes(monkeypatch):
    from gradio.state_holder import StateHolder

    monkeypatch.setattr(session_states, "MAX_BYTES", 2 * session_states.STATE_BYTES + 900)
    holder, states = StateHolder(), SessionStates(None, presence := Presence())
    large = type("Value", (), {"nbytes": 600})
    for name in "abc":
        holder.session_data[name] = type("State", (), {"state_data": {1: large}})
        presence.enter(name)
    holder.session_data.move_to_end("a")
    states.bound(holder)
    assert list(holder.session_data) == ["a"]
