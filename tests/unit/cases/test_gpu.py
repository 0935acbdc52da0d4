"""Every use case through a stand-in that forks and pickles as ZeroGPU does."""

from __future__ import annotations

import os
import subprocess
import sys

import lease as lease_stub
import numpy as np
import pytest
import torch
from conftest import ROOT

from explorer.analyses import api, overview
from explorer.analyses.video import api as video_api
from explorer.analyses.video import frame_scoring
from explorer.cases import answers, gpu, request
from explorer.cases.cache import ResultCache
from explorer.cases.records import Analysis
from explorer.errors import BadBudget, OutOfMemory
from explorer.inference import decode as inference_decode
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
    lease = lease_stub.GPU(duration=gpu._asked_seconds)(gpu._run_in_worker)
    monkeypatch.setattr(gpu, "_gpu_worker", lease)
    lease_stub.leases.clear()
    with lease_stub.out_of_reach(model):
        yield lease_stub.leases


@pytest.fixture
def memory() -> ResultCache:
    return ResultCache(100_000_000)


@pytest.fixture(scope="module")
def image():
    return scenes.make(7).image


@pytest.fixture(scope="module")
def here(image) -> ResultCache:
    """What the same work gives in this process."""
    memory = ResultCache(100_000_000)
    api.analyse("pico", image, QUESTION, memory)
    return memory


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
        overview.analyse("pico", image, QUESTION)


def test_one_lease_gives_the_full_answer_and_every_map(lent, memory, here, image):
    *spoken, found = api.unfold("pico", image, QUESTION, memory)
    assert len(lent) == 1
    assert isinstance(found, Analysis) and spoken[-1].text == found.full.text
    own = api.analyse("pico", image, QUESTION, here)
    assert [each.spec for each in found.methods] == [each.spec for each in own.methods]
    for there, mine in zip(found.methods, own.methods, strict=True):
        assert isinstance(there.score, np.ndarray)
        assert np.allclose(there.score, mine.score, rtol=1e-4, atol=1e-6)
    assert api.analyse("pico", image, QUESTION, memory) is found, "remembered outside"
    *_, full = api.stream_full("pico", image, QUESTION, memory)
    assert full.text == found.full.text and len(lent) == 1


def test_an_answer_comes_word_by_word_and_is_remembered_outside(lent, memory, here, image):
    told = list(api.stream("pico", image, LONG, "visionzip", 64, memory))
    assert len(told) > 4 and [each.partial for each in told[-2:]] == [True, False]
    [again] = api.stream("pico", image, LONG, "visionzip", 64, memory)
    assert again.text == told[-1].text and not again.partial
    assert len(lent) == 1
    api.answer("pico", image, LONG, "fastv", 64, memory)
    assert len(lent) == 2
    assert any(key[0] == "full" for key, *_ in memory.about(told_id(image, LONG)))


def told_id(image, question: str) -> str:
    return request.make_request("pico", image, question).id


def test_what_is_remembered_of_a_case_goes_along(lent, memory, image, monkeypatch):
    api.answer("pico", image, QUESTION, "full", 1, memory)

    def again(*_):
        raise AssertionError("the full run was made twice")

    monkeypatch.setattr(answers, "_run_full", again)
    assert api.answer("pico", image, QUESTION, "clsattn", 64, memory).text
    assert len(lent) == 2


def test_a_reader_who_leaves_ends_the_lease(lent, memory, image):
    stream = api.stream("pico", image, LONG, "uniform", 64, memory)
    next(stream)
    stream.close()
    assert lent[0].process.exitcode == 0
    assert not lent[0].process.is_alive()
    known = memory.about(told_id(image, LONG))
    assert all(key[0] != "answer" for key, *_ in known), "half an answer is not remembered"


def test_a_comparison_is_one_lease(lent, memory, image):
    found = api.compare("pico", image, QUESTION, 40, ["fastv", "divprune"], memory)
    assert len(lent) == 1
    assert [each.method for each in found.methods][-2:] == ["fastv", "divprune"]
    again = list(api.several("pico", image, QUESTION, [("fastv", 40), ("divprune", 40)], memory))
    assert all(told.known for told in again) and len(lent) == 1


def test_several_answers_can_be_stopped(lent, memory, image):
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    wanted = [("uniform", 40), ("clsattn", 40), ("random", 40), ("divprune", 40)]
    told = list(api.several("pico", image, QUESTION, wanted, memory, stop))
    assert 0 < len(told) < len(wanted)
    assert not lent[0].process.is_alive()


def test_other_use_cases_cross_too(lent, memory, image):
    assert api.draw("pico", image, QUESTION, "relevance", memory).score.shape == (196,)
    looks = list(api.second_looks("pico", image, QUESTION, Cells(2, 2, 5, 5), memory=memory))
    assert [look.mode for look in looks] == ["full", "both", "crop", "equal"]
    assert api.count_tokens("pico", image, QUESTION) == 196


OWLS = "is there an owl in the picture ?"
ASKED = {"budget": 40, "alpha": 2, "version": "v1", "method": "clsattn", "map": True, "at": 40}


def film_of(count: int) -> video.Clip:
    return video.from_images(videos.make(1).images, videos.FPS, count)


@pytest.fixture(scope="module")
def film_here() -> tuple[dict, list[dict]]:
    """A film and its answers in this process."""
    clip, memory = film_of(3), ResultCache(100_000_000)
    told = video_api.open_video("pico", clip, OWLS, memory=memory)
    return told, list(video_api.answer_video("pico", clip, OWLS, (), ASKED, None, memory))


def test_a_film_is_opened_in_one_lease_and_answered_in_another(
    film_here, lent, memory, monkeypatch
):
    clip, (own, own_answers) = film_of(3), film_here
    told = video_api.open_video("pico", clip, OWLS, memory=memory)
    assert len(lent) == 1
    assert told["id"] == own["id"] and told["full"]["text"] == own["full"]["text"]
    assert [f["score"] for f in told["frames"]] == pytest.approx(
        [f["score"] for f in own["frames"]], rel=1e-3
    )

    def again(*_):
        raise AssertionError("a frame was asked twice")

    monkeypatch.setattr(frame_scoring, "prefill", again)  # in the forked process, too
    drawn, quota, other = video_api.answer_video("pico", clip, OWLS, (), ASKED, None, memory)
    assert len(lent) == 2
    assert drawn["map"]["order"] == own_answers[0]["map"]["order"]
    assert quota["quota"]["text"] == own_answers[1]["quota"]["text"]
    assert other["other"]["text"] == own_answers[2]["other"]["text"] and other["done"]


def test_a_film_asks_for_seconds_by_its_frames(lent, memory):
    for count in (2, 9):
        video_api.open_video("pico", film_of(count), OWLS, memory=memory)
    few, many = (lease.seconds for lease in lent)
    assert many == few + 7 * gpu.PREFILL


def test_sentences_keep_their_words(lent, memory, image, monkeypatch):
    with pytest.raises(BadBudget, match="196"):
        api.answer("pico", image, QUESTION, "clsattn", 500, memory)

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(inference_decode, "decode", short)
    with pytest.raises(OutOfMemory, match=r"2\.1 GB"):
        api.answer("pico", image, LONG, "clsattn", 64, memory)
    monkeypatch.undo()


def test_more_work_asks_for_more_seconds(lent, memory, image):
    words = default_loader().catalog.entry("pico").max_new_tokens
    api.answer("pico", image, QUESTION, "clsattn", 64, memory)
    api.analyse("pico", image, QUESTION, memory)
    assert lent[0].seconds < lent[1].seconds <= 60
    answer = lent[0].seconds
    api.pick("pico", image, QUESTION, [1, 2, 3], memory)
    api.kept_shares("pico", image, QUESTION, [1, 2, 3], [(0, 0, 9, 9)], memory)
    picked, looked = (lease.seconds for lease in lent[2:])
    assert looked < picked == answer, "a picked answer is compared with the full one"
    work = [gpu.GpuCost(n).seconds(words) for n in (1, 2, 16, 40)]
    assert work == sorted(work) and gpu.GpuCost(2).seconds(16) < gpu.GpuCost(2).seconds(512)


def test_what_crosses_is_small(lent, memory, image):
    api.analyse("pico", image, QUESTION, memory)
    api.answer("pico", image, QUESTION, "clsattn", 64, memory)
    assert all(sum(lease.crossed) < 4_000_000 for lease in lent)
