"""Where models run, in which precision, how much room there is, and what to say when it runs out.

`LoadSettings` hold what the person who starts the app asked for; everything else is read off the
machine. Knows devices and bytes; not which models there are, nor pages.
"""

from __future__ import annotations

import importlib.util
import math
import re
import time
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import nn
from torch.nn.functional import linear
from transformers import BitsAndBytesConfig

from explorer import spaces
from explorer.errors import DeviceUnavailable, OutOfMemory

T = TypeVar("T")
DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "float16", "bfloat16")
CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, which is often below the machine's
ADVICE = (
    "The model is still there: try again in a moment, or with a shorter question, a smaller "
    "picture or fewer methods."
)
ZEROGPU_BYTES = (
    45_000_000_000  # bytes of weights on half a card of ZeroGPU; more costs twice the quota
)
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
LEAST_GAIN = 1.3  # times as fast as float32
FREE_SHARE = 0.8  # of the free bytes that models may fill; the rest is for running them


@dataclass(frozen=True)
class LoadSettings:
    """Where and how the person who starts the program wants models to be loaded.

    budget: bytes that loaded models may take; None: `FREE_SHARE` of what is free. at_once: runs of
    models, or processes like this one, that share the CPU's cores.
    """

    device: str = "auto"
    dtype: str = "auto"
    four_bit: bool = False
    budget: float | None = None
    at_once: int = 1

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        """Let a command line ask for all that a person may choose."""
        add = parser.add_argument
        add("--device", choices=DEVICES, default="auto")
        add("--dtype", choices=DTYPES, default="auto", help="of the weights")
        add("--four-bit", action="store_true", help="pack weights with bitsandbytes")
        add("--budget", type=lambda gb: 1e9 * float(gb), help="GB that models may take")

    @classmethod
    def of(cls, args: Namespace, at_once: int = 1) -> LoadSettings:
        """Read what a command line asked for."""
        return cls(args.device, args.dtype, args.four_bit, args.budget, at_once)


def choose(wished: str = "auto") -> str:
    """Name the device: the one that was wished for, or the best there is."""
    there = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if wished == "auto":
        return next(name for name, ready in there.items() if ready())
    if not there[wished]():
        raise DeviceUnavailable(
            f"This machine has no {wished} device that torch can use; start with --device auto, or "
            "look at `python -m explorer doctor`."
        )
    return wished


@dataclass(frozen=True)
class HalfPrecision:
    """How well this processor computes in bfloat16.

    instructions: those that do it, "" where it has none. gain: how many times faster than float32 a
    matrix product is with them.
    """

    instructions: str
    gain: float = 1.0

    @property
    def faster(self) -> bool:
        """Whether it is worth its rounding."""
        return self.gain >= LEAST_GAIN

    def __str__(self) -> str:
        chosen = "bfloat16" if self.faster else "float32"
        if not self.instructions:
            return f"{chosen} for models of the hub: no instructions for bfloat16"
        gain = f"{self.gain:.1f} times as fast as float32"
        return f"{chosen} for models of the hub: {self.instructions} makes bfloat16 {gain}"


@cache
def half_precision() -> HalfPrecision:
    """Look for a processor's instructions, and time a matrix product with them, once."""
    try:
        flags = set(re.findall(r"\w+", CPUINFO.read_text()))
    except OSError:
        return HalfPrecision("")
    there = [name for name in BFLOAT16_INSTRUCTIONS if name in flags]
    return HalfPrecision(there[0], _half_precision_gain()) if there else HalfPrecision("")


def _half_precision_gain() -> float:
    """Time both in turns, so that a busy machine slows both, and compare the best times."""
    x, weight = torch.randn(512, 768), torch.randn(1536, 768)
    best: dict[torch.dtype, float] = {}
    for _ in range(4):
        for dtype in (torch.float32, torch.bfloat16):
            given, matrix = x.to(dtype), weight.to(dtype)
            began = time.perf_counter()
            linear(given, matrix)
            best[dtype] = min(best.get(dtype, math.inf), time.perf_counter() - began)
    return best[torch.float32] / best[torch.bfloat16]


def precision(wished: str, device: str, published: str) -> torch.dtype:
    """Choose the precision of weights and matrix products; scores are in single precision always.

    published: the one that models.yaml names for a model. A processor keeps to float32 unless it is
    much faster in bfloat16.
    """
    if wished == "auto":
        single = device == "cpu" and not (published == "bfloat16" and half_precision().faster)
        wished = "float32" if single else published
    return getattr(torch, wished)


def check_four_bit() -> None:
    """Raise `DeviceUnavailable` unless weights can be packed into four bits here."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DeviceUnavailable(
            "--four-bit needs the package bitsandbytes: pip install bitsandbytes."
        )


def free_bytes(device: str) -> float:
    """Count the bytes that are free on a device (of all its cards), as the system tells them."""
    if device == "cuda" and spaces:
        return float(ZEROGPU_BYTES)  # there is no card in this process
    if device == "cuda":
        cards = range(torch.cuda.device_count())
        return float(sum(torch.cuda.mem_get_info(card)[0] for card in cards))
    if device == "mps":
        used = torch.mps.driver_allocated_memory()
        return float(torch.mps.recommended_max_memory() - used)
    return min(float(psutil.virtual_memory().available), _container_bytes())


def _container_bytes() -> float:
    """Count what a container's limit leaves free; infinite where there is no limit."""
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        held = int((CGROUP / "memory.current").read_text())
        stat = (CGROUP / "memory.stat").read_text()
    except OSError:
        return float("inf")
    if limit == "max":
        return float("inf")
    cached = re.search(r"^inactive_file (\d+)", stat, re.M)  # given back as soon as it is needed
    return float(int(limit) - held + (int(cached[1]) if cached else 0))


def gigabytes(count: float) -> str:
    """Write a number of bytes as people read it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "K": 1e3, "M": 1e6, "G": 1e9}


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or should_reduce_batch_size(error)


def sentence(error: BaseException, subject: str, free: float, advice: str = ADVICE) -> OutOfMemory:
    """Explain that memory ran out: how much was needed, and how much was free.

    free: bytes that are free now; used where the error itself does not say.
    """
    needed, free_then = _amount(error, r"[Tt]ried to allocate"), _amount(error, r"of which")
    free = free if free_then is None else free_then
    numbers = f"{gigabytes(free)} were free"
    if needed is not None:
        numbers = f"{gigabytes(needed)} more were needed at once, {numbers}"
    return OutOfMemory(f"{subject} ran out of memory: {numbers}. {advice}")


def _amount(error: BaseException, before: str) -> float | None:
    """Read the number of bytes that stands behind some words of an error."""
    amount = re.search(before + r"\s+([\d.]+)\s*([KMG]?i?)(?:B|bytes)", str(error))
    return float(amount[1]) * UNITS[amount[2]] if amount else None


def within_memory(
    values: Iterator[T], subject: str, device: str, advice: str = ADVICE
) -> Iterator[T]:
    """Pass values on; where memory runs out, free what the run held and raise `OutOfMemory`.

    subject: who ran out, for the sentence, such as "LLaVA-1.5 7B on cuda".
    """
    try:
        yield from values
        return
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        out_of_memory = sentence(error, subject, free_bytes(device), advice)
        traceback.clear_frames(error.__traceback__)  # their variables are what fills the memory
    clear_device_cache(garbage_collection=True)
    raise out_of_memory


UNPACKED = 0.9  # of one card: more is spread over all of them
TOWERS = ("vision_tower", "vision_model", "visual", "multi_modal_projector", "connector", "lm_head")
"""Kept as they are with four bits: scores come from the tower, and are what this is about."""


def placement_settings(four_bit: bool, place: str, nbytes: float, dtype: torch.dtype) -> dict:
    """Give the options of `from_pretrained`. nbytes: about what the weights will take."""
    options: dict[str, object] = {}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=[rf"(.*\.)?{name}" for name in TOWERS],
        )
    if place == "cuda" and not spaces and nbytes > UNPACKED * torch.cuda.mem_get_info()[0]:
        options["device_map"] = "auto"
    elif four_bit:
        options["device_map"] = {"": 0 if place == "cuda" else place}
    return options


def gather(model: nn.Module) -> nn.Module:
    """Let every module that accelerate has placed send back what it gives."""
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        for each in getattr(hook, "hooks", (hook,)):
            if hasattr(each, "io_same_device"):
                each.io_same_device = True
    return model


def first_device(model: nn.Module) -> torch.device:
    """Name the device on which a model's inputs are expected."""
    places = getattr(model, "hf_device_map", {}).values()
    cards = [place for place in places if place not in ("cpu", "disk")]
    if cards:
        return (
            torch.device("cuda", cards[0]) if isinstance(cards[0], int) else torch.device(cards[0])
        )
    return torch.device("cpu") if places else next(model.parameters()).device
