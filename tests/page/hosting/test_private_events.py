"""The page's own events, called by hand: nonsense changes and empties nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import httpx
import pytest

NONSENSE = [7, [None], {"ticket": "first", "case": 5, "text": 5, "chosen": 5}]


@pytest.fixture(scope="module")
def client(url) -> Iterator[httpx.Client]:
    """One for all calls: to make one costs more than a call."""
    with httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def events(client) -> list[dict]:
    """The private events that change something on the page, with the kinds of their blocks."""
    config = client.get("/config").json()
    kinds = {block["id"]: block["type"] for block in config["components"]}
    ids = {block["id"]: block["props"].get("elem_id") for block in config["components"]}
    return [
        event
        | {"kinds": [kinds[block] for block in event["inputs"]]}
        | {"ids": [ids[block] for block in event["inputs"]]}
        for event in config["dependencies"]
        if event["api_visibility"] == "private" and event["outputs"] and event["backend_fn"]
    ]


@pytest.fixture
def session() -> str:
    """One for all events of a test: Gradio copies the whole page for every session."""
    return uuid.uuid4().hex[:10]


def post(client: httpx.Client, session: str, event: dict, data: list) -> list[list]:
    """Trigger an event; gives what comes back for its outputs."""
    body = {"data": data, "fn_index": event["id"], "session_hash": session, "trigger_id": None}
    client.post("/gradio_api/queue/join", json=body).raise_for_status()
    outputs = []
    stream = {"params": {"session_hash": session}, "timeout": 60}
    with client.stream("GET", "/gradio_api/queue/data", **stream) as lines:
        for line in filter(None, lines.iter_lines()):
            message = json.loads(line.removeprefix("data: "))
            if message["msg"] == "process_generating" and message["success"]:
                outputs.append(message["output"]["data"])
            if message["msg"] == "process_completed":
                assert message["success"], (event["targets"], data, message["output"])
                return [*outputs, message["output"]["data"]]
    raise AssertionError("the server went away")


def is_skip(value: object) -> bool:
    """Tell whether a block stays as it is; of HTML also its properties."""
    skip = {"__type__": "update"}
    return value in (skip, skip | {"props": skip})


def test_an_upload_that_has_been_taken_away_changes_nothing(client, session, events):
    (upload,) = [each for each in events if each["ids"][:1] == ["vt-picture"]]
    for outputs in post(client, session, upload, [None, "what is in the middle ?", None]):
        assert len(outputs) == len(upload["outputs"])
        # a block of state is null in every reply: its value stays on the server
        states, others = outputs[:1], outputs[1:]
        assert states == [None] and all(map(is_skip, others)), outputs


def test_a_picture_whose_upload_is_gone_is_said_to_be(client, session, events):
    """As where a hit of the tab Failures is opened after its file was deleted."""
    (open_,) = [each for each in events if each["api_name"] == "page_open"]
    opens = {"kind": "picture", "question": "what is it ?", "path": "/nowhere/gone.png"}
    *_, outputs = post(client, session, open_, [{"ticket": 1, "opens": opens}, None])
    assert any("was not uploaded here" in str(value) for value in outputs)


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_nonsense_never_empties_every_block_nor_raises(client, session, events, nonsense):
    told = [each for each in events if each["kinds"][:1] == ["html"]]
    assert len(told) > 10
    for event in told:
        data = [nonsense if kind == "html" else None for kind in event["kinds"]]
        for outputs in post(client, session, event, data):
            assert any(value is not None for value in outputs), (event["targets"], nonsense)


def test_empty_fields_never_empty_every_block_nor_raise(client, session, events):
    for event in events:
        for outputs in post(client, session, event, [None] * len(event["inputs"])):
            assert any(value is not None for value in outputs), event["targets"]
