"""The doctor names what is missing and what to do about it."""

from __future__ import annotations

import subprocess
import sys

import torch
from conftest import ROOT

from explorer.__main__ import main
from explorer.tools import doctor
from explorer.tools.bench.real.memory import estimate
from explorer.vlm import devices
from explorer.vlm.catalog import read_entries
from explorer.vlm.loader import ModelLoader


def test_this_machine_is_well(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])  # which the command sets
    code, told = main(["doctor"]), capsys.readouterr().out
    assert code == 0 and "Everything is there" in told
    for name in ("gradio", "torch", "pico", "write access"):
        assert name in told


def test_an_old_python_is_told():
    finding = doctor.python((3, 10, 4))
    assert finding.well is False and "3.11" in finding.advice


def test_a_missing_or_wrong_package_is_told():
    absent, wrong = doctor.packages([("no-such-package", ""), ("gradio", "5.1")])
    assert absent.well is False and "not installed" in absent.says
    assert wrong.well is False and "5.1 is needed" in wrong.says
    assert "pip install" in absent.advice


def test_the_doctor_comes_where_nothing_is_installed():
    code = """
import sys
for name in ("torch", "transformers", "numpy", "gradio", "playwright"):
    sys.modules[name] = None  # importing it fails
from explorer.tools import doctor
print(*doctor.packages([("torch", "")]), doctor.browser().subject)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("browser\n"), done.stderr


def test_requirements_are_read_with_their_pins(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# why\ngradio==6.31.*\ntorch>=2.8\nuvicorn[standard]\n")
    assert doctor.wanted(file) == [("gradio", "6.31"), ("torch", ""), ("uvicorn", "")]


def test_the_precision_of_models_is_told_with_its_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    half = devices.HalfPrecision("avx512_bf16", 2.6)
    monkeypatch.setattr(devices, "half_precision", lambda: half)
    assert doctor.device().says.endswith(
        "; bfloat16 for models of the hub: avx512_bf16 makes bfloat16 2.6 times as fast as float32"
    )


def test_models_that_do_not_fit_are_told(monkeypatch):
    monkeypatch.setattr(devices, "half_precision", lambda: devices.HalfPrecision(""))
    little = {finding.subject: finding for finding in doctor.models(1e9)}
    assert set(little) == set(read_entries())
    assert little["pico"].well is True
    assert little["llava-1.5-7b"].well is None and "does not fit" in little["llava-1.5-7b"].advice
    weights = ModelLoader().needed_bytes(read_entries()["llava-1.5-7b"])
    assert weights > 28e9, "single precision takes twice as much"
    peak = estimate("llava-1.5-7b", weights, torch.float32).peak
    assert devices.gigabytes(peak) in little["llava-1.5-7b"].says
    monkeypatch.setattr(ModelLoader, "device", "cuda")
    on_a_card = {finding.subject: finding for finding in doctor.models(20e9)}
    assert on_a_card["llava-1.5-7b"].well is True


def test_a_folder_that_can_not_be_written_is_told(tmp_path):
    assert doctor.writing(tmp_path).well is True
    finding = doctor.writing(tmp_path / "missing")
    assert finding.well is False and "TMPDIR" in finding.advice
