"""Loaded once, within a budget, in nobody's way: with loaders that take their time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from explorer.errors import ModelUnavailable
from explorer.vlm.model_cache import Cancelled, ModelCache
from explorer.vlm.progress import Progress

SOON = 20.0  # seconds within which something must have happened


class Loader:
    """Loads a key as an object of that name; a gate holds a load back until it is opened."""

    def __init__(self, sizes: dict[str, float] | None = None, slow: tuple[str, ...] = ()):
        self.sizes = sizes or {}
        self.gates = {key: threading.Event() for key in slow}
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.broken: dict[str, Exception] = {}

    def __call__(self, key, report):
        self.begun.append(key)
        try:
            for step in range(1, 101):
                report(Progress(step, 100, "weights"))
                if key not in self.gates or self.gates[key].is_set():
                    break
                time.sleep(0.01)
                if step == 50:
                    assert self.gates[key].wait(SOON)
            if key in self.broken:
                raise self.broken[key]
            return {"key": key}
        finally:
            self.ended.append(key)

    def cache(self, max_bytes: float = 100) -> ModelCache:
        def size(key):
            return self.sizes.get(key, 1)

        return ModelCache(self, size, lambda thing: size(thing["key"]), max_bytes)


def until(true) -> None:
    deadline = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_however_many_ask_it_is_loaded_once():
    loader = Loader(slow=("big",))
    cache = loader.cache()
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(cache.get, "big") for _ in range(12)]
        until(lambda: loader.begun)
        loader.gates["big"].set()
        got = [each.result(SOON) for each in waiting]
    assert loader.begun == ["big"]
    assert all(thing is got[0] for thing in got)
    assert cache.get("big") is got[0], "and is there from then on"
    assert loader.begun == ["big"]


def test_who_wants_something_else_does_not_wait():
    loader = Loader(slow=("big",))
    cache = loader.cache()
    loading = cache.acquire("big")
    until(lambda: loader.begun)
    began = time.monotonic()
    assert cache.get("small") and cache.get("small")
    assert time.monotonic() - began < 1
    assert not loading.done()
    loader.gates["big"].set()
    assert loading.done(SOON) and loading.result()


def test_over_the_budget_the_least_recently_used_goes():
    loader = Loader({"a": 40, "b": 40, "c": 40})
    cache = loader.cache(100)
    a = cache.get("a")
    cache.get("b")
    assert cache.get("a") is a, "switching between loaded things loads nothing"
    cache.get("c")
    assert cache.keys() == ["a", "c"] and cache.nbytes == 80
    cache.get("b")
    assert loader.begun == ["a", "b", "c", "b"]


def test_room_is_made_before_a_load_and_not_after():
    loader = Loader({"a": 60, "b": 60}, slow=("b",))
    cache = loader.cache(100)
    cache.get("a")
    loading = cache.acquire("b")
    until(lambda: "b" in loader.begun)
    assert "a" not in cache
    loader.gates["b"].set()
    loading.done(SOON)
    assert cache.keys() == ["b"]


def test_two_that_do_not_fit_together_are_loaded_one_after_the_other():
    loader = Loader({"a": 60, "b": 60}, slow=("a", "b"))
    cache = loader.cache(100)
    first = cache.acquire("a")
    until(lambda: loader.begun == ["a"])
    second = cache.acquire("b")
    until(lambda: second.progress.stage == "waiting")
    assert loader.begun == ["a"]
    loader.gates["a"].set()
    loader.gates["b"].set()
    assert first.done(SOON) and second.done(SOON)
    assert cache.keys() == ["b"]


def test_what_weighs_more_than_was_expected_pushes_others_out():
    cache = ModelCache(lambda key, report: key, lambda key: 1, lambda thing: 60, 100)
    cache.get("a")
    cache.get("b")
    assert cache.keys() == ["b"]


def test_progress_can_be_read_while_it_loads():
    loader = Loader(slow=("big",))
    loading = loader.cache().acquire("big")
    until(lambda: loading.progress.done >= 3)
    assert loading.progress.stage == "weights"
    assert 0 < loading.progress.share < 1
    loader.gates["big"].set()
    loading.done(SOON)


def test_the_last_who_leaves_ends_the_load_and_the_first_does_not():
    loader = Loader(slow=("big",))
    cache = loader.cache()
    mine, yours = cache.acquire("big"), cache.acquire("big")
    assert mine is yours
    cache.release(mine)
    here = yours.progress.done
    until(lambda: yours.progress.done >= min(here + 3, 50))  # it goes on
    assert not loader.ended
    cache.release(yours)
    until(lambda: loader.ended)
    yours.done(SOON)
    with pytest.raises(Cancelled):
        yours.result()
    assert "big" not in cache and cache.nbytes == 0
    loader.gates["big"].set()
    assert cache.get("big") == {"key": "big"}, "and may be wanted again"


class Stalled:
    """Downloads "stuck" until its gate opens, without another step; other keys come at once."""

    def __init__(self, stage: str = "download"):
        self.stage, self.gate, self.begun, self.ended = stage, threading.Event(), [], []

    def __call__(self, key, report):
        self.begun.append(key)
        report(Progress(1, 100, self.stage))
        try:
            if key == "stuck":
                assert self.gate.wait(2 * SOON)
            report(Progress(2, 100, "weights"))
            return {"key": key}
        finally:
            self.ended.append(key)

    def left(self) -> tuple[ModelCache, object]:
        """A cache whose only visitor has left while the download stood still."""
        cache = ModelCache(self, lambda key: 60, lambda thing: 60, 100)
        loading = cache.acquire("stuck")
        until(lambda: loading.progress.stage == self.stage)
        cache.release(loading)
        return cache, loading


def test_a_download_that_stands_still_is_left():
    loader, before = Stalled(), set(threading.enumerate())
    cache, loading = loader.left()
    assert loading.done(60.0)  # and not when the download has ended, which it never does
    with pytest.raises(Cancelled):
        loading.result()
    assert cache.nbytes == 0 and not loader.ended, "the room is free before the thread has ended"
    assert cache.get("other") == {"key": "other"}, "which did not fit beside it"
    loader.gate.set()
    until(lambda: loader.ended.count("stuck") and not set(threading.enumerate()) - before)
    assert cache.keys() == ["other"] and cache.nbytes == 60, "what comes late is thrown away"


def test_a_model_whose_download_was_left_can_be_wanted_again():
    loader = Stalled()
    cache, loading = loader.left()
    assert loading.done(60.0)  # and not when the download has ended, which it never does
    again = cache.acquire("stuck")
    assert again is not loading
    loader.gate.set()
    assert again.done(SOON) and again.result() == {"key": "stuck"}
    assert cache.keys() == ["stuck"] and cache.nbytes == 60


def test_who_comes_back_within_the_second_finds_the_download_where_it_was():
    loader = Stalled()
    cache, loading = loader.left()
    assert cache.acquire("stuck") is loading
    assert not loading.done(1.2)
    loader.gate.set()
    assert loading.done(SOON) and loading.result() == {"key": "stuck"}
    assert loader.begun == ["stuck"]


def test_weights_that_are_coming_in_keep_their_room_until_the_thread_has_ended():
    loader = Stalled("weights")
    cache, loading = loader.left()
    assert not loading.done(1.2)
    assert cache.nbytes == 60
    loader.gate.set()
    assert loading.done(SOON)
    assert cache.nbytes == 0


def test_a_failure_is_told_to_everybody_and_again_for_a_while():
    loader = Loader()
    loader.broken["big"] = ModelUnavailable("No network.")
    cache = loader.cache()
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="No network"):
            cache.get("big")
    assert loader.begun == ["big"]
    loader.broken.clear()
    loading = cache.acquire("big", retry=True)
    assert loading.done(SOON) and loading.result() == {"key": "big"}


def test_a_mistake_of_ours_is_raised_as_it_is_and_tried_again():
    loader = Loader()
    loader.broken["big"] = KeyError("ours")
    cache = loader.cache()
    for _ in range(2):
        with pytest.raises(KeyError, match="ours"):
            cache.get("big")
    assert loader.begun == ["big", "big"]
