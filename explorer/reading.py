"""A model read from its files by transformers, with progress, one at a time.

While transformers makes a model, it changes torch for the whole process: two at the same time would
undo each other's changes in the wrong order, and no model could be loaded after that. Knows files
and what transformers makes of them; not which models there are, nor where they run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.utils.logging import set_tqdm_hook

from explorer import hub
from explorer.errors import ModelUnavailable
from explorer.shelf import Progress, Report

ROOT = Path(__file__).resolve().parent.parent
TURN = 0.2  # seconds between two looks at whether it is our turn

_READING = threading.Lock()
_REPORT: ContextVar[Report | None] = ContextVar("report", default=None)


def files(name: str, path: str, repository: str, revision: str | None, report: Report) -> Path:
    """Give the folder of a model's files: a path of this project or its own, or the hub's copy.

    Raises `ModelUnavailable` with a sentence that says what to do.
    """
    if path:
        if not (ROOT / path).is_dir():
            raise ModelUnavailable(f"The folder {path} is missing; please clone again.")
        return ROOT / path
    report(Progress("search"))
    try:
        return hub.fetch(repository, revision, report)
    except OSError as error:
        raise ModelUnavailable(
            f"{name} can't be loaded here: its files ({repository}) are on the Hugging Face hub "
            "and could not be fetched. Connect this machine to the internet, or go on with pico, "
            "which is built in."
        ) from error


def read(name: str, folder: Path, how: dict, report: Report) -> tuple[nn.Module, object, str]:
    """Give model, processor and model type. how: what `from_pretrained` is told.

    Raises `ModelUnavailable` where the files are no complete model.
    """
    while not _READING.acquire(timeout=TURN):
        report(Progress("waiting"))
    heard = _REPORT.set(report)
    try:
        report(Progress("weights"))
        kind = AutoConfig.from_pretrained(folder).model_type
        processor = AutoProcessor.from_pretrained(folder)
        return AutoModelForImageTextToText.from_pretrained(folder, **how), processor, kind
    except (OSError, ImportError, ValueError, SafetensorError) as error:
        raise ModelUnavailable(
            f"{name} can't be loaded: what is in {folder} is no complete model that transformers "
            "can read. Please fetch it again, or go on with pico."
        ) from error
    finally:
        _REPORT.reset(heard)
        _READING.release()


def _counting(bar: Callable, args: tuple, kwargs: dict) -> Iterable:
    """Stand in for a progress bar of transformers: tells the one who waits for this very load."""
    report = _REPORT.get()
    if report is None or not args:
        return bar(*args, **kwargs)
    items = list(args[0])

    def counted() -> Iterator:
        for number, item in enumerate(items):
            report(Progress("weights", number, len(items)))
            yield item

    return counted()


set_tqdm_hook(_counting)
