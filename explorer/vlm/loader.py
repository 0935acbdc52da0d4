"""models.yaml -> a loaded model on the right device, once, however many visitors ask.

Knows which models there are; devices.py knows where they run, model_cache.py how often they load,
checkpoints.py from which files. Loaded models are shared and never changed after loading, so no
visitor's data is ever in here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from accelerate.utils.memory import clear_device_cache

from explorer.errors import ModelLoading, ModelUnavailable, VisitorError
from explorer.vlm import checkpoints, devices
from explorer.vlm.attention import register_attention
from explorer.vlm.catalog import DEFAULT, Catalog, Entry
from explorer.vlm.components import Vlm
from explorer.vlm.devices import LoadSettings
from explorer.vlm.families import family_of
from explorer.vlm.model_cache import ModelCache
from explorer.vlm.progress import Progress, Report
from explorer.vlm.threads import CPU_CORES

FOUR_BIT_SHARE = 0.35  # of the bytes in half precision: a quarter, and what stays as it is


@dataclass(frozen=True)
class RunnableModel:
    """A model that this machine has room for. here: nothing has to be fetched."""

    entry: Entry
    here: bool


class ModelLoader:
    """Models by their keys, each loaded once, where and in which precision `settings` say.

    waits: whether `load` waits for a model that is not there yet, as a command line does. A page
    does not: others are waiting behind.
    """

    def __init__(
        self,
        settings: LoadSettings | None = None,
        catalog: Catalog | None = None,
        waits: bool = True,
    ):
        self.catalog = Catalog() if catalog is None else catalog
        self._lock = threading.Lock()
        self.configure(settings or LoadSettings(), waits)

    def configure(self, settings: LoadSettings, waits: bool = True) -> None:
        """Take over how models shall be loaded from now on; those that are there are let go.

        Raises `DeviceUnavailable` where this machine can't do it, and then leaves all as it was.
        """
        devices.choose(settings.device)
        if settings.four_bit:
            devices.check_four_bit()
        with self._lock:
            self.settings, self.waits = settings, waits
            self._only_loaded = False
            self._models: ModelCache[Vlm] | None = None

    @property
    def device(self) -> str:
        """The device that models are loaded to: "cpu", "cuda" or "mps"."""
        return devices.choose(self.settings.device)

    @property
    def cores(self) -> int:
        """CPU cores that one run may use."""
        return max(1, CPU_CORES // self.settings.at_once)

    @property
    def models(self) -> ModelCache[Vlm]:
        """All loaded models; their budget is what is free when this is first needed."""
        with self._lock:  # two visitors would make one each
            if self._models is None:
                device = self.device
                budget = self.settings.budget or devices.FREE_SHARE * devices.free_bytes(device)
                after_drop = partial(clear_device_cache, garbage_collection=True)
                self._models = ModelCache(
                    self._load, self._expected_bytes, weight_bytes, budget, after_drop
                )
            return self._models

    def load(self, key: str = DEFAULT) -> Vlm:
        """Give the model, loading it at the first call; `ModelUnavailable` says what to do instead.

        Raises `ModelLoading` where nobody shall wait; the built-in model is always waited for.
        """
        entry = self.catalog.entry(key)
        if entry.of:
            return at_resolution(self.load(entry.of), entry)
        key, name, models = entry.key, entry.name, self.models
        vlm = models.find(key)
        if vlm is not None or self.waits or key == DEFAULT:
            return vlm or models.get(key)
        loading = models.acquire(key)
        if loading.done():
            return loading.result()
        if loading.waiting > 1:
            models.release(loading)  # somebody else began it, and may end it
        progress = describe_progress(loading.progress)
        raise ModelLoading(f"{name} is on its way: {progress}. Please ask again soon.")

    def suggested(self, key: str) -> str:
        """Give the key of a model at the resolution that answers within seconds here."""
        entry = self.catalog.entry(key)
        coarse = self.device == "cpu" and entry.resolutions and not entry.of
        return entry.at(entry.resolutions[0]).key if coarse else entry.key

    def preload(self, keys: Iterable[str], only: bool = False) -> list[str]:
        """Load models before anybody asks; gives a sentence for each that can't be had.

        only: no other model is loaded later. On ZeroGPU weights are placed before the page is
        served.
        """
        sentences = []
        for key in dict.fromkeys(keys):
            try:
                self.catalog.entry(key)
                self.models.get(key)
            except VisitorError as error:
                sentences.append(str(error))
        self._only_loaded = only
        return sentences

    def runnable(self) -> list[RunnableModel]:
        """List what runs here beside the built-in model, those whose weights are here first."""
        entries = self.catalog.entries().values()
        there = [
            RunnableModel(
                entry, entry.key in self.models or checkpoints.here(entry.path, entry.hub)
            )
            for entry in entries
            if entry.key != DEFAULT and self.needed_bytes(entry) <= self.models.max_bytes
        ]
        if self._only_loaded:
            there = [each for each in there if each.entry.key in self.models]
        return sorted(there, key=lambda each: not each.here)

    def needed_bytes(self, entry: Entry) -> float:
        """Estimate what a model's weights will take here; 0 if models.yaml doesn't say."""
        size = re.fullmatch(r"([\d.]+) ?([MG])B", entry.memory)
        if size is None:
            return 0.0
        share = self.dtype(entry).itemsize / getattr(torch, entry.dtype).itemsize
        if self.settings.four_bit:
            share = FOUR_BIT_SHARE
        return float(size[1]) * {"M": 1e6, "G": 1e9}[size[2]] * share

    def after_fork(self) -> None:
        """Be of use in a forked worker: what threads of its parent locked, nobody unlocks there."""
        self._lock = threading.Lock()
        if self._models is not None:
            self._models.renew_lock()

    def dtype(self, entry: Entry) -> torch.dtype:
        """Choose the precision in which a model is loaded here."""
        # what somebody has saved here by himself, nobody has published in half precision
        published = entry.dtype if entry.hub or self.device != "cpu" else "float32"
        return devices.precision(self.settings.dtype, self.device, published)

    def _expected_bytes(self, key: str) -> float:
        """Tell how much room a model wants; refuses before others are sent away for nothing."""
        entry = self.catalog.entry(key)
        if self._only_loaded:
            raise ModelUnavailable(
                f"This Space loads its models when it starts, and {entry.name} is not among them. "
                f"Duplicate it with the variable EXPLORER_LOAD={key}, or go on with pico."
            )
        needed, room = self.needed_bytes(entry), self.models.max_bytes
        if needed > room:
            dtype = str(self.dtype(entry)).removeprefix("torch.")
            raise ModelUnavailable(
                f"{entry.name} needs {devices.gigabytes(needed)} in {dtype}; models may take "
                f"{devices.gigabytes(room)} here ({self.device}). Start with --budget, --dtype or "
                "--four-bit to change that, or go on with pico, which is built in."
            )
        return needed

    def _load(self, key: str, report: Report) -> Vlm:
        """Load one model, and say in a sentence why that can't be done."""
        entry, device = self.catalog.entry(key), self.device

        def loaded() -> Iterator[Vlm]:
            yield self._read(entry, device, report)

        advice = "Start with --four-bit or another --device, or go on with pico, which is built in."
        subject = f"Loading {entry.name} on {device}"
        [vlm] = devices.within_memory(loaded(), subject, device, advice)
        return vlm

    def _read(self, entry: Entry, device: str, report: Report) -> Vlm:
        dtype = self.dtype(entry)
        placement = devices.placement_settings(
            self.settings.four_bit, device, self.needed_bytes(entry), dtype
        )
        folder = checkpoints.files(entry.name, entry.path, entry.hub, entry.revision, report)
        model, processor, model_type = checkpoints.read(
            entry.name, folder, placement | {"dtype": dtype}, report
        )
        model = devices.gather(model) if "device_map" in placement else model.to(device)
        return wrap(entry, model, processor, model_type, self.cores)


@cache
def default_loader() -> ModelLoader:
    """Give the loader of this process, which app.py and commands configure before anything else.

    A request names its model by a key, also where it crosses to a forked worker; what the key
    stands for is found here on both sides.
    """
    return ModelLoader()


def wrap(entry: Entry, model, processor, model_type: str, cores: int = CPU_CORES) -> Vlm:
    """Make a transformers model and processor ready to be recorded and pruned."""
    model.eval().requires_grad_(False)
    model.set_attn_implementation(register_attention())
    return Vlm(
        key=entry.key,
        title=entry.title,
        family=family_of(model_type),
        model=model,
        processor=processor,
        live=entry.live,
        max_new_tokens=entry.max_new_tokens,
        threads=entry.threads,
        cores=cores,
    )


def at_resolution(vlm: Vlm, entry: Entry) -> Vlm:
    """Give the same model with a processor that cuts pictures up less finely."""
    processor = copy(vlm.processor)
    processor.image_processor = vlm.family.coarser(vlm.processor.image_processor, entry.resolution)
    return replace(vlm, key=entry.key, title=entry.title, processor=processor)


def weight_bytes(vlm: Vlm) -> int:
    """Count the bytes of a model's weights."""
    tensors = [*vlm.model.parameters(), *vlm.model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def describe_progress(progress: Progress) -> str:
    """Say how far a load is."""
    if progress.stage == "download":
        done, total = devices.gigabytes(progress.done), devices.gigabytes(progress.total)
        return f"{done} of {total} downloaded"
    if progress.stage == "weights" and progress.share is not None:
        return f"reading its weights, {100 * progress.share:.0f} %"
    return "waiting for its turn" if progress.stage == "waiting" else "looking for its files"
