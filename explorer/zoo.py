"""models.yaml -> a loaded model on the right device, once, however many visitors ask.

Knows which models there are; devices.py knows where they run, shelf.py how often they load,
reading.py from which files. Loaded models are shared and never changed after loading, so no
visitor's data is ever in here.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path

import torch
import yaml

from explorer import devices, reading, spreading
from explorer.capture import ATTENTION
from explorer.errors import ModelLoading, ModelUnavailable, UnknownModel, VisitorError
from explorer.families import Vlm, family_of
from explorer.shelf import Progress, Report, Shelf

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = "pico"
FOUR_BIT = 0.35  # of the bytes in half precision: a quarter, and what stays as it is


@dataclass(frozen=True)
class Entry:
    """One model of models.yaml, where every field is explained."""

    key: str
    title: str
    family: str = ""
    dtype: str = "bfloat16"
    memory: str = ""
    hardware: str = ""
    licence: str = ""
    use: str = ""
    path: str = ""
    hub: str = ""
    revision: str | None = None
    live: bool = False
    max_new_tokens: int = 64
    threads: int = 0

    @property
    def name(self) -> str:
        """The title without what is remarked behind it."""
        return self.title.partition(" · ")[0]

    @property
    def source(self) -> str:
        """Folder or hub repository, as `from_pretrained` takes it."""
        return str(ROOT / self.path) if self.path else self.hub


_OFFERED: dict[str, Entry] = {}


def offer(found: Entry) -> None:
    """Take one more model into the zoo as long as this program runs."""
    _OFFERED[found.key] = found


def entries(file: Path = ROOT / "models.yaml") -> dict[str, Entry]:
    """Read the zoo, in the order of the file; further models on offer come last."""
    return _listed(file) | _OFFERED


@lru_cache(maxsize=4)
def _listed(file: Path) -> dict[str, Entry]:
    """Read the file once: each question asks for its model, and YAML is as slow as an answer."""
    listed = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {key: Entry(key=key, **fields) for key, fields in listed.items()}


def entry(key: str) -> Entry:
    """Find one model; `UnknownModel` names the ones there are."""
    known = entries()
    if key not in known:
        raise UnknownModel(f"There is no model named {key!r}; there are: {', '.join(known)}.")
    return known[key]


_WISH = devices.Wish()
_WAITS, _CLOSED = True, False
_MAKING = threading.Lock()


def settle(wish: devices.Wish, waits: bool = True, at_once: int = 1) -> None:
    """Take over where and how models shall be loaded; said once, before the first one is.

    waits: whether `load` waits for a model that is not there yet, as a command line does. A page
    does not: others are waiting behind. at_once: runs of models that share the cores.
    """
    global _WISH, _WAITS, _CLOSED
    devices.choose(wish.device)
    if wish.four_bit:
        devices.check_four_bit()
    _WISH, _WAITS, _CLOSED = wish, waits, False
    share_cores(at_once)
    _shelf.cache_clear()


def device() -> str:
    """Name the device that models are loaded to: "cpu", "cuda" or "mps"."""
    return devices.choose(_WISH.device)


def shelf() -> Shelf[Vlm]:
    """Give the shelf of all loaded models; its budget is what is free when it is first needed."""
    with _MAKING:  # the cache alone would let two visitors make one each
        return _shelf()


@cache
def _shelf() -> Shelf[Vlm]:
    place = device()
    budget = _WISH.budget or devices.SHARE * devices.free_bytes(place)
    release = partial(devices.give_back, place)
    return Shelf(_make, _expected, weigh, budget, release)


def load(key: str = DEFAULT) -> Vlm:
    """Give the model, loading it at the first call; `ModelUnavailable` says what to do instead.

    Raises `ModelLoading` where nobody shall wait; the built-in model is always waited for.
    """
    name, held = entry(key).name, shelf()
    found = held.find(key)
    if found is not None or _WAITS or key == DEFAULT:
        return found or held.get(key)
    loading = held.want(key)
    if loading.ended.is_set():
        return loading.result()
    if loading.waiting > 1:
        held.leave(loading)  # somebody else began it, and may end it
    raise ModelLoading(f"{name} is on its way: {told(loading.progress)}. Please ask again soon.")


def stock(keys: Iterable[str], only: bool = False) -> list[str]:
    """Load models before anybody asks; gives a sentence for each that can't be had.

    only: no other model is loaded later. On ZeroGPU weights are placed before the page is served.
    """
    global _CLOSED
    failed = []
    for key in dict.fromkeys(keys):
        try:
            entry(key)
            shelf().get(key)
        except VisitorError as error:
            failed.append(str(error))
    _CLOSED = only
    return failed


def told(progress: Progress) -> str:
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
    dtype = devices.precision(_WISH.dtype, device(), found.dtype)
    share = FOUR_BIT if _WISH.four_bit else dtype.itemsize / published.itemsize
    return float(size[1]) * {"M": 1e6, "G": 1e9}[size[2]] * share


def _expected(key: str) -> float:
    """Tell how much room to make for a model; refuses before others are sent away for nothing."""
    found, place = entry(key), device()
    if _CLOSED:
        raise ModelUnavailable(
            f"This Space loads its models when it starts, and {found.name} is not among them. "
            f"Duplicate it with the variable EXPLORER_LOAD={key}, or go on with pico."
        )
    needs, room = needed(found), shelf().max_bytes
    if needs > room:
        dtype = str(devices.precision(_WISH.dtype, place, found.dtype)).removeprefix("torch.")
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
    dtype = devices.precision(_WISH.dtype, place, found.dtype)
    how = spreading.settings(_WISH.four_bit, place, needed(found), dtype)
    folder = reading.files(found.name, found.path, found.hub, found.revision, report)
    model, processor, kind = reading.read(found.name, folder, how | {"dtype": dtype}, report)
    model = spreading.gather(model) if "device_map" in how else model.to(place)
    return wrap(found, model, processor, kind)


def _after_fork() -> None:
    """Let a forked worker use what is on the shelf, whoever looked at it in that moment."""
    global _MAKING
    _MAKING = threading.Lock()
    if _shelf.cache_info().currsize:
        _shelf().renew_lock()


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_after_fork)


CORES = torch.get_num_threads()  # as torch found them, before any model asked for fewer
MOST_LANES = 4  # more would wait for each other: a lane is half Python


def share_cores(among: int) -> None:
    """Let this process use its share of the cores, since others like it run beside it."""
    global CORES
    CORES = max(1, CORES // among)


def use_threads(vlm: Vlm, many: bool = False) -> None:
    """Let the next run of this model use as many cores as suits it; costs nothing if it does.

    many: the run passes many rows side by side, whose matrices keep every core busy.
    """
    wanted = CORES if many else vlm.threads or CORES
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


def lanes(vlm: Vlm) -> int:
    """Tell how many runs of this model may go on side by side; see lanes.py."""
    alone = vlm.threads == 1 and vlm.device.type == "cpu"
    return min(CORES, MOST_LANES) if alone else 1


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
