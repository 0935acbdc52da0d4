"""A model's files, from a folder, the hub's cache or the hub, and the reading of its weights.

Knows files and bytes; not devices, nor who waits.
"""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils import tqdm
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.utils.logging import set_tqdm_hook

from explorer import ROOT
from explorer.errors import ModelUnavailable
from explorer.vlm.progress import Progress, Report

LOG = logging.getLogger(__name__)
CONFIG = "config.json"
TURN_SECONDS = 0.2  # between two looks at whether it is our turn
LARGEST_WEIGHT = 1e6  # known models stay far below
HUB_SECONDS = 2.0  # that the hub may take to say that it is there
# Of a repository; weights in other formats would be a second copy of them.
MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")

_READING = threading.Lock()  # transformers has one hook for its progress bars


def files(name: str, path: str, repository: str, revision: str | None, report: Report) -> Path:
    """Give the folder of a model's files: a path of this project or its own, or the hub's copy.

    Raises `ModelUnavailable` with a sentence that says what to do.
    """
    if path:
        if not (ROOT / path).is_dir():
            raise ModelUnavailable(f"The folder {path} is missing; please clone again.")
        return ROOT / path
    report(Progress(stage="search"))
    try:
        return fetch(repository, revision, report)
    except OSError as error:
        raise ModelUnavailable(
            f"{name} can't be loaded here: its files ({repository}) are on the Hugging Face hub "
            "and could not be fetched. Connect this machine to the internet, or go on with pico, "
            "which is built in."
        ) from error


def here(path: str, repository: str) -> bool:
    """Tell whether a model's files are on this machine, going by that of its configuration."""
    if path:
        return (ROOT / path / CONFIG).is_file()
    return isinstance(try_to_load_from_cache(repository, CONFIG), str)


def read(name: str, folder: Path, options: dict, report: Report) -> tuple[nn.Module, object, str]:
    """Give model, processor and model type. options: what `from_pretrained` is told.

    Raises `ModelUnavailable` where the files are no complete model.
    """
    while not _READING.acquire(timeout=TURN_SECONDS):
        report(Progress(stage="waiting"))
    before = set_tqdm_hook(partial(_reported_bar, report))
    try:
        report(Progress(stage="weights"))
        kind = AutoConfig.from_pretrained(folder).model_type
        processor = AutoProcessor.from_pretrained(folder)
        model = AutoModelForImageTextToText.from_pretrained(folder, **options)
        _check_values(model)
        return model, processor, kind
    except (OSError, ImportError, ValueError, SafetensorError) as error:
        LOG.warning("%s: %r", folder, error)  # a visitor gets one sentence
        raise ModelUnavailable(
            f"{name} can't be loaded: what is in {folder} is no complete model that transformers "
            "can read. Please fetch it again, or go on with pico."
        ) from error
    finally:
        set_tqdm_hook(before)
        _READING.release()


def _check_values(model: nn.Module) -> None:
    """Raise `ValueError` if a weight is no number or no weight, as flipped bits make of some.

    The highest bit of an exponent makes 10^34 of 0.001, and of every answer nothing.
    """
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.numel():
            low, high = weight.aminmax()  # not a number, if any of them is none
            if not (bool(low >= -LARGEST_WEIGHT) and bool(high <= LARGEST_WEIGHT)):
                raise ValueError(f"{name} holds what is no weight")


def _reported_bar(report: Report, bar: Callable, args: tuple, kwargs: dict) -> Iterable:
    """Stand in for a progress bar of transformers: reports instead of drawing itself."""
    if not args:
        return bar(*args, **kwargs)
    items = list(args[0])

    def counted() -> Iterator:
        for number, item in enumerate(items):
            report(Progress(number, len(items), "weights"))
            yield item

    return counted()


def reachable(seconds: float = HUB_SECONDS) -> bool:
    """Ask the hub for a sign of life; looking up its name counts in the time, too."""
    if constants.HF_HUB_OFFLINE:
        return False
    answered = threading.Event()

    def ask() -> None:
        try:
            request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds):
                answered.set()
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 407:  # else a proxy, which speaks for nobody
                answered.set()
        except OSError:
            pass
        finally:
            done.set()

    done = threading.Event()
    threading.Thread(target=ask, daemon=True, name="is the hub there").start()
    done.wait(seconds)
    return answered.is_set()


def fetch(repository: str, revision: str | None, report: Report) -> Path:
    """Give the folder of a repository's files, fetching what is missing.

    Without a network the files that are here must do. Raises OSError (the hub's errors are some)
    where there are none.
    """
    folder = snapshot_download(
        repository,
        revision=revision,
        allow_patterns=list(MODEL_FILES),
        local_files_only=not reachable(),
        tqdm_class=_reporting(report),
    )
    return Path(folder)


class _Nowhere:
    """Where a bar that nobody looks at is drawn."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def _reporting(report: Report) -> type[tqdm]:
    """Make a progress bar that reports bytes instead of drawing itself."""
    most = 0.0

    class Reporting(tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs | {"file": _Nowhere(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal most
            updated = super().update(n)
            if self.unit == "B":  # one bar counts what has come, another what has been written
                most = max(most, float(self.n))
                report(Progress(most, float(self.total or 0), "download"))
            return updated

    return Reporting
