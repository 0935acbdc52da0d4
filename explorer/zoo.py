"""models.yaml -> a loaded model on the right device, once, however many visitors ask.

Knows files, devices and clear errors; does not know methods or pages. Loaded models are shared and
never changed after loading, so no visitor's data is ever in here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from explorer import devices
from explorer.capture import ATTENTION
from explorer.errors import ModelUnavailable, UnknownModel
from explorer.families import Vlm, family_of

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = "pico"


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
    def source(self) -> str:
        """Folder or hub repository, as `from_pretrained` takes it."""
        return str(ROOT / self.path) if self.path else self.hub


def entries(file: Path = ROOT / "models.yaml") -> dict[str, Entry]:
    """Read the zoo, in the order of the file."""
    listed = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {key: Entry(key=key, **fields) for key, fields in listed.items()}


def entry(key: str) -> Entry:
    """Find one model; `UnknownModel` names the ones there are."""
    known = entries()
    if key not in known:
        raise UnknownModel(f"There is no model named {key!r}; there are: {', '.join(known)}.")
    return known[key]


_WISH = devices.Wish()


def settle(wish: devices.Wish) -> None:
    """Take over where and how models shall be loaded; said once, before the first one is."""
    global _WISH
    devices.choose(wish.device)
    if wish.four_bit:
        devices.check_four_bit()
    _WISH = wish


def device() -> str:
    """Name the device that models are loaded to: "cpu", "cuda" or "mps"."""
    return devices.choose(_WISH.device)


_LOADED: dict[str, Vlm] = {}
_LOCKS: dict[str, threading.Lock] = {}
_GUARD = threading.Lock()


def load(key: str = DEFAULT) -> Vlm:
    """Give the model, loading it at the first call; `ModelUnavailable` says what to do instead."""
    found = entry(key)
    with _GUARD:
        lock = _LOCKS.setdefault(key, threading.Lock())
    with lock:
        if key not in _LOADED:
            _LOADED[key] = _load(found)
        return _LOADED[key]


def _load(found: Entry) -> Vlm:
    place = device()
    dtype = devices.precision(_WISH.dtype, place, found.dtype)
    if found.path and not Path(found.source).is_dir():
        raise ModelUnavailable(f"The folder {found.path} is missing; please clone again.")
    try:
        config = AutoConfig.from_pretrained(found.source, revision=found.revision)
        processor = AutoProcessor.from_pretrained(found.source, revision=found.revision)
        model = AutoModelForImageTextToText.from_pretrained(
            found.source, revision=found.revision, dtype=dtype
        )
    except (OSError, ImportError) as error:
        raise ModelUnavailable(
            f"{found.title} can't be loaded here: its files ({found.memory}) are on the Hugging "
            "Face hub and could not be fetched. Connect this machine to the internet, or go on "
            "with pico, which is built in."
        ) from error
    return wrap(found, model.to(place), processor, config.model_type)


CORES = torch.get_num_threads()  # as torch found them, before any model asked for fewer


def use_threads(vlm: Vlm) -> None:
    """Let the next run of this model use as many cores as suits it; costs nothing if it does."""
    wanted = vlm.threads or CORES
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


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
