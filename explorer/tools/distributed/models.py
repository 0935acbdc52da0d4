"""Make a process ready to run models: which there are, and its share of the cores."""

from __future__ import annotations

import os
from collections.abc import Sequence

from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader


def register_models(models: Sequence[str] = (), among: int = 1) -> None:
    """Let there be these models, too; see catalog.py.

    among: processes that share the cores. Raises `UnknownModel` and `ModelUnavailable`.
    """
    default_loader().configure(LoadSettings(at_once=among))
    for source in models:
        default_loader().catalog.register(source)


def suited(model: str) -> int:
    """Tell how many processes suit a model: one per core, where it uses just one; else one.

    model: a key, or what `register_models` takes.
    """
    loader = default_loader()
    alone = loader.catalog.entry(loader.catalog.register(model)).threads == 1
    return (os.cpu_count() or 1) if alone and loader.device == "cpu" else 1


def share_cores(among: int) -> None:
    """Let so many processes share the cores."""
    register_models((), among)
