"""Lanes share the work out, pass on what they find, and end together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
import torch

from explorer.lanes import side_by_side

LANES = pytest.mark.parametrize("lanes", [1, 2, 3])


def squares(numbers: Iterator[int]) -> Iterator[int]:
    for number in numbers:
        yield number * number


@LANES
def test_every_piece_is_done_once(lanes):
    assert sorted(side_by_side(squares, range(50), lanes)) == [n * n for n in range(50)]
    assert list(side_by_side(squares, [], lanes)) == []


def test_pieces_are_done_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)

    def meet(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            meeting.wait()  # goes on only if another lane is here, too
            yield number

    assert sorted(side_by_side(meet, range(4), 2)) == [0, 1, 2, 3]


@LANES
def test_an_error_is_raised_where_the_results_are_wanted(lanes):
    done = []

    def fail(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            if number == 3:
                raise ValueError("three")
            time.sleep(0.01)
            done.append(number)
            yield number

    with pytest.raises(ValueError, match="three"):
        list(side_by_side(fail, range(1000), lanes))
    assert len(done) < 100, "the others stopped, too"


@LANES
def test_who_wants_no_more_gets_no_more(lanes):
    begun = []

    def slow(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            begun.append(number)
            time.sleep(0.01)
            yield number

    results = side_by_side(slow, range(1000), lanes)
    next(results)
    results.close()
    at_close = len(begun)
    assert at_close < 20
    time.sleep(0.05)
    assert len(begun) == at_close, "no lane goes on behind one's back"


def test_a_lane_computes_on_one_core_in_the_context_of_who_asked():
    asked: ContextVar[str] = ContextVar("asked", default="nobody")
    asked.set("me")

    def look(numbers: Iterator[int]) -> Iterator[tuple[int, str]]:
        for _ in numbers:
            yield torch.get_num_threads(), asked.get()

    before = torch.get_num_threads()
    try:
        assert set(side_by_side(look, range(4), 2)) == {(1, "me")}
    finally:
        torch.set_num_threads(before)
