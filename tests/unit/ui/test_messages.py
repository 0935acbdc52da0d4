"""What a browser sends is checked as a whole; nonsense gets one sentence and never a traceback."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest

from explorer.errors import BadMessage, UnknownMethod, VisitorError
from explorer.methods import catalog
from explorer.ui import messages
from explorer.ui.explore.opening_messages import OpeningMessage
from explorer.ui.messages import AnswerMessage, CaseMessage, Message, SaveMessage
from explorer.ui.tab_messages import (
    BatchMessage,
    EvaluationMessage,
    FailuresMessage,
    ImportanceMessage,
    PickMessage,
    RegionMessage,
    VideoMessage,
)

ANSWER = {"case": "0" * 16, "method": "clsattn", "budget": 64, "ticket": 3}
VIDEO = {"film": "0" * 16, "budget": 64, "alpha": 2, "version": "v1", "method": "fastv"}
FAILURES = {"method": "fastv", "budget": 64, "against": "full", "first": 0, "count": 4}


def test_what_fits_is_read_and_unknown_fields_are_left_out():
    assert messages.read(AnswerMessage, ANSWER | {"more": [1]}).model_dump() == ANSWER
    wanted = [["fastv", 64], ["random?seed=3", 8]]
    read = messages.read(BatchMessage, {"case": "a", "wanted": wanted})
    assert read.wanted == [("fastv", 64), ("random?seed=3", 8)] and read.ticket == 0
    assert messages.read(VideoMessage, VIDEO).alpha == 2.0


@pytest.mark.parametrize("sent", [None, 5, "text", [], [ANSWER], True, math.nan, {}])
def test_what_is_no_message_is_refused(sent):
    with pytest.raises(BadMessage):
        messages.read(AnswerMessage, sent)


@pytest.mark.parametrize(
    ("kind", "sent", "field"),
    [
        (AnswerMessage, ANSWER | {"method": None}, "method"),
        (AnswerMessage, ANSWER | {"method": "a" * 201}, "method"),
        (AnswerMessage, ANSWER | {"ticket": -1}, "ticket"),
        (BatchMessage, {"case": "a", "wanted": [["fastv", 64, 1]]}, "wanted → 0"),
        (BatchMessage, {"case": "a", "wanted": [["fastv", "64"]]}, "wanted → 0 → 1"),
        (BatchMessage, {"case": "a", "wanted": [["fastv", 1]] * 2_001}, "wanted"),
        (PickMessage, {"case": "a", "kept": [0, -1]}, "kept → 1"),
        (PickMessage, {"case": "a", "kept": list(range(20_001))}, "kept"),
        (RegionMessage, {"case": "a", "method": "clsattn", "cells": [1, 2]}, "cells"),
        (RegionMessage, {"case": "a", "method": "clsattn", "cells": [0, 0, 8, 8]}, "cells → 2"),
        (RegionMessage, {"case": "a", "method": "clsattn", "cells": "all"}, "cells"),
        (RegionMessage, {"case": "a", "method": "clsattn", "dilate": 1}, "dilate"),
        (ImportanceMessage, {"case": "a", "way": "removed", "word": True}, "word"),
        (ImportanceMessage, {"case": "a", "way": "removed", "text": 5}, "text"),
        (ImportanceMessage, {"case": "a", "way": "removed", "text": "a" * 8_001}, "text"),
        (SaveMessage, ANSWER | {"kind": "movie"}, "kind"),
        (VideoMessage, VIDEO | {"alpha": math.nan}, "alpha"),
        (VideoMessage, VIDEO | {"alpha": math.inf}, "alpha"),
        (VideoMessage, VIDEO | {"at": "64"}, "at"),
        (FailuresMessage, FAILURES | {"first": 2**53}, "first"),
        (FailuresMessage, FAILURES | {"count": 0}, "count"),
        (OpeningMessage, {"opens": {"kind": "file", "text": {}}}, "opens → file → text"),
        (OpeningMessage, {"opens": {"kind": "scene", "seed": 1.5}}, "opens → scene → seed"),
        (OpeningMessage, {"opens": {"kind": "movie"}}, "opens"),
        (OpeningMessage, {}, "opens"),
    ],
)
def test_a_field_that_does_not_fit_is_named_in_a_sentence(kind, sent, field):
    with pytest.raises(VisitorError) as refused:
        messages.read(kind, sent)
    assert str(refused.value).endswith(f": {field}.")


@pytest.mark.parametrize("budget", ["64", True, 64.6, 0, 10**30, None])
def test_what_is_no_budget_is_told_as_everywhere(budget):
    with pytest.raises(
        VisitorError, match=r"^The budget must be a whole number from 1 to \d+, not "
    ):
        messages.read(AnswerMessage, ANSWER | {"budget": budget})


def test_every_text_list_and_number_of_every_message_is_bounded():
    """A message is limited in size whichever of its fields somebody fills."""

    def unbounded(schema: dict) -> bool:
        kind = schema.get("type")
        inside = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
        inside += [schema["items"]] if isinstance(schema.get("items"), dict) else []
        return (
            (kind == "string" and not schema.keys() & {"maxLength", "enum", "const"})
            or (kind == "array" and "maxItems" not in schema)
            or ("additionalProperties" in schema and "maxProperties" not in schema)
            or (kind == "integer" and "minimum" not in schema)
            or (kind == "integer" and not schema.keys() & {"maximum", "exclusiveMaximum"})
            or any(unbounded(each) for each in inside)
        )

    def kinds(kind: type[Message]) -> list[type[Message]]:
        return [kind, *(below for each in kind.__subclasses__() for below in kinds(each))]

    assert len(kinds(Message)) > 15
    for kind in kinds(Message):
        schema = kind.model_json_schema()
        for part in [schema, *schema.get("$defs", {}).values()]:
            for name, field in part["properties"].items():
                assert not unbounded(field), (kind.__name__, name)


def test_a_ticket_is_read_from_whatever_comes():
    assert messages.ticket_of(ANSWER) == 3
    assert [messages.ticket_of(sent) for sent in (None, 7, {}, {"ticket": "9"})] == [0] * 4


def test_a_message_is_meant_for_the_case_that_is_open():
    class Open:
        id = ANSWER["case"]

    assert messages.read(CaseMessage, ANSWER).meant_for(Open)
    assert not messages.read(CaseMessage, ANSWER | {"case": "other"}).meant_for(Open)
    assert messages.read(VideoMessage, VIDEO).meant_for(Open)
    assert not messages.read(VideoMessage, VIDEO).meant_for(None), "no film was opened"


def test_a_method_is_known_by_one_form_and_listed_once_however_it_is_written():
    written = ["fopru:row", "fopru?strategy=row", "fopru:row?", "fopru:row?&&"]
    pairs = [[spec, 64] for spec in written]
    read = messages.read(BatchMessage, {"case": "a", "wanted": pairs})
    assert read.wanted == [("fopru:row", 64)]
    trial = {"case": "a", "methods": [*written, "fastv?&"], "budget": 64}
    assert messages.read(EvaluationMessage, trial).methods == ["fopru:row", "fastv"]
    asked = {"case": "a", "method": "full", "budget": 64}
    assert messages.read(AnswerMessage, asked).method == "full"
    for length, fits in ((100, True), (101, False), (10_000_000, False)):
        spec = "fastv?" + "&" * (length - 6)
        with nullcontext() if fits else pytest.raises(BadMessage):
            messages.read(AnswerMessage, asked | {"method": spec})
        with nullcontext() if fits else pytest.raises(UnknownMethod, match="100 characters"):
            catalog.resolve(spec)
