"""A model's files on the Hugging Face hub: from this machine's cache, or fetched with progress.

Finds out first whether the hub can be reached: the hub's own client tries again and again, for more
than half a minute, before it gives up. Knows files; not models, devices or pages.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import tqdm

from explorer.shelf import Progress, Report

PATIENCE = 2.0  # seconds that the hub may take to say that it is there
FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")  # no second copy of the weights


def reachable(seconds: float = PATIENCE) -> bool:
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
        allow_patterns=list(FILES),
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
                report(Progress("download", most, float(self.total or 0)))
            return updated

    return Reporting
