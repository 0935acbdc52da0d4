"""Threads share the work out, pass on what they find, and end together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import ContextVar
from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer import analyses
from explorer.cases import scheduler
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.vlm.loader import default_loader
from explorer.vlm.threads import Prefetch, cpu_threads, parallel, with_cpu_threads

QUESTION = "what is in the middle ?"
N_THREADS = pytest.mark.parametrize("n_threads", [1, 2, 3])


def squares(numbers: Iterator[int]) -> Iterator[int]:
    for number in numbers:
        yield number * number


@N_THREADS
def test_every_piece_is_done_once(n_threads):
    assert sorted(parallel(squares, range(50), n_threads)) == [n * n for n in range(50)]
    assert list(parallel(squares, [], n_threads)) == []


def test_pieces_are_done_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)

    def meet(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            meeting.wait()  # goes on only if another thread is here, too
            yield number

    assert sorted(parallel(meet, range(4), 2)) == [0, 1, 2, 3]


@N_THREADS
def test_an_error_is_raised_where_the_results_are_wanted(n_threads):
    done = []

    def fail(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            if number == 3:
                raise ValueError("three")
            time.sleep(0.01)
            done.append(number)
            yield number

    with pytest.raises(ValueError, match="three"):
        list(parallel(fail, range(1000), n_threads))
    assert len(done) < 900, "the others stopped, too"


@N_THREADS
def test_who_wants_no_more_gets_no_more(n_threads):
    begun = []

    def slow(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            begun.append(number)
            time.sleep(0.01)
            yield number

    results = parallel(slow, range(1000), n_threads)
    next(results)
    results.close()
    assert len(begun) < 900
    here = [thread for thread in threading.enumerate() if thread.name.startswith("parallel")]
    assert not here, "no thread goes on behind one's back"


def test_who_would_wait_for_a_result_works_one_out():
    meeting = threading.Barrier(2, timeout=10)

    def work(numbers: Iterator[int]) -> Iterator[threading.Thread]:
        for number in numbers:
            if number:  # goes on only if the other thread is here, too
                meeting.wait()
            yield threading.current_thread()

    with closing(Prefetch(work, range(3), 2)) as results:
        done = list(results)
    assert len(done) == 3 and done[0] is not done[1] is threading.current_thread()


def test_a_lane_computes_on_one_core_in_the_context_of_who_asked():
    asked: ContextVar[str] = ContextVar("asked", default="nobody")
    asked.set("me")

    def look(numbers: Iterator[int]) -> Iterator[tuple[int, str]]:
        for _ in numbers:
            yield torch.get_num_threads(), asked.get()

    with cpu_threads(3):
        assert set(parallel(look, range(4), 2)) == {(1, "me")}
        assert torch.get_num_threads() == 3


def test_the_number_of_threads_is_what_it_was_behind_a_context():
    before = torch.get_num_threads()
    with cpu_threads(3):
        with pytest.raises(ValueError), cpu_threads(2):
            assert torch.get_num_threads() == 2
            raise ValueError
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_every_value_is_computed_with_its_threads_whoever_asks_for_it():
    ended = []

    def look() -> Iterator[int]:
        try:
            for _ in range(3):
                yield torch.get_num_threads()
        finally:
            ended.append(torch.get_num_threads())

    values, before = with_cpu_threads(look(), 3), torch.get_num_threads()
    assert next(values) == 3 and torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, values).result() == 3
    assert list(values) == [3] and ended == [3] and torch.get_num_threads() == before
    values = with_cpu_threads(look(), 3)
    next(values)
    values.close()
    assert len(ended) == 2, "who wants no more ends the work"


def test_two_threads_find_what_one_finds():
    image = scenes.make(4).image
    wanted = [(spec, 40) for spec in ("random", "pool", "fastv", "visionzip", "visiondrop")]
    wanted += [("clsattn", budget) for budget in range(1, 60, 12)]
    found = {}
    for cores in (1, 2):
        pico = replace(default_loader().load("pico"), cores=cores)
        analysis = analyses.analyse(CaseRequest.make(pico, image, QUESTION))
        told = {
            (t.method, t.budget): t
            for t in scheduler.answer_many(CaseRequest.make(pico, image, QUESTION), wanted)
        }
        found[cores] = analysis, told
    for one, two in zip(found[1][0].methods, found[2][0].methods, strict=True):
        assert one.spec == two.spec
        np.testing.assert_allclose(two.score, one.score, rtol=1e-4, atol=1e-5)
    assert found[1][1].keys() == found[2][1].keys() == set(wanted)
    for spec, one in found[1][1].items():
        two = found[2][1][spec].answer
        assert np.array_equal(two.stages[-1].fate, one.answer.stages[-1].fate)
        assert two.text == one.answer.text
        assert two.p_full == pytest.approx(one.answer.p_full, abs=1e-4)
