"""Every use case through a stand-in that forks and pickles as ZeroGPU does."""

from __future__ import annotations

import os
import subprocess
import sys

import lending
import numpy as np
import pytest
import torch
from conftest import ROOT

from explorer import analysis, answers, film, filming, jobs, leases, video, zoo
from explorer.errors import BadBudget, OutOfMemory
from explorer.memory import Memory
from explorer.pico import clips, scenes
from explorer.region import Cells
from explorer.results import Analysis

QUESTION = "what is in the middle ?"
LONG = "describe the picture ."


@pytest.fixture
def lent(monkeypatch):
    """Lend a GPU for every use case; gives the list of leases."""
    model = zoo.load("pico").model
    lease = lending.GPU(duration=leases._asked_seconds)(leases._leased)
    monkeypatch.setattr(leases, "_lease", lease)
    lending.leases.clear()
    with lending.out_of_reach(model):
        yield lending.leases


@pytest.fixture
def memory() -> Memory:
    return Memory(100_000_000)


@pytest.fixture(scope="module")
def image():
    return scenes.make(7).image


@pytest.fixture(scope="module")
def here(image) -> Memory:
    """What the same work gives in this process."""
    memory = Memory(100_000_000)
    jobs.analyse("pico", image, QUESTION, memory)
    return memory


def kept(found) -> list[int]:
    return found.stages[-1].kept.tolist()


def test_the_stand_in_refuses_what_must_not_cross():
    @lending.GPU(duration=3)
    def task(value):
        yield value if value else torch.ones(2)

    with pytest.raises(lending.pickle.PicklingError, match="Tensor"):
        list(task(torch.ones(2)))
    with pytest.raises(RuntimeError, match="Tensor must not cross"):
        list(task(0))
    assert list(task(7)) == [7]
    with pytest.raises((AttributeError, lending.pickle.PicklingError)):
        list(task(lambda: 0))


def test_the_package_is_imported_before_torch_and_only_on_zerogpu():
    code = "import explorer.leases as leases; print(leases.LENT, leases.devices.free_bytes('cuda'))"
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "tests", "tests/standin"))
    env = os.environ | {"PYTHONPATH": path}
    run = {"cwd": ROOT, "capture_output": True, "text": True}
    lent = subprocess.run(
        [sys.executable, "-c", code], env=env | {"SPACES_ZERO_GPU": "true"}, **run
    )
    assert lent.stdout.startswith("True 45"), lent.stderr
    code = "import explorer; print(explorer.spaces)"
    here = subprocess.run([sys.executable, "-c", code], env=env, **run)
    assert here.stdout == "None\n", here.stderr
    assert not leases.LENT, "of this process, which is not on ZeroGPU"


def test_weights_are_out_of_reach_of_this_process(lent, image):
    with pytest.raises((NotImplementedError, RuntimeError)):
        analysis.analyse("pico", image, QUESTION)


def test_one_lease_gives_the_full_answer_and_every_map(lent, memory, here, image):
    *spoken, found = jobs.unfold("pico", image, QUESTION, memory)
    assert len(lent) == 1
    assert isinstance(found, Analysis) and spoken[-1].text == found.full.text
    own = jobs.analyse("pico", image, QUESTION, here)
    assert [each.spec for each in found.methods] == [each.spec for each in own.methods]
    for there, mine in zip(found.methods, own.methods, strict=True):
        assert isinstance(there.score, np.ndarray)
        assert np.allclose(there.score, mine.score, rtol=1e-4, atol=1e-6)
    assert jobs.analyse("pico", image, QUESTION, memory) is found, "remembered outside"
    *_, full = jobs.stream_full("pico", image, QUESTION, memory)
    assert full.text == found.full.text and len(lent) == 1


def test_an_answer_comes_word_by_word_and_is_remembered_outside(lent, memory, here, image):
    told = list(jobs.stream("pico", image, LONG, "visionzip", 64, memory))
    assert len(told) > 4 and [each.partial for each in told[-2:]] == [True, False]
    [again] = jobs.stream("pico", image, LONG, "visionzip", 64, memory)
    assert again.text == told[-1].text and not again.partial
    assert len(lent) == 1
    jobs.answer("pico", image, LONG, "fastv", 64, memory)
    assert len(lent) == 2
    assert any(key[0] == "full" for key, *_ in memory.about(told_id(image, LONG)))


def told_id(image, question: str) -> str:
    return jobs.ask("pico", image, question).id


def test_what_is_remembered_of_a_case_goes_along(lent, memory, image, monkeypatch):
    jobs.answer("pico", image, QUESTION, "full", 1, memory)

    def again(*_):
        raise AssertionError("the full run was made twice")

    monkeypatch.setattr(answers, "_reference", again)
    assert jobs.answer("pico", image, QUESTION, "clsattn", 64, memory).text
    assert len(lent) == 2


def test_a_reader_who_leaves_ends_the_lease(lent, memory, image):
    stream = jobs.stream("pico", image, LONG, "uniform", 64, memory)
    next(stream)
    stream.close()
    assert lent[0].process.exitcode == 0
    assert not lent[0].process.is_alive()
    known = memory.about(told_id(image, LONG))
    assert all(key[0] != "answer" for key, *_ in known), "half an answer is not remembered"


def test_a_comparison_is_one_lease(lent, memory, image):
    found = jobs.compare("pico", image, QUESTION, 40, ["fastv", "divprune"], memory)
    assert len(lent) == 1
    assert [each.method for each in found.methods][-2:] == ["fastv", "divprune"]
    again = list(jobs.several("pico", image, QUESTION, [("fastv", 40), ("divprune", 40)], memory))
    assert all(told.known for told in again) and len(lent) == 1


def test_several_answers_can_be_stopped(lent, memory, image):
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    wanted = [("uniform", 40), ("clsattn", 40), ("random", 40), ("divprune", 40)]
    told = list(jobs.several("pico", image, QUESTION, wanted, memory, stop))
    assert 0 < len(told) < len(wanted)
    assert not lent[0].process.is_alive()


def test_other_use_cases_cross_too(lent, memory, image):
    assert jobs.draw("pico", image, QUESTION, "relevance", memory).score.shape == (196,)
    looks = list(jobs.second_looks("pico", image, QUESTION, Cells(2, 2, 5, 5), memory=memory))
    assert [look.mode for look in looks] == ["full", "both", "crop", "equal"]
    assert jobs.count_tokens("pico", image, QUESTION) == 196


OWLS = "is there an owl in the picture ?"
ASKED = {"budget": 40, "alpha": 2, "version": "v1", "method": "clsattn", "map": True, "at": 40}


def film_of(count: int) -> video.Clip:
    return video.from_images(clips.make(1).images, clips.FPS, count)


@pytest.fixture(scope="module")
def film_here() -> tuple[dict, list[dict]]:
    """A film and its answers in this process."""
    clip, memory = film_of(3), Memory(100_000_000)
    told = filming.show("pico", clip, OWLS, memory=memory)
    return told, list(filming.answer("pico", clip, OWLS, (), ASKED, None, memory))


def test_a_film_is_opened_in_one_lease_and_answered_in_another(
    film_here, lent, memory, monkeypatch
):
    clip, (own, own_answers) = film_of(3), film_here
    told = filming.show("pico", clip, OWLS, memory=memory)
    assert len(lent) == 1
    assert told["id"] == own["id"] and told["full"]["text"] == own["full"]["text"]
    assert [f["score"] for f in told["frames"]] == pytest.approx(
        [f["score"] for f in own["frames"]], rel=1e-3
    )

    def again(*_):
        raise AssertionError("a frame was asked twice")

    monkeypatch.setattr(film, "prefill", again)  # in the forked process, too
    drawn, quota, other = filming.answer("pico", clip, OWLS, (), ASKED, None, memory)
    assert len(lent) == 2
    assert drawn["map"]["order"] == own_answers[0]["map"]["order"]
    assert quota["quota"]["text"] == own_answers[1]["quota"]["text"]
    assert other["other"]["text"] == own_answers[2]["other"]["text"] and other["done"]


def test_a_film_asks_for_seconds_by_its_frames(lent, memory):
    for count in (2, 9):
        filming.show("pico", film_of(count), OWLS, memory=memory)
    few, many = (lease.seconds for lease in lent)
    assert many == few + 7 * leases.PREFILL


def test_sentences_keep_their_words(lent, memory, image, monkeypatch):
    with pytest.raises(BadBudget, match="196"):
        jobs.answer("pico", image, QUESTION, "clsattn", 500, memory)

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(answers, "decode", short)
    with pytest.raises(OutOfMemory, match=r"2\.1 GB"):
        jobs.answer("pico", image, LONG, "clsattn", 64, memory)
    monkeypatch.undo()


def test_more_work_asks_for_more_seconds(lent, memory, image):
    words = zoo.entry("pico").max_new_tokens
    jobs.answer("pico", image, QUESTION, "clsattn", 64, memory)
    jobs.analyse("pico", image, QUESTION, memory)
    assert lent[0].seconds < lent[1].seconds <= 60
    answer = lent[0].seconds
    jobs.pick("pico", image, QUESTION, [1, 2, 3], memory)
    jobs.kept_shares("pico", image, QUESTION, [1, 2, 3], [(0, 0, 9, 9)], memory)
    picked, looked = (lease.seconds for lease in lent[2:])
    assert looked < picked == answer, "a picked answer is compared with the full one"
    work = [leases.Work(n).seconds(words) for n in (1, 2, 16, 40)]
    assert work == sorted(work) and leases.Work(2).seconds(16) < leases.Work(2).seconds(512)


def test_what_crosses_is_small(lent, memory, image):
    jobs.analyse("pico", image, QUESTION, memory)
    jobs.answer("pico", image, QUESTION, "clsattn", 64, memory)
    assert all(sum(lease.crossed) < 4_000_000 for lease in lent)
