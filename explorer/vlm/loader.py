"""models.yaml -> a loaded model on the right device, once, however many visitors ask.

Knows which models there are; devices.py knows where they run, model_cache.py how often they load,
checkpoints.py from which files. Loaded models are shared and never changed after loading, so no
visitor's data is ever in here.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from functools import cache, partial

import torch

from explorer.errors import ModelLoading, ModelUnavailable, VisitorError
from explorer.vlm import checkpoints, devices
from explorer.vlm.attention import ATTENTION
from explorer.vlm.catalog import DEFAULT, Entry, entry
from explorer.vlm.components import Vlm
from explorer.vlm.families import family_of
from explorer.vlm.model_cache import ModelCache, Progress, Report
from explorer.vlm.threads import share_cores

FOUR_BIT = 0.35  # of the bytes in half precision: a quarter, and what stays as it is


_SETTINGS = devices.LoadSettings()
_WAITS, _CLOSED = True, False
_MAKING = threading.Lock()


def configure(wish: devices.LoadSettings, waits: bool = True, at_once: int = 1) -> None:
    """Take over where and how models shall be loaded; said once, before the first one is.

    waits: whether `load` waits for a model that is not there yet, as a command line does. A page
    does not: others are waiting behind. at_once: runs of models that share the cores.
    """
    global _SETTINGS, _WAITS, _CLOSED
    devices.choose(wish.device)
    if wish.four_bit:
        devices.check_four_bit()
    _SETTINGS, _WAITS, _CLOSED = wish, waits, False
    share_cores(at_once)
    _model_cache.cache_clear()


def device() -> str:
    """Name the device that models are loaded to: "cpu", "cuda" or "mps"."""
    return devices.choose(_SETTINGS.device)


def model_cache() -> ModelCache[Vlm]:
    """Give the shelf of all loaded models; its budget is what is free when it is first needed."""
    with _MAKING:  # the cache alone would let two visitors make one each
        return _model_cache()


@cache
def _model_cache() -> ModelCache[Vlm]:
    place = device()
    budget = _SETTINGS.budget or devices.FREE_SHARE * devices.free_bytes(place)
    release = partial(devices.give_back, place)
    return ModelCache(_make, _expected, weigh, budget, release)


def load(key: str = DEFAULT) -> Vlm:
    """Give the model, loading it at the first call; `ModelUnavailable` says what to do instead.

    Raises `ModelLoading` where nobody shall wait; the built-in model is always waited for.
    """
    name, held = entry(key).name, model_cache()
    found = held.find(key)
    if found is not None or _WAITS or key == DEFAULT:
        return found or held.get(key)
    loading = held.want(key)
    if loading.ended.is_set():
        return loading.result()
    if loading.waiting > 1:
        held.leave(loading)  # somebody else began it, and may end it
    raise ModelLoading(
        f"{name} is on its way: {describe_progress(loading.progress)}. Please ask again soon."
    )


def preload(keys: Iterable[str], only: bool = False) -> list[str]:
    """Load models before anybody asks; gives a sentence for each that can't be had.

    only: no other model is loaded later. On ZeroGPU weights are placed before the page is served.
    """
    global _CLOSED
    failed = []
    for key in dict.fromkeys(keys):
        try:
            entry(key)
            model_cache().get(key)
        except VisitorError as error:
            failed.append(str(error))
    _CLOSED = only
    return failed


def describe_progress(progress: Progress) -> str:
    """Say how far a load is."""
    if progress.stage == "download":
        done, total = devices.gigabytes(progress.done), devices.gigabytes(progress.total)
        return f"{done} of {total} downloaded"
    if progress.stage == "weights" and progress.share is not None:
        return f"reading its weights, {100 * progress.share:.0f} %"
    return "waiting for its turn" if progress.stage == "waiting" else "looking for its files"


def weigh(vlm: Vlm) -> int:
    """Count the bytes of a model's weights."""
    held = [*vlm.model.parameters(), *vlm.model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def needed(found: Entry) -> float:
    """Tell about how many bytes a model will take here; 0 if models.yaml doesn't say."""
    size = re.fullmatch(r"([\d.]+) ?([MG])B", found.memory)
    if size is None:
        return 0.0
    published = getattr(torch, found.dtype)
    dtype = devices.precision(_SETTINGS.dtype, device(), found.dtype)
    share = FOUR_BIT if _SETTINGS.four_bit else dtype.itemsize / published.itemsize
    return float(size[1]) * {"M": 1e6, "G": 1e9}[size[2]] * share


def _expected(key: str) -> float:
    """Tell how much room to make for a model; refuses before others are sent away for nothing."""
    found, place = entry(key), device()
    if _CLOSED:
        raise ModelUnavailable(
            f"This Space loads its models when it starts, and {found.name} is not among them. "
            f"Duplicate it with the variable EXPLORER_LOAD={key}, or go on with pico."
        )
    needs, room = needed(found), model_cache().max_bytes
    if needs > room:
        dtype = str(devices.precision(_SETTINGS.dtype, place, found.dtype)).removeprefix("torch.")
        raise ModelUnavailable(
            f"{found.name} needs {devices.gigabytes(needs)} in {dtype}; models may take "
            f"{devices.gigabytes(room)} here ({place}). Start with --budget, --dtype or --four-bit "
            "to change that, or go on with pico, which is built in."
        )
    return needs


def _make(key: str, report: Report) -> Vlm:
    """Load one model, and say in a sentence why that can't be done."""
    found, place = entry(key), device()

    def made() -> Iterator[Vlm]:
        yield _load(found, place, report)

    advice = "Start with --four-bit or another --device, or go on with pico, which is built in."
    [vlm] = devices.within_memory(made(), f"Loading {found.name} on {place}", place, advice)
    return vlm


def _load(found: Entry, place: str, report: Report) -> Vlm:
    dtype = devices.precision(_SETTINGS.dtype, place, found.dtype)
    how = devices.placement_settings(_SETTINGS.four_bit, place, needed(found), dtype)
    folder = checkpoints.files(found.name, found.path, found.hub, found.revision, report)
    model, processor, kind = checkpoints.read(found.name, folder, how | {"dtype": dtype}, report)
    model = devices.gather(model) if "device_map" in how else model.to(place)
    return wrap(found, model, processor, kind)


def _after_fork() -> None:
    """Let a forked worker use what is on the shelf, whoever looked at it in that moment."""
    global _MAKING
    _MAKING = threading.Lock()
    if _model_cache.cache_info().currsize:
        _model_cache().renew_lock()


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_after_fork)


def wrap(found: Entry, model, processor, model_type: str) -> Vlm:
    """Make a transformers model and processor ready for capture and engine."""
    model.eval().requires_grad_(False)
    model.set_attn_implementation(ATTENTION)
    return Vlm(
        key=found.key,
        title=found.title,
        family=family_of(model_type),
        model=model,
        processor=processor,
        live=found.live,
        max_new_tokens=found.max_new_tokens,
        threads=found.threads,
        note=found.use,
    )
