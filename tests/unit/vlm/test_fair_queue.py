"""Visitors take turns: the least served first, short questions before long jobs, none for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from itertools import pairwise

import pytest
import torch

from explorer import analyses
from explorer.cases.request import CaseRequest
from explorer.errors import TooManyRequests
from explorer.pico.data import scenes
from explorer.vlm.turns import current_run, fair_queue, limits
from explorer.vlm.turns.current_run import clock, yield_turn
from explorer.vlm.turns.fair_queue import Cancelled, FairQueue, Run

PATIENCE = 60  # seconds


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    """Give way at every chance."""
    monkeypatch.setattr(fair_queue, "SLICE", 0.0)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def finish(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def all_at_once(queue: FairQueue, works: list[Callable[[], object]]) -> None:
    """Let works that need a turn wait behind one that has the only slot, until all are there."""
    first = queue.join("first")
    with first.turn():
        threads = [in_thread(work) for work in works]
        with queue.changed:
            everybody = queue.changed.wait_for(lambda: len(queue._waiting) == len(works), PATIENCE)
        assert everybody
    queue.leave(first)
    finish(*threads)


def order_of(queue: FairQueue, runs: list[Run]) -> list[Run]:
    """Tell in which order runs get the only slot."""
    done = []
    all_at_once(queue, [lambda run=run: run.call(lambda: done.append(run)) for run in runs])
    return done


def test_short_questions_come_before_long_jobs_whoever_came_first():
    queue = FairQueue()
    long, short = queue.join("a", long=True), queue.join("b")
    assert order_of(queue, [long, short]) == [short, long]


def test_who_was_served_least_comes_first_and_a_newcomer_starts_where_the_others_are():
    queue = FairQueue()
    served, other = queue.join("a"), queue.join("b")
    queue._times |= {"a": 9.0, "b": 7.0}
    queue._time = 6.0
    new = queue.join("c")
    assert queue._times["c"] == 6.0, "not at zero, where he would stand before all for long"
    assert order_of(queue, [served, other, new]) == [new, other, served]


def test_a_stream_of_short_questions_does_not_hold_up_a_long_job_for_ever():
    queue = FairQueue()
    many, job = queue.join("a"), queue.join("b", long=True)
    queue._times["a"] += fair_queue.HEAD_START + 1
    assert order_of(queue, [many, job]) == [job, many]


def together(queue: FairQueue, works: list[Callable[[], object]]) -> tuple[list, int]:
    """Let as many visitors work at the same time; gives what they found, and how often turns went
    from one to another.
    """
    runs = [queue.join(str(number), long=True) for number in range(len(works))]
    turns, found, next_turn = [], {}, queue._next

    def watched() -> None:
        next_turn()
        turns.extend(run for run in runs if run.has_turn)

    def work(run: Run, function: Callable[[], object]) -> None:
        found[run] = run.call(function)

    queue._next = watched
    all_at_once(queue, [partial(work, *each) for each in zip(runs, works, strict=True)])
    changes = sum(a is not b for a, b in pairwise(turns))
    return [found[run] for run in runs], changes


def test_long_jobs_take_turns_and_random_numbers_go_on_as_if_alone():
    def draw(seed: int) -> list[float]:
        torch.manual_seed(seed)
        numbers = []
        for _ in range(30):
            numbers.append(float(torch.rand(1)))
            yield_turn()
        return numbers

    with torch.random.fork_rng(devices=[]):
        alone = [draw(seed) for seed in (1, 2)]
        found, changes = together(FairQueue(), [lambda: draw(1), lambda: draw(2)])
    assert found == alone and changes >= 2


def test_a_model_gives_way_between_its_layers_and_answers_the_same():
    image = scenes.make(3).image
    requests = [CaseRequest.make("pico", image, q) for q in ("what is there ?", "is it red ?")]
    works = [lambda each=each: analyses.answer(each, "fastv", 64).tokens for each in requests]
    alone = [work() for work in works]
    found, changes = together(FairQueue(), works)
    assert found == alone and changes >= 2


def test_the_clock_of_a_run_stands_still_while_others_have_their_turn():
    queue = FairQueue()
    run, other = queue.join("a"), queue.join("b")
    with run.turn():
        before = clock()
    with other.turn():
        assert run.clock() == run.clock() >= before
    stood = run.clock()
    with run.turn():
        assert stood <= clock() < stood + PATIENCE


def endless() -> Iterator[int]:
    while True:
        yield_turn()
        yield 1


def test_what_nobody_waits_for_stops_at_its_next_step_while_computing_and_while_waiting():
    queue, left = FairQueue(), threading.Event()
    run = queue.join("a", cancelled=left.is_set)
    waiting = queue.join("b", cancelled=left.is_set)
    steps = run.values(endless())
    next(steps)
    with run.turn():
        asks = in_thread(lambda: waiting.call(lambda: pytest.fail("it has left")))
        left.set()
        finish(asks)
    assert list(steps) == []
    assert queue.count(without=None) == 0, "both have left the queue"


def test_threads_of_a_run_that_is_closed_stop_with_it():
    queue, began, stopped = FairQueue(), threading.Event(), threading.Event()
    run = queue.join("a")

    def beside() -> None:
        try:
            while True:
                began.set()
                yield_turn()
        except Cancelled:
            stopped.set()

    def work() -> Iterator[int]:
        in_thread(partial(copy_context().run, beside))
        yield 1

    steps = run.values(work())
    next(steps)
    assert began.wait(PATIENCE)
    steps.close()
    assert stopped.wait(PATIENCE)


def test_one_visitor_gets_a_bounded_number_of_places_and_all_together_keep_some_for_the_short():
    queue = FairQueue()
    for _ in range(limits.MAX_RUNS_OF_ONE):
        queue.join("a", long=True)
    with pytest.raises(TooManyRequests, match="of your questions"):
        queue.join("a")
    for number in range(limits.MAX_LONG_RUNS - limits.MAX_RUNS_OF_ONE):
        queue.join(f"b{number}", long=True)
    with pytest.raises(TooManyRequests, match="So many people"):
        queue.join("c", long=True)
    run = queue.join("c")
    queue.leave(run)
    assert queue.count(without=None) == limits.MAX_LONG_RUNS


def test_what_is_remembered_of_visitors_is_bounded(monkeypatch):
    monkeypatch.setattr(fair_queue, "MAX_VISITORS", 5)
    queue = FairQueue()
    for number in range(50):
        run = queue.join(str(number))
        queue._times[run.visitor] += number
        queue.leave(run)
    assert len(queue._times) <= 6


def test_without_slices_a_run_keeps_its_turn_until_it_has_ended():
    queue = FairQueue(sliced=False)
    run = queue.join("a")
    steps = run.values(endless())
    next(steps)
    assert run.has_turn, "between two values too: its GPU is lent all the while"
    steps.close()
    assert queue.join("b").call(lambda: 5) == 5


def test_a_run_knows_with_how_many_it_takes_turns():
    queue = FairQueue()
    run = queue.join("a")
    queue.join("b")
    assert run.call(current_run.others) == 1


def test_a_run_knows_its_place_among_all():
    queue = FairQueue()
    run, other, job = queue.join("a"), queue.join("b"), queue.join("c", long=True)
    queue._times |= {"a": 3.0, "b": 1.0, "c": 0.0}
    assert [queue.place(each) for each in (other, run, job)] == [(1, 3), (2, 3), (3, 3)]
    queue.leave(other)
    assert queue.place(run) == (1, 2)


def test_outside_a_queue_nobody_waits():
    yield_turn()
    assert current_run.others() == 0 and current_run.place() == (1, 1)
    assert clock() <= clock()


def test_few_long_jobs_have_begun_and_hold_their_tensors_at_a_time(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BEGUN", 3)
    queue = FairQueue()
    mine = [queue.join("a", long=True) for _ in range(3)]
    others = [queue.join(name, long=True) for name in "bc"]
    short = queue.join("a")

    def may_go_on(run: Run) -> bool:
        return limits.may_go_on(run, queue._runs)

    for run in [*mine[:2], others[0]]:
        queue.take(run)
        queue.put_back(run)
    assert not any(map(may_go_on, (mine[2], others[1]))), "two of one, three of all"
    assert all(map(may_go_on, (short, *mine[:2], others[0])))
    assert queue.place(others[1]) == (5, 6), "those that have begun are ahead"
    queue.leave(others[0])
    assert may_go_on(others[1]) and not may_go_on(mine[2])
    queue.leave(mine[0])
    assert may_go_on(mine[2])


def test_who_waits_for_his_first_turn_is_told_his_place_whenever_it_has_changed(monkeypatch):
    monkeypatch.setattr(fair_queue, "PLACE_SECONDS", 0.01)
    queue = FairQueue()
    first, second, run = (queue.join(name, long=True) for name in "abc")
    queue._times |= {"a": 1.0, "b": 2.0, "c": 3.0}
    told = run.values(iter_of("answer"), waiting=lambda place: place)
    queue.take(first)
    assert next(told) == (3, 3)
    queue.leave(second)
    assert next(told) == (2, 2)
    queue.leave(first)
    assert list(told) == ["answer"]
    assert queue.count(without=None) == 0
    alone = queue.join("d", long=True)
    assert list(alone.values(iter_of("answer"), waiting=lambda place: place)) == ["answer"]


def iter_of(value: str) -> Iterator[str]:
    yield value
