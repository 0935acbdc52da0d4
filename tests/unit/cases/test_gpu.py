"""Every use case through a stand-in that forks and pickles as ZeroGPU does."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import lease as lease_stub
import numpy as np
import pytest
import torch
from conftest import ROOT

from explorer import analyses
from explorer.analyses import overview
from explorer.analyses.video import frame_scoring
from explorer.analyses.video.answers import VideoAnalysis
from explorer.analyses.video.budgets import BudgetAllocation
from explorer.analyses.video.clip_case import VideoRequest
from explorer.cases import answers, generation, gpu
from explorer.cases.cache import ResultCache
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, OutOfMemory
from explorer.media import video
from explorer.media.region import Cells
from explorer.pico.data import scenes, videos
from explorer.vlm.loader import default_loader

QUESTION = "what is in the middle ?"
LONG = "describe the picture ."


@pytest.fixture
def lent(monkeypatch):
    """Lend a GPU for every use case; gives the list of leases."""
    model = default_loader().load("pico").model
    lease = lease_stub.GPU(duration=gpu._requested_seconds)(gpu._run_in_worker)
    monkeypatch.setattr(gpu, "_gpu_worker", lease)
    lease_stub.leases.clear()
    with lease_stub.out_of_reach(model):
        yield lease_stub.leases


@pytest.fixture
def cache() -> ResultCache:
    return ResultCache(100_000_000)


@pytest.fixture(scope="module")
def image():
    return scenes.make(7).image


@pytest.fixture(scope="module")
def here(image) -> ResultCache:
    """What the same work gives in this process."""
    cache = ResultCache(100_000_000)
    analyses.analyse(ask(image), cache=cache)
    return cache


def ask(image, question: str = QUESTION) -> CaseRequest:
    return CaseRequest.make("pico", image, question)


def kept(found) -> list[int]:
    return found.stages[-1].kept.tolist()


def test_the_stand_in_refuses_what_must_not_cross():
    @lease_stub.GPU(duration=3)
    def task(value):
        yield value if value else torch.ones(2)

    with pytest.raises(lease_stub.pickle.PicklingError, match="Tensor"):
        list(task(torch.ones(2)))
    with pytest.raises(RuntimeError, match="Tensor must not cross"):
        list(task(0))
    assert list(task(7)) == [7]
    with pytest.raises((AttributeError, lease_stub.pickle.PicklingError)):
        list(task(lambda: 0))


def test_the_package_is_imported_before_torch_and_only_on_zerogpu():
    code = "from explorer.cases import gpu; print(gpu.ON_ZEROGPU, gpu.devices.free_bytes('cuda'))"
    path = os.pathsep.join(
        str(ROOT / folder) for folder in (".", "tests", "tests/helpers", "tests/helpers/zerogpu")
    )
    env = os.environ | {"PYTHONPATH": path}
    run = {"cwd": ROOT, "capture_output": True, "text": True}
    lent = subprocess.run(
        [sys.executable, "-c", code], env=env | {"SPACES_ZERO_GPU": "true"}, **run
    )
    assert lent.stdout.startswith("True 45"), lent.stderr
    code = "import explorer; print(explorer.spaces)"
    here = subprocess.run([sys.executable, "-c", code], env=env, **run)
    assert here.stdout == "None\n", here.stderr
    assert not gpu.ON_ZEROGPU, "of this process, which is not on ZeroGPU"


def test_weights_are_out_of_reach_of_this_process(lent, image):
    with pytest.raises((NotImplementedError, RuntimeError)):
        inspect.unwrap(overview.analyse)(ask(image))


def test_one_lease_gives_the_full_answer_and_every_map(lent, cache, here, image):
    *spoken, found = analyses.unfold(ask(image), cache=cache)
    assert len(lent) == 1
    assert isinstance(found, Analysis) and spoken[-1].text == found.full.text
    own = analyses.analyse(ask(image), cache=here)
    assert [each.spec for each in found.methods] == [each.spec for each in own.methods]
    for there, mine in zip(found.methods, own.methods, strict=True):
        assert isinstance(there.score, np.ndarray)
        assert np.allclose(there.score, mine.score, rtol=1e-4, atol=1e-6)
    assert analyses.analyse(ask(image), cache=cache) is found, "remembered outside"
    *_, full = analyses.stream(ask(image), cache=cache)
    assert full.text == found.full.text and len(lent) == 1


def test_an_answer_comes_word_by_word_and_is_remembered_outside(lent, cache, here, image):
    told = list(analyses.stream(ask(image, LONG), "visionzip", 64, cache=cache))
    assert len(told) > 4 and [each.partial for each in told[-2:]] == [True, False]
    [again] = analyses.stream(ask(image, LONG), "visionzip", 64, cache=cache)
    assert again.text == told[-1].text and not again.partial
    assert len(lent) == 1
    analyses.answer(ask(image, LONG), "fastv", 64, cache=cache)
    assert len(lent) == 2
    assert any(key.kind == "full" for key, *_ in cache.entries_of(ask(image, LONG).id))


def test_what_is_remembered_of_a_case_goes_along(lent, cache, image, monkeypatch):
    analyses.answer(ask(image), "full", 1, cache=cache)

    def again(*_):
        raise AssertionError("the full run was made twice")

    monkeypatch.setattr(answers, "finish_full_run", again)
    assert analyses.answer(ask(image), "clsattn", 64, cache=cache).text
    assert len(lent) == 2


def test_a_reader_who_leaves_ends_the_lease(lent, cache, image):
    stream = analyses.stream(ask(image, LONG), "uniform", 64, cache=cache)
    next(stream)
    stream.close()
    assert lent[0].process.exitcode == 0
    assert not lent[0].process.is_alive()
    rests = [key.rest for key, *_ in cache.entries_of(ask(image, LONG).id)]
    assert ("uniform", 64) not in rests, "half an answer is not remembered"


def test_a_comparison_is_one_lease(lent, cache, image):
    found = analyses.compare(ask(image), 40, ["fastv", "divprune"], cache=cache)
    assert len(lent) == 1
    assert [each.method for each in found.methods][-2:] == ["fastv", "divprune"]
    again = list(
        analyses.answer_many(
            ask(image),
            [("fastv", 40), ("divprune", 40)],
            cache=cache,
        )
    )
    assert all(told.cached for told in again) and len(lent) == 1


def test_several_answers_can_be_stopped(lent, cache, image):
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    wanted = [("uniform", 40), ("clsattn", 40), ("random", 40), ("divprune", 40)]
    told = list(analyses.answer_many(ask(image), wanted, cache=cache, stop=stop))
    assert 0 < len(told) < len(wanted)
    assert not lent[0].process.is_alive()


def test_other_use_cases_cross_too(lent, cache, image):
    assert analyses.draw(ask(image), "relevance", cache=cache).score.shape == (196,)
    looks = list(analyses.answer_with_crop(ask(image), Cells(2, 2, 5, 5), cache=cache))
    assert [look.mode for look in looks] == ["full", "both", "crop", "equal"]
    assert analyses.count_tokens(ask(image)) == 196


OWLS = "is there an owl in the picture ?"


def video_of(count: int) -> VideoRequest:
    clip = video.from_images(videos.make(1).images, videos.FPS, count)
    return VideoRequest.make("pico", clip, OWLS)


def answers_of(request: VideoRequest, cache: ResultCache) -> list:
    allocation = BudgetAllocation(2, "v1")
    return list(
        analyses.answer_video(request, (), allocation, 40, "clsattn", 40, draw=True, cache=cache)
    )


@pytest.fixture(scope="module")
def video_here() -> tuple[VideoAnalysis, list]:
    """A video and its answers in this process."""
    request, cache = video_of(3), ResultCache(100_000_000)
    return analyses.analyse_video(request, cache=cache), answers_of(request, cache)


def test_a_video_is_opened_in_one_lease_and_answered_in_another(
    video_here, lent, cache, monkeypatch
):
    request, (own, own_answers) = video_of(3), video_here
    opened = analyses.analyse_video(request, cache=cache)
    assert len(lent) == 1
    assert opened.id == own.id and opened.full.text == own.full.text
    assert opened.scores == pytest.approx(own.scores, rel=1e-3)

    def again(*_):
        raise AssertionError("a frame was asked twice")

    monkeypatch.setattr(frame_scoring, "prefill", again)  # in the forked process, too
    drawn, quota, other = answers_of(request, cache)
    assert len(lent) == 2
    assert drawn.method_map.order.tolist() == own_answers[0].method_map.order.tolist()
    assert quota.text == own_answers[1].text
    assert other.text == own_answers[2].text


def test_a_video_asks_for_seconds_by_its_frames(lent, cache):
    for count in (2, 9):
        analyses.analyse_video(video_of(count), cache=cache)
    few, many = (lease.seconds for lease in lent)
    assert many == few + 7 * gpu.PREFILL


def test_sentences_keep_their_words(lent, cache, image, monkeypatch):
    with pytest.raises(BadBudget, match="196"):
        analyses.answer(ask(image), "clsattn", 500, cache=cache)

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(generation, "decode", short)
    with pytest.raises(OutOfMemory, match=r"2\.1 GB"):
        analyses.answer(ask(image, LONG), "clsattn", 64, cache=cache)
    monkeypatch.undo()


def test_more_work_asks_for_more_seconds_and_what_crosses_is_small(lent, cache, image):
    words = default_loader().catalog.entry("pico").max_new_tokens
    analyses.answer(ask(image), "clsattn", 64, cache=cache)
    analyses.analyse(ask(image), cache=cache)
    assert lent[0].seconds < lent[1].seconds <= 60
    answer = lent[0].seconds
    analyses.answer_from_tokens(ask(image), [1, 2, 3], cache=cache)
    analyses.kept_shares(ask(image), [1, 2, 3], [(0, 0, 9, 9)], cache=cache)
    picked, looked = (lease.seconds for lease in lent[2:])
    assert looked < picked == answer, "a picked answer is compared with the full one"
    work = [gpu.GpuCost(n).seconds(words) for n in (1, 2, 16, 40)]
    assert work == sorted(work) and gpu.GpuCost(2).seconds(16) < gpu.GpuCost(2).seconds(512)
    assert all(sum(lease.crossed) < 4_000_000 for lease in lent)
