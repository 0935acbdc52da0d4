"""Models loaded once, with progress, from folders and from the hub's cache, within a budget."""

from __future__ import annotations

import gc
import shutil
import socket
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Thread

import pytest
import torch
from huggingface_hub import constants

from explorer import analyses
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.errors import ModelLoading, ModelUnavailable, OutOfMemory
from explorer.pico.data import scenes
from explorer.vlm import checkpoints, threads
from explorer.vlm import loader as model_loader
from explorer.vlm.catalog import Catalog, read_entries
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import ModelLoader, default_loader, describe_progress
from explorer.vlm.progress import Progress

QUESTION = "what is in the middle ?"
ONLINE = "explorer-tests/tiny"


PICO = read_entries()["pico"]
TWIN = replace(PICO, key="twin", title="Twin")


@pytest.fixture
def loader() -> ModelLoader:
    """Of a catalog of our own: pico, a twin of it, one in the cache of the hub, and one nowhere."""
    return ModelLoader(
        catalog=Catalog(
            {
                "pico": PICO,
                "twin": TWIN,
                "online": replace(
                    PICO, key="online", path="", hub=ONLINE, title="Online · far away"
                ),
                "huge": replace(PICO, key="huge", title="Huge", memory="900 GB"),
            }
        )
    )


def test_many_visitors_get_the_same_model(loader):
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(loader.load, ["twin"] * 8))
    assert all(model is loaded[0] for model in loaded)


def test_several_models_can_be_asked_for_at_the_same_time():
    copies = {f"copy{n}": replace(TWIN, key=f"copy{n}") for n in range(6)}
    for _ in range(2):
        loader = ModelLoader(catalog=Catalog(copies))
        with ThreadPoolExecutor(12) as pool:
            loaded = list(pool.map(loader.load, [*copies, *copies]))
        assert loaded[:6] == loaded[6:]
        assert all(
            weight.device.type == "cpu" for each in loaded for weight in each.model.parameters()
        )


def test_switching_between_loaded_models_loads_nothing(loader, monkeypatch):
    pair = loader.load("pico"), loader.load("twin")
    monkeypatch.setattr(loader, "_read", lambda *_: pytest.fail("loaded again"))
    assert (loader.load("pico"), loader.load("twin"), loader.load("pico")) == (*pair, pair[0])


def test_a_model_that_is_pushed_out_leaves_the_memory(loader):
    loader.configure(LoadSettings(budget=60e6))
    cache = ResultCache(100_000_000)
    request = CaseRequest.make(loader.load("twin"), scenes.make(3).image, QUESTION)
    for spec in ("clsattn", "fastv"):
        analyses.draw(request, spec, cache=cache)
        analyses.answer(request, spec, 64, cache=cache)
    del request
    gone = weakref.ref(loader.load("twin").model)
    loader.load("pico")
    gc.collect()
    assert loader.models.keys() == ["pico"]
    assert gone() is None, "what is remembered of pictures must not hold the model"
    again = analyses.answer(
        CaseRequest.make(loader.load("twin"), scenes.make(3).image, QUESTION),
        "uniform",
        40,
        cache=cache,
    )
    assert again.text, "and it comes back when it is asked for"


def test_weights_are_counted_while_they_are_read(loader):
    seen: list[Progress] = []
    loader._load("twin", seen.append)
    shares = [each.share for each in seen if each.share is not None]
    assert len(shares) > 50 and shares == sorted(shares)
    assert describe_progress(seen[-1]).endswith(" %")


def test_a_load_can_be_cancelled_between_two_weights(loader):
    class Enough(Exception):
        pass

    def report(progress: Progress) -> None:
        if progress.done >= 3:
            raise Enough

    with pytest.raises(Enough):
        loader._load("twin", report)
    assert loader.load("twin"), "nothing stays behind that would be in the way"


def test_models_can_be_loaded_before_anybody_asks_and_the_zoo_be_closed(loader):
    failed = loader.preload(["pico", "huge", "nico"], only=True)
    assert ["Huge" in failed[0], "nico" in failed[1], len(failed)] == [True, True, 2]
    assert loader.load("pico")
    with pytest.raises(ModelUnavailable, match=r"EXPLORER_LOAD=twin.*pico"):
        loader.load("twin")


def test_a_model_that_can_not_fit_is_refused_with_the_numbers(loader):
    loader.load("pico")
    with pytest.raises(ModelUnavailable, match=r"Huge needs 900\.0 GB in float32.*pico"):
        loader.load("huge")
    assert "pico" in loader.models, "and nobody is sent away for it"


def test_memory_that_runs_out_while_loading_is_told(loader, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(checkpoints.AutoModelForImageTextToText, "from_pretrained", full)
    with pytest.raises(OutOfMemory, match=r"Loading Twin.*2\.1 GB"):
        loader.load("twin")


def test_a_page_does_not_wait_but_starts_the_load(loader, monkeypatch):
    loader.configure(LoadSettings(), waits=False)
    read, told, gate = loader._read, threading.Event(), threading.Event()

    def slow(entry, device, report):
        report(Progress(2e9, 8e9, "download"))
        told.set()
        assert gate.wait(20)
        return read(entry, device, report)

    monkeypatch.setattr(loader, "_read", slow)
    with pytest.raises(ModelLoading, match="Twin is on its way"):  # though the gate is shut
        loader.load("twin")
    assert told.wait(20)
    with pytest.raises(ModelLoading, match=r"2\.0 GB of 8\.0 GB downloaded"):
        loader.load("twin")
    gate.set()
    loader.models.acquire("twin").done(within=20)
    assert loader.load("twin").key == "twin"


def test_without_a_network_the_sentence_comes_soon(loader, monkeypatch):
    """A server that takes the call and says nothing: the worst case of no network."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        with pytest.raises(ModelUnavailable, match=r"Online can't be loaded here.*pico"):
            loader.load("online")
        assert 1 <= calls(silent) * checkpoints.HUB_SECONDS < 5, "seconds of waiting"


def calls(server: socket.socket) -> int:
    """Count the calls that nobody has answered."""
    server.setblocking(False)
    number = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            number += 1
    return number


def test_files_in_the_cache_work_without_a_network(loader, monkeypatch, tmp_path):
    cached, commit = tmp_path / f"models--{ONLINE.replace('/', '--')}", "a" * 40
    shutil.copytree(PICO.source, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(checkpoints, "reachable", lambda: False)
    image = scenes.make(3).image
    answers = [
        analyses.answer(CaseRequest.make(loader.load(key), image, QUESTION), "full", 1).text
        for key in ("online", "pico")
    ]
    assert answers[0] == answers[1]


def test_half_a_model_in_the_cache_gets_a_sentence(loader, monkeypatch, tmp_path):
    cached, commit = tmp_path / f"models--{ONLINE.replace('/', '--')}", "a" * 40
    (cached / "snapshots" / commit).mkdir(parents=True)
    shutil.copy(f"{PICO.source}/config.json", cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="no complete model"):
        loader.load("online")


def test_a_download_is_told_in_bytes_and_can_be_cancelled(monkeypatch, tmp_path):
    """The hub's client counts on two bars; a stand-in moves them as a download does."""

    def download(repository, tqdm_class, **_):
        with tqdm_class(total=3, desc="Fetching 3 files") as files:
            bar = tqdm_class(total=0, unit="B", unit_scale=True)
            bar.total = 1000
            for _ in range(4):
                bar.update(250)
            files.update(3)
        return str(tmp_path)

    monkeypatch.setattr(checkpoints, "snapshot_download", download)
    monkeypatch.setattr(checkpoints, "reachable", lambda: True)
    seen: list[Progress] = []
    assert checkpoints.fetch(ONLINE, None, seen.append) == tmp_path
    assert [each.done for each in seen] == [250, 500, 750, 1000]
    assert {(each.stage, each.total) for each in seen} == {("download", 1000.0)}

    def stop(progress: Progress) -> None:
        if progress.done >= 500:
            raise KeyError("cancelled")

    with pytest.raises(KeyError):
        checkpoints.fetch(ONLINE, None, stop)


def test_a_hub_that_answers_is_reachable(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")

        def answer() -> None:
            call, _ = server.accept()
            call.recv(1000)
            call.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")
            call.close()

        pool.submit(answer)
        assert checkpoints.reachable(2)
    assert not checkpoints.reachable(0.5)


def test_a_small_model_runs_once_per_core():
    pico = replace(default_loader().load("pico"), cores=2)
    assert threads.parallel_runs(pico) == 2
    assert threads.parallel_runs(replace(pico, threads=0)) == 1, "its runs keep every core busy"
    assert threads.parallel_runs(replace(pico, cores=1)) == 1
    assert threads.parallel_runs(replace(pico, cores=64)) == threads.MAX_PARALLEL_RUNS


def test_runs_at_the_same_time_share_the_cores(loader, monkeypatch):
    monkeypatch.setattr(model_loader, "CPU_CORES", 4)
    assert (loader.cores, loader.load("pico").cores) == (4, 4)
    loader.configure(LoadSettings(at_once=2))
    assert (loader.cores, loader.load("pico").cores) == (2, 2)
    loader.configure(LoadSettings(at_once=9))
    assert loader.cores == 1


def test_a_forked_worker_waits_for_no_lock_of_its_parent(loader):
    pico, got = loader.load("pico"), []
    loader._lock.acquire(), loader._models._lock.acquire()  # by threads that a fork leaves behind
    loader.after_fork()
    waiter = Thread(target=lambda: got.append(loader.load("pico")), daemon=True)
    waiter.start()
    waiter.join(20)
    assert got == [pico]
