"""Where models run, and what a visitor reads when memory runs out."""

from __future__ import annotations

import sys
import weakref

import pytest
import torch

import app
from explorer import analyses
from explorer.analyses import overview
from explorer.cases import case, generation
from explorer.cases.request import CaseRequest
from explorer.errors import DeviceUnavailable, OutOfMemory
from explorer.pico.data import scenes
from explorer.vlm import devices
from explorer.vlm.catalog import Entry, read_entries
from explorer.vlm.devices import HalfPrecision
from explorer.vlm.loader import ModelLoader

QUESTION = "what is in the middle ?"
CUDA_SAYS = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 47.40 GiB of "
    "which 512.00 MiB is free. Including non-PyTorch memory, this process has 46.8 GiB in use."
)


def test_auto_takes_the_accelerator_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.choose() == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.choose() == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.choose() == "cuda"
    assert devices.choose("cpu") == "cpu", "a wish counts more"


def test_a_device_that_is_not_there_gets_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match="no cuda"):
        devices.choose("cuda")


def test_precision_is_single_where_half_is_no_faster_and_as_published_elsewhere(monkeypatch):
    for gain, expected in ((2.6, torch.bfloat16), (1.1, torch.float32)):
        measured = HalfPrecision("avx512_bf16", gain)
        monkeypatch.setattr(devices, "half_precision", lambda measured=measured: measured)
        assert devices.precision("auto", "cpu", "bfloat16") == expected
        assert devices.precision("auto", "cpu", "float32") == torch.float32, "as pico is published"
        assert ModelLoader().dtype(read_entries()["smolvlm-256m"]) == expected
        assert ModelLoader().dtype(Entry("mine", "mine", path="/mine")) == torch.float32
        assert ModelLoader().dtype(read_entries()["pico"]) == torch.float32
    assert devices.precision("auto", "cuda", "bfloat16") == torch.bfloat16
    assert devices.precision("float16", "cpu", "bfloat16") == torch.float16


def test_half_precision_is_timed_where_a_processor_has_instructions_for_it(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")
    look = devices.half_precision.__wrapped__
    assert look() == HalfPrecision("") and not look().faster
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2")
    assert look() == HalfPrecision("") and "no instructions" in str(look())
    (tmp_path / "cpuinfo").write_text("flags : fpu avx512_bf16 amx_bf16")
    found = look()
    assert found.instructions == "amx_bf16" and found.gain > 0
    assert f"{found.gain:.1f} times" in str(found)
    assert str(HalfPrecision("amx_bf16", 2.0)).startswith("bfloat16")
    assert str(HalfPrecision("amx_bf16", 0.5)).startswith("float32")


def test_four_bits_need_a_package(monkeypatch):
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    loader, settings = ModelLoader(), devices.LoadSettings(four_bit=True)
    with pytest.raises(DeviceUnavailable, match="pip install bitsandbytes"):
        loader.configure(settings)
    assert loader.settings != settings, "what was refused is not taken over"


def test_the_app_refuses_what_is_not_there_in_one_sentence(monkeypatch, capsys):
    wished = "mps" if torch.cuda.is_available() else "cuda"
    monkeypatch.setattr(sys, "argv", ["app.py", "--device", wished])
    with pytest.raises(SystemExit) as refused:
        app.main()
    said = capsys.readouterr().err.strip()
    assert refused.value.code == 2 and said.endswith(".") and len(said.splitlines()) == 1


def test_free_bytes_are_those_of_the_container_where_it_has_a_limit(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 50000\n")
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    assert devices.free_bytes("cpu") == 350_000
    (tmp_path / "memory.max").write_text("max\n")
    assert devices.free_bytes("cpu") > 1e7


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError(CUDA_SAYS), ("2.7 GB", "0.5 GB were free")),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate "
                      "8000000000 bytes. Error code 12"), ("8.0 GB", "3.0 GB were free")),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB). Tried to allocate "
                      "1.5 GB on private pool."), ("1.5 GB", "3.0 GB were free")),
        (MemoryError(), ("3.0 GB were free",)),
    ],
)  # fmt: skip
def test_out_of_memory_is_told_with_its_numbers(error, words):
    assert devices.is_out_of_memory(error)
    told = str(devices.sentence(error, "pico on cuda", 3e9))
    assert told.startswith("pico on cuda ran out of memory")
    assert all(word in told for word in words), told


def test_torch_itself_says_it_in_words_that_are_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)
    assert devices.is_out_of_memory(caught.value)
    assert not devices.is_out_of_memory(RuntimeError("shapes do not fit"))


def test_memory_that_ran_out_in_a_run_is_given_back_and_the_next_run_works(monkeypatch):
    image, held = scenes.make(7).image, []
    whole = analyses.answer(CaseRequest.make("pico", image, QUESTION), "clsattn", 64)
    decode, calls = generation.decode, []

    def short(run, limit):
        for step in decode(run, limit):
            calls.append(step.token)
            if len(calls) == 2:
                held.append(weakref.ref(run))
                raise torch.OutOfMemoryError(CUDA_SAYS)
            yield step

    monkeypatch.setattr(generation, "decode", short)
    with pytest.raises(OutOfMemory, match=r"pico.*2\.7 GB.*still there") as caught:
        analyses.answer(CaseRequest.make("pico", image, QUESTION), "clsattn", 64)
    assert held[0]() is None, "caches of the run that failed are gone"
    assert caught.value.__context__ is None, "nothing holds the frames of that run"
    again = analyses.answer(CaseRequest.make("pico", image, QUESTION), "clsattn", 64)
    assert again.text == whole.text and again.layers == whole.layers


def test_an_analysis_that_runs_out_of_memory_is_told_too(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError(CUDA_SAYS)

    monkeypatch.setattr(case, "encode_image", full)
    with pytest.raises(OutOfMemory):
        analyses.analyse(CaseRequest.make("pico", scenes.make(8).image, QUESTION))
    monkeypatch.undo()
    assert analyses.answer(CaseRequest.make("pico", scenes.make(8).image, QUESTION)).text


def test_other_errors_fail_loudly(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(overview, "stream_full", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        analyses.analyse(CaseRequest.make("pico", scenes.make(9).image, QUESTION))
